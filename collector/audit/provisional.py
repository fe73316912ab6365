"""What the hub says at once, and what the evidence makes of it later. Never an edit.

The live half: `step` opens a provisional outage when a link stops being heard or is seen to lose,
and closes it when the link is heard again. It short-circuits the rule's n in and n out: waiting for
ten good seconds would call a link down that already speaks, so a flapping link gives several
provisional outages where the settled list has one.

The settled half: `revise` compares what was said of a period's outages with what is found now, and
`settles` says which settled outages took the place of which provisional one.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from collector.audit.intervals import Edge, Outage
from collector.audit.states import Cause, Charge, EvidenceClass, State

_FOREVER = 2**53
_LATER_S = 0.5
"""The same packet's moment comes out a little different at every look: two clocks name it."""


class Sight(NamedTuple):
    """One look at a link, by the live road."""

    link: str
    now_s: float
    state: State
    """UP, DOWN or UNKNOWN, as `collector.live.judge` says."""
    witnesses: tuple[EvidenceClass, ...]
    silent: bool
    """The reflector no longer hears it, whatever else is known."""
    heard_s: float | None
    """When the reflector heard it last; None if never since the hub started."""
    window_s: int = 10
    """Loss that is seen now began at most so long ago."""


def step(current: Outage | None, sight: Sight) -> Outage | None:
    """The provisional outage after one look: the same, changed, closed (`end` set) or none.

    `current` is the one that lasts, if any. Silence alone opens it as UNKNOWN; the first witness of
    loss makes it DOWN, and DOWN it stays until it ends, because who saw the loss falls silent with
    the link. What was never heard opens nothing: a hub that has just started knows nothing.
    """
    if sight.state in (State.UP, State.DEGRADED):
        return None if current is None else _closed(current, sight)
    if current is None:
        return _opened(sight)
    later_s = current.start.high_s + _LATER_S
    heard_since = sight.heard_s is not None and sight.heard_s > later_s
    if heard_since and current.state is sight.state is State.UNKNOWN:
        # Heard between two looks and silent again: the next look opens another.
        return _closed(current, sight)
    if sight.state is State.DOWN and current.state is not State.DOWN:
        return _said(current.link, current.start, State.DOWN, sight.witnesses)
    return current


def _opened(sight: Sight) -> Outage | None:
    if sight.silent:
        return None if sight.heard_s is None else _began(sight, sight.heard_s, sight.heard_s)
    return _began(sight, sight.now_s - sight.window_s, sight.now_s)


def _began(sight: Sight, low_s: float, high_s: float) -> Outage:
    edge = Edge(at_s=int(low_s), low_s=low_s, high_s=high_s)
    return _said(sight.link, edge, sight.state, sight.witnesses)


def _said(link: str, start: Edge, state: State, witnesses: tuple[EvidenceClass, ...]) -> Outage:
    return Outage(
        link=link,
        start=start,
        end=None,
        state=state,
        cause=Cause.UNDETERMINED,
        charge=Charge.UNKNOWN,
        witnesses=witnesses,
        why="",
        event=None,
        settled=False,
    )


def _closed(current: Outage, sight: Sight) -> Outage:
    end_s = sight.now_s if sight.heard_s is None else sight.heard_s
    end_s = max(end_s, current.start.at_s + 1)
    low_s = max(current.start.high_s, end_s - sight.window_s)
    edge = Edge(at_s=int(end_s), low_s=min(low_s, end_s), high_s=end_s)
    return msgspec.structs.replace(current, end=edge)


# --- revisions --------------------------------------------------------------------------------


class Kept(Protocol):
    """The newest revision of an outage, as a store keeps it (`collector.ledger.outages`)."""

    @property
    def id(self) -> int:
        """Its own for ever."""

    @property
    def withdrawn(self) -> bool:
        """The newest word is that it was none."""

    @property
    def outage(self) -> Outage:
        """What was said."""


class ChangeKind(StrEnum):
    """What a look at the evidence changes."""

    NEW = "new"
    REVISED = "revised"
    WITHDRAWN = "withdrawn"


class Change(NamedTuple):
    """One revision to append."""

    kind: ChangeKind
    id: int | None
    """None for a new one: the store gives it."""
    outage: Outage
    """As found; for one that is withdrawn, as it was."""
    changed: tuple[str, ...] = ()
    """Fields that differ, in the order of Outage."""


