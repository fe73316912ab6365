"""What several links show in the same seconds: one event with its members, and each link's context.

| event | condition |
|---|---|
| CORE | 3 and 30 % of the observed links of one PoP went down within 60 s, the CPEs not lost (A6) |
| POWER | at least 3 and 30 % of them show a proved power cut that began within 60 s (A1, area) |
| HUB | 95 % of the links that reached the hub, 3 or more, lost it within 10 s, few B with it (A8) |

Windows of 60 (10) s that overlap are one event: it lasts as long as links go on to join it. Its
name is a hash of kind, PoP and start: no order of links and no second look changes it.

Two passes keep memory small: `observe` makes a few spans of each link's strip; `correlate` sweeps
them, sorted by time.
"""

import hashlib
import itertools
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from collector.audit.evidence import Evidence, Span, Window
from collector.audit.intervals import Run
from collector.audit.lives import WINDOW_S, Site
from collector.audit.sights import Sights, touching, without
from collector.audit.states import State
from collector.audit.strip import View

TOGETHER_S = 60
HUB_TOGETHER_S = 10
FEWEST = 3
POP_SHARE = 0.3
HUB_SHARE = 0.95
"""All, and in a fleet of 20 or more one straggler: a link that is probed every 10 s is late."""


class EventKind(StrEnum):
    """What several links have in common."""

    CORE = "core"
    POWER = "power"
    HUB = "hub"


class Event(NamedTuple):
    """Something that happened to several links at once."""

    name: str
    kind: EventKind
    pop: str
    """Empty for the hub, which has none."""
    start_s: int
    """When its first member was hit."""
    end_s: int
    """When half of its members were no longer."""
    members: tuple[str, ...]
    """Links, sorted."""
    observed: int
    """Links that could have been members, as they were seen then."""


class HubLoss(NamedTuple):
    """A link's hub was lost for 10 s or more."""

    start_s: int
    end_s: int
    anchors_lost: bool
    """An independent anchor was asked and lost too, so that the hub need not be at fault."""


class Observed(NamedTuple):
    """What of one link bears on others."""

    link: str
    pop: str
    runs: tuple[Run, ...]
    hub_lost: tuple[HubLoss, ...]
    anchors_lost: tuple[Span, ...]
    anchors_asked: bool
    power: tuple[Span, ...]
    """Proved cuts of the site's power."""
    reached: tuple[Span, ...]
    """Where something was known of it and the hub was not lost. Of each link once, because a loss
    of the hub is weighed against all links for every link that it hit."""
    before_cpe: tuple[int, ...] = ()
    """Starts of the runs in which the node lost its own CPE: they are no part of a CORE event."""


class Peers(NamedTuple):
    """The other links of the PoP when a run began."""

    fine: int
    """They were up, and for 60 s more."""
    observed: int
    """They were up or down: something was known of them."""
    event: Event | None
    """CORE, if this run is part of one."""


NO_PEERS = Peers(0, 0, None)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What others know of one link's period."""

    windows: tuple[Window, ...] = ()
    """Approved for this link (notice rule and cap applied), in order, none over another."""
    peers: Mapping[int, Peers] | None = None
    """By the start of each run that is DOWN; None where nobody was compared."""
    hub: tuple[Event, ...] = ()
    """HUB events, in order."""
    power: tuple[Event, ...] = ()
    """POWER events of the link's PoP, whether it is a member or not."""
    anchors_kept: Mapping[int, int] | None = None
    """By the start of each loss of all anchors: how many other links reached them meanwhile."""


def observe(evidence: Evidence, runs: Sequence[Run]) -> Observed:
    """The first pass over one link."""
    sights, site = Sights(evidence.strip), Site(evidence)
    asked = sights.believed(View.GATEWAY)
    whole = Span(sights.start_s, sights.end_s)
    believed = sights.believed(View.ANCHOR)
    hub_lost = sights.lost(View.HUB, whole)
    return Observed(
        evidence.link,
        evidence.pop,
        tuple(runs),
        tuple(
            HubLoss(*span, believed and sights.count(View.ANCHOR, span).silent) for span in hub_lost
        ),
        tuple(sights.lost(View.ANCHOR, whole)) if believed else (),
        believed,
        tuple(
            cut.span
            for run in runs
            if run.state is State.UNKNOWN and (cut := site.cut(Span(run.start_s, run.end_s)))
        ),
        tuple(_between(runs, hub_lost)),
        tuple(
            run.start_s
            for run in runs
            if run.state is State.DOWN
            and asked
            and sights.lost(View.GATEWAY, Span(run.start_s, run.end_s))
        ),
    )


