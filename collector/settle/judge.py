"""Judges what was woven: runs, causes, intervals and outages, for the seconds that changed.

A link is judged up to its frontier, where its evidence ends; what is later is the live road's. A
window is judged at a time, from an UP second to an UP second, so that no outage is cut; what is
judged twice gives the same, and what later evidence changes becomes a revision.
"""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from collector.audit.attribution import attribute
from collector.audit.correlation import Context, Observed, correlate, observe
from collector.audit.evidence import Evidence, Span, Window
from collector.audit.intervals import Interval, Outage, Run
from collector.audit.outages import outages
from collector.audit.provisional import Change, ChangeKind, revise
from collector.audit.rules import Terms
from collector.audit.sights import Sights
from collector.audit.states import State
from collector.audit.strip import Strip, View
from collector.audit.timeline import Showing, clip, judge, showing
from collector.audit.violations import degraded
from collector.ledger import Agent
from collector.ledger.derived import DerivedStore
from collector.ledger.derived_schema import LifeRow
from collector.ledger.outages import SETTLED_AFTER_S, Lane, OutageStore, Revision
from collector.ledger.sqlite import SqliteLedger
from collector.settle.calm import QUARTER_S
from collector.settle.gather import Clocks, Subject, gather, lives_of, loaded_of, strip_of
from collector.settle.others import Asked, Others
from collector.settle.reach import Reached, Reaches

log = logging.getLogger(__name__)
MARGIN_S = 900
"""Seconds around what changed: enough to know which targets answer while the link is up."""
BESIDE_S = 90
"""An outage so near to a changed second may be one event with it."""
LOOK_EVERY_S = 600
LEAST_S = 10
"""A frontier that advanced by less is not worth a look."""
Row = TypeVar("Row", Run, Interval)
_AVAILABLE = (State.UP, State.DEGRADED)


class Part(NamedTuple):
    """Seconds of a link under one contract, or under none."""

    span: Span
    terms: Terms
    windows: tuple[Window, ...]


class Known(NamedTuple):
    """What the inventory, the contracts and the register say of a link now."""

    pop: str
    agents: tuple[Agent, ...]
    """All that ever spoke for its node."""
    parts: tuple[Part, ...]
    """The seconds of each contract, in order; windows are excluded time."""
    digest: str
    """Of all of it that a judgement hangs on."""


World = Callable[[], Mapping[str, Known]]
"""The same object until something of it changes."""


@dataclass
class _Round:
    """What is read once while a number of links are judged."""

    world: Mapping[str, Known]
    clocks: Clocks
    now_s: int
    number: int
    lives: dict[str, list[LifeRow]] = field(default_factory=dict)
    observed: dict[Span, dict[str, Observed]] = field(default_factory=dict)
    """All links by window."""