def revise(kept: Iterable[Kept], found: Iterable[Outage]) -> list[Change]:
    """What to append so that the kept list says what was found; nothing where it does already.

    `kept` are the newest revisions, withdrawn ones too, of all outages that touch the span which
    `found` covers. Of one link's, no two in `found` overlap (ValueError). Each found outage goes on
    as the kept one that it shares most seconds with, the shorter where they share as many.
    One that was withdrawn is taken up again only where it began in the same second. The order of
    either list does not matter; the changes come by link and time.
    """
    by_link: dict[str, tuple[list[Kept], list[Outage]]] = defaultdict(lambda: ([], []))
    for one in kept:
        by_link[one.outage.link][0].append(one)
    for outage in found:
        by_link[outage.link][1].append(outage)
    changes: list[Change] = []
    for link in sorted(by_link):
        changes.extend(_revise(*by_link[link]))
    return changes


def _revise(kept: list[Kept], found: list[Outage]) -> list[Change]:
    kept = sorted(kept, key=lambda one: (one.outage.start.at_s, one.id))
    found = sorted(found, key=lambda one: one.start.at_s)
    for before, after in itertools.pairwise(found):
        if _end(before) > after.start.at_s:
            raise ValueError(f"{after.link}: outages overlap at {after.start.at_s}")
    # Where several share as many seconds: the one whose own seconds are the fewest, the older.
    pairs = sorted(
        (-shared, _end(one.outage) - one.outage.start.at_s, one.outage.start.at_s, one.id, at)
        for one in kept
        for at, outage in enumerate(found)
        if (shared := _shared(one, outage)) > 0
    )
    whose: dict[int, Kept] = {}
    taken: set[int] = set()
    by_id = {one.id: one for one in kept}
    for *_, kept_id, at in pairs:
        if kept_id not in taken and at not in whose:
            whose[at] = by_id[kept_id]
            taken.add(kept_id)
    changes = []
    for at, outage in enumerate(found):
        former = whose.get(at)
        if former is None:
            changes.append(Change(ChangeKind.NEW, None, outage))
        elif former.withdrawn or former.outage != outage:
            changed = _differing(former.outage, outage)
            changes.append(Change(ChangeKind.REVISED, former.id, outage, changed))
    changes.extend(
        Change(ChangeKind.WITHDRAWN, one.id, one.outage)
        for one in kept
        if one.id not in taken and not one.withdrawn
    )
    return sorted(changes, key=lambda one: (one.outage.start.at_s, one.kind, one.id or 0))


def _end(one: Outage) -> int:
    return _FOREVER if one.end is None else one.end.at_s


def _shared(kept: Kept, found: Outage) -> int:
    """Seconds that both hold; a withdrawn one holds its first second only."""
    start_s = kept.outage.start.at_s
    if kept.withdrawn:
        return int(start_s == found.start.at_s)
    return min(_end(kept.outage), _end(found)) - max(start_s, found.start.at_s)


def _differing(before: Outage, after: Outage) -> tuple[str, ...]:
    return tuple(
        name for name in Outage.__struct_fields__ if getattr(before, name) != getattr(after, name)
    )


class Settlement(NamedTuple):
    """What became of a provisional outage."""

    provisional: int
    settled: tuple[int, ...]
    """By time; empty where the evidence shows that there was none."""


def settles(
    provisional: Iterable[Kept], settled: Sequence[Kept], until_s: Mapping[str, float]
) -> list[Settlement]:
    """Which settled outages take the place of each provisional one that is settled now.

    `until_s` tells per link how far its evidence is whole; provisional ones that last or end later
    are left out. Those that overlap belong together, and those that touch: the hub hears a second
    or two later than the packets show.
    """
    found = []
    for one in sorted(provisional, key=lambda kept: (kept.outage.link, kept.id)):
        outage = one.outage
        if one.withdrawn or outage.end is None:
            continue
        if outage.end.at_s > until_s.get(outage.link, float("-inf")):
            continue
        same = sorted(
            (other.outage.start.at_s, other.id)
            for other in settled
            if other.outage.link == outage.link
            and not other.withdrawn
            and other.outage.start.at_s <= outage.end.at_s
            and _end(other.outage) >= outage.start.at_s
        )
        found.append(Settlement(one.id, tuple(other_id for _, other_id in same)))
    return found
