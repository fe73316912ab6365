"""The hub's throughput port in a process of its own: `python -m collector.throughput.worker`.

Commands on stdin, what happens on stdout. Load is sent and counted here, so that neither the ingest
of evidence nor the STAMP reflector ever waits for it. It ends when its stdin does.
"""

import os
import sys
import threading

import msgspec

from collector.throughput.form import Command, Told
from collector.throughput.porter import Porter, Report
from runtime.clock import SystemClock


class _Teller:
    """Says lines on stdout, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def say(self, told: Told) -> None:
        """One line."""
        data = msgspec.json.encode(told) + b"\n"
        with self._lock:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def report(self, report: Report) -> None:
        """How a slot is going."""
        self.say(
            Told(
                slot_id=report.slot_id,
                end=report.end,
                octets=report.octets,
                reason=report.reason[:256],
                hub=report.hub,
            )
        )


def main() -> None:
    """Serve until stdin ends."""
    teller = _Teller()
    porter = Porter(SystemClock(), teller.report)
    decoder = msgspec.json.Decoder(Command)
    for line in sys.stdin.buffer:
        command = decoder.decode(line)
        if command.listen is not None:
            try:
                teller.say(Told(port=porter.listen(*command.listen)))
            except OSError as error:
                teller.say(Told(error=str(error)))
                break
            threading.Thread(target=porter.run, daemon=True).start()
        if command.expect is not None:
            porter.expect(command.expect)
        if command.forget is not None:
            porter.forget(command.forget)
    os._exit(0)


if __name__ == "__main__":
    main()