class Judge:
    """Calls from one thread."""

    def __init__(
        self,
        ledger: SqliteLedger,
        derived: DerivedStore,
        kept: OutageStore,
        world: World,
        reaches: Reached | None = None,
    ) -> None:
        """`reaches` says how far each link's evidence is whole; by default the ledger does."""
        self._ledger, self._derived, self._kept, self._world = ledger, derived, kept, world
        self._reaches: Reached = Reaches(ledger, derived) if reaches is None else reaches
        self._others = Others(derived)
        self._spoken: tuple[Mapping[str, Known], dict[bytes, list[str]]] = {}, {}
        """The links whose node an agent ever spoke for, of a world."""
        self._look: set[str] = set()
        """Links to look at although nothing of them waits."""
        self._looked: tuple[Mapping[str, Known], int] = {}, 0
        self._for_peers: set[str] = set()
        """Links that wait only because one beside them changed."""
        self._turns = 0
        self._moved: dict[str | bytes, int] = {}
        """In which turn the seconds of a link, or the batches of an agent, were last new."""
        self._all_moved = 0
        self._judged: dict[str, tuple[int, Span]] = {}
        """In which turn a link was last judged, and what of it."""

    def step(self, now_s: int, most: int = 50, only: Collection[str] | None = None) -> list[str]:
        """Judge up to `most` of the links that wait, or of `only` these; the ones that were judged.

        All that was received is woven: half of the evidence would make outages of its own.
        """
        self._turns += 1
        turn = _Round(self._world(), Clocks(self._derived), now_s, self._turns)
        changed = self._derived.changed_hours()
        self._moved |= dict.fromkeys((link for link, _ in changed), self._turns)
        spoke = self._reaches.forget(changed)
        self._moved |= dict.fromkeys(spoke, self._turns)
        self._others.forget(changed, self._links_of(turn.world, spoke))
        self._for_peers -= {link for link, _ in changed}
        waiting = self._derived.rejudge()
        self._look_around(turn)
        judged: list[str] = []
        # Who waits for others' sake comes last: then all the others are known.
        due = sorted(self._look | waiting.keys(), key=lambda link: (link in self._for_peers, link))
        for link in due:
            if len(judged) == most:
                break
            if only is not None and link not in only:
                continue
            self._look.discard(link)
            span = self._due(turn, link, waiting.get(link)) if link in turn.world else None
            if span is not None:
                self._judge(turn, link, span)
                self._kept.set_digest(link, turn.world[link].digest)
                judged.append(link)
            if link in waiting and (span is not None or link not in turn.world):
                self._derived.judged(link, waiting[link])
        return judged

    def _look_around(self, turn: _Round) -> None:
        """Look at all links where contracts or windows changed, and now and then: a hole may have
        been listed as lost."""
        world, looked_s = self._looked
        if turn.world is not world or turn.now_s >= looked_s + LOOK_EVERY_S:
            self._reaches.forget_all()
            self._others.forget_all()
            self._all_moved = self._turns
            self._look |= turn.world.keys()
            self._looked = turn.world, turn.now_s

    def _links_of(self, world: Mapping[str, Known], agents: Iterable[bytes]) -> list[str]:
        if self._spoken[0] is not world:
            spoken: dict[bytes, list[str]] = {}
            for link, known in world.items():
                for agent in known.agents:
                    spoken.setdefault(agent.agent_id, []).append(link)
            self._spoken = world, spoken
        return [link for agent in agents for link in self._spoken[1].get(agent, ())]

    # --- what to judge --------------------------------------------------------------------

    def _frontier(self, turn: _Round, link: str) -> int | None:
        return self._reaches.frontier(link, turn.world[link].agents, turn.now_s)

    def _due(self, turn: _Round, link: str, waiting: Span | None) -> Span | None:
        """The seconds of a link to judge now, if any."""
        known = turn.world[link]
        whole = self._reaches.whole(link, known.agents, turn.now_s)
        if whole is None:
            return None
        frontier = whole.end_s
        if self._kept.digest(link) != known.digest:
            return whole
        judged_s = self._kept.judged_until(link)
        if judged_s is None:
            return whole
        due = [Span(judged_s, frontier)] if frontier >= judged_s + LEAST_S else []
        if waiting is not None and waiting.start_s < frontier:
            due.append(Span(waiting.start_s, min(waiting.end_s, frontier)))
        if not due:
            return None
        return Span(min(one.start_s for one in due), max(one.end_s for one in due))

    def _window(self, link: str, span: Span, whole: Span) -> Span:
        """The seconds around `span`, from one that is UP to one that is UP."""
        start_s, end_s = span.start_s - MARGIN_S, span.end_s + MARGIN_S
        while (one := self._kept.around(link, start_s)) and one.state not in _AVAILABLE:
            start_s = one.start_s - MARGIN_S
        while (one := self._kept.around(link, end_s)) and one.state not in _AVAILABLE:
            end_s = one.end_s + MARGIN_S
        return Span(max(start_s, whole.start_s), min(end_s, whole.end_s))

    def around(self, link: str, span: Span, now_s: int) -> Span | None:
        """The seconds that have to be judged with `span`, so that no outage is cut; None where the
        link has no evidence in it."""
        turn = _Round(self._world(), Clocks(self._derived), now_s, self._turns)
        whole = self._reaches.whole(link, turn.world[link].agents, now_s)
        if whole is None or not whole.overlap_s(span):
            return None
        return self._window(link, span, whole)

    def compared(self, link: str, span: Span, now_s: int) -> list[Span]:
        """In which windows judging `span` asks what the other links showed, in order."""
        turn = _Round(self._world(), Clocks(self._derived), now_s, self._turns)
        whole = self._reaches.whole(link, turn.world[link].agents, now_s)
        assert whole is not None, "only links with evidence are judged"
        found: set[Span] = set()
        for part in _parts(turn.world[link], _within(span, whole)):
            margin = _within(Span(part.span.start_s - MARGIN_S, part.span.end_s + MARGIN_S), whole)
            strip = self._strip(link, margin)
            shown = showing(strip, self._derived.hub_off(*margin))
            ran = judge(shown, part.terms.unavailability)
            found |= {_quarters(_within(_around(one), whole)) for one in happened(strip, ran)}
        return sorted(found)

    # --- judging --------------------------------------------------------------------------

    def _judge(self, turn: _Round, link: str, span: Span) -> None:
        whole = self._reaches.whole(link, turn.world[link].agents, turn.now_s)
        assert whole is not None, "only links with evidence are due"
        window = self._window(link, span, whole)
        intervals: list[Interval] = []
        found: list[Outage] = []
        for part in _parts(turn.world[link], window):
            seconds, cuts = self._part(turn, link, part, whole)
            intervals.extend(seconds)
            found.extend(cuts)
        self._kept.keep_intervals(link, window, intervals)
        kept = [
            one
            for one in self._kept.newest(Lane.EVIDENCE, link, window)
            if window.start_s <= one.outage.start.at_s < window.end_s
        ]
        self._say(link, revise(kept, found), turn.now_s)
        self._judged[link] = turn.number, window
        if link in self._for_peers:
            self._for_peers.discard(link)
        else:
            self._tell_peers(turn, link, span)

    def _part(
        self, turn: _Round, link: str, part: Part, whole: Span
    ) -> tuple[list[Interval], list[Outage]]:
        """Intervals and outages of the part, by its own terms.

        What happened is judged with MARGIN_S around it and no more, whatever the window: so it is
        judged alike today and in the audit of the month.
        """
        margin = _within(Span(part.span.start_s - MARGIN_S, part.span.end_s + MARGIN_S), whole)
        rule = part.terms.unavailability
        strip, hub_off = self._strip(link, margin), self._derived.hub_off(*margin)
        shown = showing(strip, hub_off)
        ran = judge(shown, rule)
        cases = [
            (event, self._seen(turn, link, part.terms, _within(_around(event), whole), event))
            for event in happened(strip, ran)
        ]
        told: list[Interval] = []
        for event, case in cases:
            near = case._replace(
                runs=clip(_touching(ran, _span(case.evidence)), *_span(case.evidence))
            )
            context = self._context(turn, near, part.windows)
            ran_here = tuple(_touching(near.runs, event))
            told += _clipped(attribute(near.evidence, ran_here, part.terms, context), event)
        whole_part = _painted([Interval(*run) for run in ran], told)
        loaded = loaded_of(self._derived, link, margin)
        judged = list(degraded(whole_part, shown, part.terms.degraded, loaded))
        found = [
            one
            for event, case in cases
            for one in outages(
                case.evidence,
                case.shown,
                _clipped(_touching(judged, _span(case.evidence)), _span(case.evidence)),
                rule,
            )
            if one.end is not None
            and one.end.at_s + SETTLED_AFTER_S <= whole.end_s
            and event.start_s <= one.start.at_s < event.end_s
            and part.span.start_s <= one.start.at_s < part.span.end_s
        ]
        return _clipped(judged, part.span), found

    def _strip(self, link: str, window: Span) -> Strip:
        return strip_of(self._derived, link, *window)

    def _seen(self, turn: _Round, link: str, terms: Terms, window: Span, event: Span) -> "_Seen":
        evidence = self._evidence(turn, link, window, event)
        shown = showing(evidence.strip, evidence.hub_off)
        return _Seen(evidence, shown, judge(shown, terms.unavailability))

    def _context(self, turn: _Round, near: "_Seen", windows: tuple[Window, ...]) -> Context:
        """What others showed in the same seconds."""
        evidence = near.evidence
        known = self._all_observed(turn, _quarters(_span(evidence)))
        own = observe(evidence, near.runs)
        others = (one for link, one in known.items() if link != evidence.link)
        return correlate([own, *others]).context(evidence.link, windows)

    def _all_observed(self, turn: _Round, window: Span) -> dict[str, Observed]:
        """What of every link bears on the others; those of which nothing is known then are left
        out."""
        if window not in turn.observed:
            hub_off = self._derived.hub_off(*window)
            found = {
                link: one
                for link in turn.world
                if (one := self._observed(turn, link, window, hub_off)) is not None
            }
            turn.observed[window] = found
        return turn.observed[window]

    def _observed(
        self, turn: _Round, link: str, window: Span, hub_off: tuple[Span, ...]
    ) -> Observed | None:
        frontier = self._frontier(turn, link)
        if frontier is None or frontier <= window.start_s:
            return None
        near = Span(window.start_s, min(window.end_s, frontier))
        terms = _parts(turn.world[link], near)[0].terms

        def look() -> Observed:
            seen = self._seen(turn, link, terms, near, near)
            return observe(seen.evidence, seen.runs)

        asked = Asked(near, terms.unavailability, hub_off)
        return self._others.observed(link, turn.world[link].pop, asked, look)

    def _evidence(self, turn: _Round, link: str, window: Span, event: Span) -> Evidence:
        """All of a window; of clocks, how wrong they were at the event."""
        known = turn.world[link]
        if link not in turn.lives:
            agents = [agent.agent_id for agent in known.agents]
            turn.lives[link] = self._derived.lives(agents) if agents else []
        lives = lives_of(turn.lives[link], turn.clocks, event)
        subject = Subject(link, known.pop, lives, self._frontier(turn, link))
        return gather(self._derived, subject, window, self._derived.hub_off(*window))

    # --- what follows ---------------------------------------------------------------------

    def _say(self, link: str, changes: Sequence[Change], now_s: int) -> None:
        if not changes:
            return
        self._kept.say(
            Lane.EVIDENCE,
            [Revision(one.id, one.kind is ChangeKind.WITHDRAWN, one.outage) for one in changes],
            now_s,
        )
        for one in changes:
            edge = one.outage.start.at_s
            log.info(
                "link %s: %s outage from %d: %s (%s)",
                link,
                one.kind,
                edge,
                one.outage.cause,
                ", ".join(one.changed) or one.outage.charge,
            )

    def _beside(self, near: Span) -> list[tuple[str, Span]]:
        """What has a cause in these seconds, by link: outages, and a lost hub that was none."""
        found = self._kept.blamed(near)
        for one in self._kept.all_newest(Lane.EVIDENCE, near):
            if not one.withdrawn:
                start_s = one.outage.start.at_s
                end_s = start_s + 1 if one.outage.end is None else one.outage.end.at_s
                found.append((one.outage.link, Span(start_s, end_s)))
        return found

    def _tell_peers(self, turn: _Round, link: str, span: Span) -> None:
        """Let outages beside the changed seconds be judged anew: they may be one event."""
        near = Span(span.start_s - BESIDE_S, span.end_s + BESIDE_S)
        moved = max(
            self._all_moved,
            self._moved.get(link, 0),
            *(self._moved.get(agent.agent_id, 0) for agent in turn.world[link].agents),
        )
        waiting: dict[str, Span] = {}
        for other, (start_s, end_s) in self._beside(near):
            if other != link and other in turn.world:
                judged_in, judged = self._judged.get(other, (-1, near))
                if judged_in >= moved and judged.start_s <= start_s and end_s <= judged.end_s:
                    continue  # it was judged when this link was already as it is
                held = waiting.get(other, Span(start_s, end_s))
                waiting[other] = Span(min(held.start_s, start_s), max(held.end_s, end_s))
        already = self._derived.rejudge()
        self._for_peers |= {other for other in waiting if other not in already}
        if waiting:
            self._derived.wait(waiting)


