"""`python -m tests.endtoend.duty FILE`: whoever is on duty at the hub, as a program.

Takes what Alertmanager sends to the webhook of the shipped settings, and looks at the collector's
page five times a second, so that it is known when the collector itself knew. Each thing that
happens becomes a line of FILE, stamped by this machine's clock.
"""

import json
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOOK_PORT = 9099
PAGE = "http://127.0.0.1:8460/metrics?road=live"
LOOK_EVERY_S = 0.2
SHOWN = ("pantau_link_outage_start_timestamp_seconds{", "pantau_pop_event{", "pantau_hub_event ")
_lock = threading.Lock()


def say(kind: str, **told: Any) -> None:
    """Append a line."""
    line = json.dumps({"at_s": time.time(), "kind": kind, **told})
    with _lock, Path(sys.argv[1]).open("a") as file:
        file.write(line + "\n")


class Hook(BaseHTTPRequestHandler):
    """The webhook."""

    def do_POST(self) -> None:
        """One message; its path says which receiver."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        say("message", path=self.path, body=body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the lines are the log."""


def shown() -> set[str]:
    """Series that tell of something wrong."""
    with urllib.request.urlopen(PAGE, timeout=2) as page:
        lines = page.read().decode().splitlines()
    rows = (line.rsplit(" ", 1) for line in lines if line.startswith(SHOWN))
    return {name for name, value in rows if float(value) > 0}


def watch() -> None:
    """Say what the collector shows, when it changes."""
    before: set[str] = set()
    while True:
        try:
            now = shown()
        except OSError:
            now = before
        for name in sorted(now - before):
            say("shown", series=name)
        before = now
        time.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    threading.Thread(target=watch, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", HOOK_PORT), Hook).serve_forever()
