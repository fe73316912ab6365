"""Intervals of a link's life and the outages among them: what the audit says of every second."""

from typing import NamedTuple

import msgspec

from collector.audit.states import Cause, Charge, EvidenceClass, State


class Run(NamedTuple):
    """[start_s, end_s) of one state as the link's own packets show it, before any cause is known:
    UP, DOWN or UNKNOWN. Runs of a period follow one another and differ."""

    start_s: int
    end_s: int
    state: State


class Interval(NamedTuple):
    """[start_s, end_s) of one state with its cause. Intervals of a period add up to the period."""

    start_s: int
    end_s: int
    state: State
    cause: Cause = Cause.NONE
    charge: Charge = Charge.NONE
    witnesses: tuple[EvidenceClass, ...] = ()
    """Classes of evidence that agree on the cause, in the enum's order."""
    why: str = ""
    """What the witnesses showed: clauses, of which `collector.audit.why` makes sentences."""
    event: str | None = None
    """Names the correlated event of several links that this belongs to."""

    @property
    def length_s(self) -> int:
        """Seconds in it."""
        return self.end_s - self.start_s


class Edge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When something began or ended: not before `low_s`, not after `high_s` (UTC seconds)."""

    at_s: int
    low_s: float
    high_s: float


class Outage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A maximal run in which the link was not up: DOWN, or UNKNOWN for longer than a moment.

    A silence is here too, with its cause: what was power and what was link is one list.
    """

    link: str
    start: Edge
    end: Edge | None
    """None while it lasts."""
    state: State
    cause: Cause
    charge: Charge
    witnesses: tuple[EvidenceClass, ...]
    why: str
    event: str | None
    settled: bool
    """The evidence is complete past its end; later evidence makes a new revision, never an edit."""


def check_whole(intervals: tuple[Interval, ...], start_s: int, end_s: int) -> None:
    """Raises ValueError unless the intervals follow one another from `start_s` to `end_s`."""
    at = start_s
    for one in intervals:
        if one.start_s != at or one.end_s <= at:
            raise ValueError(f"interval {one.start_s}..{one.end_s} after {at}")
        at = one.end_s
    if at != end_s:
        raise ValueError(f"intervals end at {at}, the period at {end_s}")