class _Onset(NamedTuple):
    start_s: int
    link: str
    end_s: int


class Correlation:
    """Events of all links over a period, and what they mean for each."""

    def __init__(self, links: Iterable[Observed]) -> None:
        self._links = {one.link: one for one in sorted(links)}
        self._by_pop: dict[str, list[Observed]] = defaultdict(list)
        for one in self._links.values():
            self._by_pop[one.pop].append(one)
        self._hub = _hub_events(list(self._links.values()))
        self._pops: dict[str, _Pop] = {}
        self._anchors = _Concurrent([one.anchors_lost for one in self._links.values()])
        self._anchors_asked = sum(one.anchors_asked for one in self._links.values())

    def events(self) -> tuple[Event, ...]:
        """All of them, by start and name."""
        pops = [self._pop(pop) for pop in self._by_pop]
        found = [event for pop in pops for event in (*pop.core, *pop.power)]
        return tuple(sorted((*found, *self._hub), key=lambda one: (one.start_s, one.name)))

    def context(self, link: str, windows: Iterable[Window] = ()) -> Context:
        """Of one link. Raises KeyError for one that was not observed."""
        one = self._links[link]
        pop = self._pop(one.pop)
        kept = {
            # Its own loss is among those that touch the span.
            span.start_s: self._anchors_asked - self._anchors.touching(span)
            for run in one.runs
            if run.state in (State.UP, State.DEGRADED)
            for span in touching(one.anchors_lost, Span(run.start_s, run.end_s))
        }
        return Context(
            windows=tuple(sorted(windows)),
            peers={
                run.start_s: pop.peers(link, run) for run in one.runs if run.state is State.DOWN
            },
            hub=self._hub,
            power=pop.power,
            anchors_kept=kept,
        )

    def _pop(self, pop: str) -> "_Pop":
        """The context of one link needs its own PoP and no other."""
        if pop not in self._pops:
            self._pops[pop] = _Pop(pop, self._by_pop[pop], self._hub)
        return self._pops[pop]


def correlate(links: Iterable[Observed]) -> Correlation:
    """Sweep over all links; their order does not matter."""
    return Correlation(links)