def _parts(known: Known, window: Span) -> list[Part]:
    """The window cut where contracts change; by default terms where there is none."""
    parts: list[Part] = []
    at = window.start_s
    for one in known.parts:
        start_s, end_s = _within(one.span, window)
        if start_s >= end_s:
            continue
        if at < start_s:
            parts.append(Part(Span(at, start_s), Terms(), ()))
        parts.append(one._replace(span=Span(start_s, end_s)))
        at = end_s
    if at < window.end_s:
        parts.append(Part(Span(at, window.end_s), Terms(), ()))
    return parts


class _Seen(NamedTuple):
    """A window of a link as its own packets show it."""

    evidence: Evidence
    shown: Showing
    runs: tuple[Run, ...]


def _span(evidence: Evidence) -> Span:
    return Span(evidence.strip.start_s, evidence.strip.end_s)


def _around(span: Span) -> Span:
    return Span(span.start_s - MARGIN_S, span.end_s + MARGIN_S)


def _quarters(span: Span) -> Span:
    """The whole quarters of an hour that hold the span."""
    return Span(span.start_s - span.start_s % QUARTER_S, span.end_s + -span.end_s % QUARTER_S)


def _within(span: Span, whole: Span) -> Span:
    return Span(max(span.start_s, whole.start_s), min(span.end_s, whole.end_s))


