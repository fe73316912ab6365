"""A hub's throughput port in this process, and tests against it over loopback."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from collector.throughput.porter import Porter, Report
from collector.throughput.session import End
from runtime.clock import SystemClock
from wire.load import Plan, Step
from wire.slot import Direction, Grant, Method

CLOCK = SystemClock()


@dataclass
class Door:
    """The port, and what it tells."""

    porter: Porter
    port: int
    told: list[Report] = field(default_factory=list)
    ended: threading.Condition = field(default_factory=threading.Condition)

    def hear(self, report: Report) -> None:
        with self.ended:
            self.told.append(report)
            self.ended.notify_all()

    def ends(self, slot_id: str) -> list[End]:
        return [one.end for one in self.told if one.slot_id == slot_id and one.end is not None]

    def end(self, slot_id: str) -> Report:
        """Wait for the slot's end."""
        with self.ended:
            assert self.ended.wait_for(lambda: self.ends(slot_id), timeout=30)
        return next(one for one in self.told if one.slot_id == slot_id and one.end is not None)


@contextmanager
def door(host: str = "127.0.0.1") -> Iterator[Door]:
    """Open the port until the block ends."""
    made: Door | None = None

    def tell(report: Report) -> None:
        assert made is not None
        made.hear(report)

    porter = Porter(CLOCK, tell)
    made = Door(porter, porter.listen(host, 0))
    thread = threading.Thread(target=porter.run)
    thread.start()
    try:
        yield made
    finally:
        porter.stop()
        thread.join(timeout=10)
        assert not thread.is_alive()


def grant(port: int, **changes: Any) -> Grant:
    """Leave for one second of UDP down at 20 Mbit/s."""
    settings: dict[str, Any] = {
        "slot_id": secrets.token_hex(16),
        "key": secrets.token_hex(32),
        "link": "l1",
        "method": Method.UDP,
        "direction": Direction.DOWN,
        "duration_s": 1.0,
        "most_bits_per_s": 20_000_000,
        "address": "127.0.0.1",
        "port": port,
    }
    return Grant(**{**settings, **changes})


def plan(bits_per_s: int = 10_000_000, seconds: float = 1.0, **changes: Any) -> Plan:
    """A second at 10 Mbit/s, without much ado before."""
    settings: dict[str, Any] = {
        "steps": (Step(bits_per_s=bits_per_s, seconds=seconds),),
        "idle_s": 0.1,
        "selftest_s": 0.1,
    }
    return Plan(**{**settings, **changes})