class _Steps:
    """How many of many spans hold a second."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        pairs = list(spans)
        self._starts = sorted(a for a, _ in pairs)
        self._ends = sorted(b for _, b in pairs)

    def at(self, second: int) -> int:
        """Spans [a, b) with a <= second < b."""
        return bisect_right(self._starts, second) - bisect_right(self._ends, second)


class _Concurrent:
    """How many links have a span that touches another."""

    def __init__(self, links: Sequence[tuple[Span, ...]]) -> None:
        self._links = [([a for a, _ in spans], [b for _, b in spans]) for spans in links if spans]

    def touching(self, span: Span) -> int:
        """Links with a span of theirs in it."""
        return sum(
            bisect_left(starts, span.end_s) > bisect_right(ends, span.start_s)
            for starts, ends in self._links
        )


class _Pop:
    """The links of one PoP."""

    def __init__(self, pop: str, links: Sequence[Observed], hub: Sequence[Event]) -> None:
        runs = [(one.link, run) for one in links for run in one.runs]
        inside = {(one.link, start_s) for one in links for start_s in one.before_cpe}
        # A run that reaches the end of what is known is taken to go on.
        last = max((run.end_s for _, run in runs), default=0)
        up = [
            (run.start_s, run.end_s if run.end_s < last else last + TOGETHER_S + 1)
            for _, run in runs
            if run.state in (State.UP, State.DEGRADED)
        ]
        # Fine at t: up from t to t + 60 s.
        self._fine = _Steps((a, b - TOGETHER_S) for a, b in up if b - a > TOGETHER_S)
        self._known = _Steps((run.start_s, run.end_s) for _, run in runs if _known(run))
        self._links = {
            one.link: _Steps((run.start_s, run.end_s) for run in one.runs if _known(run))
            for one in links
        }
        down = sorted(
            _Onset(run.start_s, link, run.end_s)
            for link, run in runs
            if run.state is State.DOWN
            and (link, run.start_s) not in inside
            and not _of_the_hub(hub, link, run)
        )
        self.core, self._members = self._events(pop, EventKind.CORE, down)
        cuts = sorted(_Onset(a, one.link, b) for one in links for a, b in one.power)
        self.power, _ = self._events(pop, EventKind.POWER, cuts)

    def _events(
        self, pop: str, kind: EventKind, onsets: Sequence[_Onset]
    ) -> tuple[tuple[Event, ...], dict[tuple[str, int], Event]]:
        events, members = [], {}
        for group in _together(onsets, TOGETHER_S, self._enough):
            # Just before: a link that fell silent or down was still among the known.
            observed = max(self._known.at(group[0].start_s - 1), len({o.link for o in group}))
            event = _event(kind, pop, group, observed)
            events.append(event)
            members.update({(one.link, one.start_s): event for one in group})
        return tuple(events), members

    def _enough(self, first: _Onset) -> float:
        return max(FEWEST, POP_SHARE * self._known.at(first.start_s - 1))

    def peers(self, link: str, run: Run) -> Peers:
        """The others when `run` of `link` began."""
        at = run.start_s
        observed = self._known.at(at) - self._links[link].at(at)
        return Peers(min(self._fine.at(at), observed), observed, self._members.get((link, at)))


def _known(run: Run) -> bool:
    return run.state is not State.UNKNOWN


def _of_the_hub(events: Sequence[Event], link: str, run: Run) -> bool:
    """The run began as the hub was lost by all: that is one event already."""
    return any(
        abs(event.start_s - run.start_s) <= WINDOW_S and link in event.members for event in events
    )


def _event(kind: EventKind, pop: str, group: Sequence[_Onset], observed: int) -> Event:
    start_s = group[0].start_s
    digest = hashlib.sha256(f"{kind}\n{pop}\n{start_s}".encode()).hexdigest()
    last: dict[str, int] = {}
    for one in group:
        last[one.link] = max(one.end_s, last.get(one.link, 0))
    ends = sorted(last.values())
    return Event(
        f"{kind}-{digest[:12]}",
        kind,
        pop,
        start_s,
        ends[(len(ends) - 1) // 2],
        tuple(sorted(last)),
        observed,
    )


def _together(
    onsets: Sequence[_Onset], window_s: int, enough: Callable[[_Onset], float]
) -> list[list[_Onset]]:
    """Groups of sorted onsets: the union of overlapping windows that hold enough links."""
    groups: list[list[_Onset]] = []
    held: dict[str, int] = defaultdict(int)
    taken = end = 0
    for at, first in enumerate(onsets):
        while end < len(onsets) and onsets[end].start_s <= first.start_s + window_s:
            held[onsets[end].link] += 1
            end += 1
        if len(held) >= FEWEST and len(held) >= enough(first):
            if at >= taken:
                groups.append([])
            groups[-1].extend(onsets[max(at, taken) : end])
            taken = end
        held[first.link] -= 1
        if not held[first.link]:
            del held[first.link]
    return groups


def _hub_events(links: Sequence[Observed]) -> tuple[Event, ...]:
    if sum(bool(one.hub_lost) for one in links) < FEWEST:
        return ()
    reached = _Steps(span for one in links for span in one.reached)
    with_anchors = {
        (one.link, loss.start_s): loss.anchors_lost for one in links for loss in one.hub_lost
    }
    onsets = sorted(_Onset(loss[0], one.link, loss[1]) for one in links for loss in one.hub_lost)
    events = []
    for group in _together(
        onsets, HUB_TOGETHER_S, lambda first: HUB_SHARE * reached.at(first.start_s - 1)
    ):
        members = {one.link for one in group}
        blind = sum(with_anchors[one.link, one.start_s] for one in group)
        if 2 * blind < len(members):
            observed = max(reached.at(group[0].start_s - 1), len(members))
            events.append(_event(EventKind.HUB, "", group, observed))
    return tuple(events)


def _between(runs: Sequence[Run], lost: Sequence[Span]) -> list[Span]:
    """Where the link was known and the hub not lost."""
    found: list[Span] = []
    for known, group in itertools.groupby(runs, key=_known):
        if known:
            pieces = list(group)
            found.extend(without(Span(pieces[0].start_s, pieces[-1].end_s), lost))
    return found