def happened(strip: Strip, runs: Iterable[Run]) -> list[Span]:
    """Where something is to be explained: not up, or one end of the measurement lost; those that
    touch as one."""
    sights = Sights(strip)
    whole = Span(strip.start_s, strip.end_s)
    spans = [Span(run.start_s, run.end_s) for run in runs if run.state not in _AVAILABLE]
    spans += sights.lost(View.HUB, whole)
    spans += sights.lost(View.ANCHOR, whole) if sights.believed(View.ANCHOR) else []
    merged: list[Span] = []
    for one in sorted(spans):
        if merged and one.start_s <= merged[-1].end_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, one.end_s))
        else:
            merged.append(one)
    return merged


def _touching(rows: Sequence[Row], span: Span) -> Sequence[Row]:
    """Those of the rows, which follow one another, that share a second with the span."""
    low = bisect_right(rows, span.start_s, key=lambda one: one.end_s)
    return rows[low : bisect_left(rows, span.end_s, key=lambda one: one.start_s)]


def _clipped(intervals: Iterable[Interval], span: Span) -> list[Interval]:
    """The parts of the intervals within the span."""
    cut = (
        one._replace(start_s=max(one.start_s, span.start_s), end_s=min(one.end_s, span.end_s))
        for one in intervals
    )
    return [one for one in cut if one.start_s < one.end_s]


def _painted(whole: Sequence[Interval], over: Sequence[Interval]) -> list[Interval]:
    """`whole` with the seconds of `over` replaced; both in order, and `over` within `whole`."""
    found: list[Interval] = []
    layers = iter(over)
    top = next(layers, None)
    for one in whole:
        at = one.start_s
        while top is not None and top.start_s < one.end_s:
            if at < top.start_s:
                found.append(one._replace(start_s=at, end_s=top.start_s))
            if top.start_s >= one.start_s:
                found.append(top)
            at = max(at, top.end_s)
            if top.end_s > one.end_s:
                break
            top = next(layers, None)
        if at < one.end_s:
            found.append(one._replace(start_s=at))
    return found
