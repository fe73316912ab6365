"""What the running agent says to the person beside the box, over a Unix socket in its folder.

No port is opened to the network and nothing is written to the card for it.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

SOCKET = "agent.sock"


@asynccontextmanager
async def serve_local(
    state_dir: Path, describe: Callable[[], dict[str, Any]]
) -> AsyncIterator[None]:
    """Answer every connection with one JSON object, then close it."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(describe()).encode() + b"\n")
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    with _short_path(state_dir) as path:
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(answer, path)
    (state_dir / SOCKET).chmod(0o660)
    try:
        yield
    finally:
        server.close()
        (state_dir / SOCKET).unlink(missing_ok=True)


@contextlib.contextmanager
def _short_path(state_dir: Path) -> Any:
    """The socket by a path that fits into sockaddr_un's 108 bytes, however deep the folder is."""
    folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{folder}/{SOCKET}")
    finally:
        os.close(folder)


def fetch(state_dir: Path) -> dict[str, Any]:
    """What the running agent says. Raises OSError where none runs."""
    try:
        with _short_path(state_dir) as path, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            with connection.makefile("rb") as answer:
                return dict(json.loads(answer.read()))
    except OSError as error:
        raise OSError(f"no agent runs with the folder {state_dir}: {error.strerror}") from error


def show(state_dir: Path, *, as_json: bool) -> None:
    """Print it for a person or a program."""
    told = fetch(state_dir)
    if as_json:
        json.dump(told, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    lines = [
        f"{key.replace('_', ' ')}: {value}"
        for key, value in told.items()
        if key not in ("targets", "notes", "throughput")
    ]
    lines += [f"note: {note}" for note in told["notes"]]
    for one in told["targets"]:
        rtt = one.get("rtt_median_ns")
        median = "no reply" if rtt is None else f"{rtt / 1e6:.2f} ms"
        lines.append(
            f"target {one['target']} of link {one['link']}: {median},"
            f" {one['lost']} of {one['sent']} lost, {one['not_sent']} not sent"
        )
    lines += [_tests_line(one) for one in (told["throughput"] or {}).get("links", ())]
    sys.stdout.write("\n".join(lines) + "\n")


def _tests_line(one: dict[str, Any]) -> str:
    """Throughput tests of one link."""
    ends = one.get("ends", {})
    skipped = sum(count for end, count in ends.items() if end.startswith("skipped"))
    return (
        f"throughput of link {one['link']}: {ends.get('done', 0)} done, {skipped} skipped,"
        f" {one['used_bytes'] / 1e9:.2f} of {one['budget_bytes'] / 1e9:.2f} GB"
        f" used in {one['month'] or 'a month not known yet'}"
    )
