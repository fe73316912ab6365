"""Where a bench ran, and against which versions: figures without that are worth nothing."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runtime.lab.build import available

BLACKBOX = "prometheus-blackbox-exporter"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _says(*words: str) -> str:
    """The first line of what a program says of itself."""
    if shutil.which(words[0]) is None:
        return f"{words[0]} not installed"
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)
    return (done.stdout + done.stderr).partition("\n")[0].partition(" (branch")[0].strip()


def print_machine(*peers: str) -> None:
    """Date, kernel, processors, load, and the versions of these peers."""
    say = {
        "ping": lambda: _says("ping", "-V"),
        "fping": lambda: _says("fping", "-v"),
        "iperf3": lambda: _says("iperf3", "--version"),
        "icmplib": lambda: "icmplib " + importlib.metadata.version("icmplib"),
        BLACKBOX: lambda: _says(BLACKBOX, "--version"),
    }
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    print(
        f"{now}; Linux {platform.release()}; {os.cpu_count()} CPUs, {_cpu()};"
        f" load {os.getloadavg()[0]:.2f}; Python {platform.python_version()};"
        f" pantau {importlib.metadata.version('pantau')}"
    )
    print("; ".join(say[peer]() for peer in peers))


@contextlib.contextmanager
def compiled_apart() -> Iterator[None]:
    """Let our child processes keep compiled modules, in a folder that goes away: without any they
    would compile what an installed agent has compiled."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="pantau-bench-") as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def need_lab() -> None:
    """End with a word where namespaces cannot be made; that is no failure of the bench."""
    if (reason := available()) is not None:
        print(f"skipped: {reason}")
        sys.exit(0)
