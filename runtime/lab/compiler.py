"""The emulator's C program, compiled on first use.

The binary is kept in a cache folder under the digest of its source, so an edit is never run
stale and two processes that compile at once do not disturb each other.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_name("emulink.c")
_FLAGS = ("-O2", "-std=gnu11")


class CompileError(RuntimeError):
    """The emulator cannot be compiled here; the message says what is missing."""


def compiler() -> str | None:
    """Path of a C compiler, or None."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@functools.cache
def emulink() -> Path:
    """Path of the compiled emulator."""
    source = _SOURCE.read_bytes()
    digest = hashlib.sha256(source + " ".join(_FLAGS).encode()).hexdigest()[:20]
    binary = _cache() / f"emulink-{digest}"
    if not binary.exists():
        _compile(binary)
    return binary


def _cache() -> Path:
    """The first cache folder that can be written to."""
    places = [os.environ.get("XDG_CACHE_HOME"), str(Path("~/.cache").expanduser())]
    for place in filter(None, places):
        folder = Path(place) / "pantau"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    # No name that another user could have put there before: the program runs as root.
    return Path(tempfile.mkdtemp(prefix="pantau-emulink-"))


def _compile(binary: Path) -> None:
    program = compiler()
    if program is None:
        raise CompileError("no C compiler: install gcc and libc6-dev (Debian)")
    handle, scratch = tempfile.mkstemp(dir=binary.parent, prefix=binary.name)
    os.close(handle)
    argv = [program, *_FLAGS, "-o", scratch, str(_SOURCE), "-lm"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        Path(scratch).unlink()
        raise CompileError(f"{' '.join(argv)}: {done.stderr.strip()}")
    Path(scratch).chmod(0o755)
    Path(scratch).replace(binary)
