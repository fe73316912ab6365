"""Which batches have to be in a bundle, so that a link's period can be judged from them alone.

- Of the link itself (its node's agents, and the prober beside the hub): everything from a second in
  which it was up before the period to one after it, with what judging looks at beside it.
- Of its throughput tests: all that loaded it then, also where the agent told of them later.
- Of every other link: what it showed in the windows in which the link's causes are compared with
  others, because a cause hangs on how many of them were in order.
- Of every epoch that bears on those: its first and its newest batch, which say when the process
  lived; and the batches that carry the best of the hub's clock beside the chosen ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from collector.audit.evidence import Span
from collector.audit.loaded import LONGEST_NS
from collector.audit.rules import UnavailabilityRule
from collector.ledger import LedgerError
from collector.ledger.derived import HOLD_S, REACH_S, DerivedStore
from collector.ledger.derived_schema import HOUR_S, TRANSFER, LifeRow
from collector.ledger.sqlite import Row, SqliteLedger
from collector.settle.calm import Calms
from collector.settle.clockmap import BUCKET_NS
from collector.settle.gather import Clocks, lives_of, touching_lives
from collector.settle.judge import MARGIN_S, Judge, Known
from collector.settle.reach import Reaches
from runtime.clock import SECOND

BESIDE_S = 600
"""Of another link, seconds beside a window: what is missing there must not look like a trouble."""
OWN_BESIDE_S = 2 * MARGIN_S + HOLD_S
ANCHORS_AT_ONCE = 3
"""An anchor is told by the batch of its moment or by the next: heartbeats repeat the newest."""

_TOUCHING = """
SELECT DISTINCT batch_id FROM stretch WHERE link=? AND to_s>=? AND to_s<? AND from_s<?
"""
_SAMPLES = f"""
SELECT batch_id FROM sample WHERE link=?1 AND kind<>'{TRANSFER}' AND at_s>=?2 AND at_s<?3
UNION SELECT batch_id FROM (SELECT batch_id FROM sample WHERE link=?1 AND kind='reading'
  AND at_s<?2 ORDER BY at_s DESC LIMIT 1)
UNION SELECT batch_id FROM (SELECT batch_id FROM sample WHERE link=?1 AND kind='power'
  AND at_s<?2 ORDER BY at_s DESC LIMIT 1)
"""
_TESTS = f"""
SELECT batch_id FROM sample WHERE link=? AND kind='{TRANSFER}' AND at_s>=? AND at_s<?
"""
_ANCHORED = """
SELECT id FROM batch WHERE agent_id=? AND boot_id=? AND last_boot_ns>=?
ORDER BY last_boot_ns LIMIT ?
"""
_ENDS = """
SELECT first_batch, (SELECT id FROM batch b WHERE b.agent_id=l.agent_id AND b.epoch=l.epoch
  ORDER BY seq DESC LIMIT 1) FROM life l WHERE agent_id=? AND epoch=?
"""


class Chosen(NamedTuple):
    """What has to be in the bundle."""

    around: Span
    """See documents.Bundle."""
    own: Span
    """Seconds of which the link's own evidence is here whole."""
    windows: tuple[Span, ...]
    batches: Mapping[bytes, list[int]]
    """By agent, in the order of their arrival."""
    reaches: Mapping[str, int | None]
    """See documents.LinkDocument, by link; links that no window asks for are left out."""


class Books(NamedTuple):
    """The collector's stores."""

    ledger: SqliteLedger
    derived: DerivedStore
    judge: Judge
    world: Mapping[str, Known]


def choose(books: Books, link: str, span: Span, now_s: int) -> Chosen:
    """Raises LedgerError where the link has no evidence in the span."""
    around = books.judge.around(link, span, now_s)
    if around is None:
        raise LedgerError(
            f"there is no evidence of link {link} from {span.start_s} to {span.end_s}"
        )
    windows = tuple(books.judge.compared(link, around, now_s))
    return _Choice(books, now_s).of(link, around, windows)


class _Choice:
    """One choosing."""

    def __init__(self, books: Books, now_s: int) -> None:
        self._books, self._now_s = books, now_s
        self._rows = books.ledger.rows
        self._reaches = Reaches(books.ledger, books.derived)
        self._clocks, self._calms = Clocks(books.derived), Calms(books.derived)
        self._ids: set[int] = set()

    def of(self, link: str, around: Span, windows: tuple[Span, ...]) -> Chosen:
        own = Span(around.start_s - OWN_BESIDE_S, around.end_s + OWN_BESIDE_S)
        self._seconds(link, own)
        self._told(link, own)
        self._tests(link, own)
        reach_s = self._reach(link)
        reaches: dict[str, int | None] = {}
        if windows:
            reaches = {other: self._reach(other) for other in self._books.world}
            for other, frontier in reaches.items():
                if other != link and frontier is not None:
                    for window in windows:
                        self._other(other, window, frontier)
        # What is later than all that is here reaches no farther than what is here.
        reaches[link] = None if reach_s is None else min(reach_s, own.end_s)
        return Chosen(around, own, windows, self._by_agent(), reaches)

    def _reach(self, link: str) -> int | None:
        return self._reaches.frontier(link, self._books.world[link].agents, self._now_s)

    # --- which batches --------------------------------------------------------------------

    def _other(self, link: str, window: Span, frontier_s: int) -> None:
        """What another link shows in a window."""
        near = Span(window.start_s, min(window.end_s, frontier_s))
        if near.length_s <= 0:
            return
        self._seconds(link, Span(near.start_s - BESIDE_S, near.end_s + BESIDE_S))
        pop, rule = self._books.world[link].pop, _rule(self._books.world[link], near)
        hub_off = self._books.derived.hub_off(*window)
        if hub_off or self._calms.observed(link, pop, near, rule) is None:
            self._told(link, near)

    def _seconds(self, link: str, span: Span) -> None:
        """Everything that decides what these seconds showed, and their clocks."""
        low, high = span.start_s - HOLD_S, span.end_s + HOLD_S
        self._placed({row[0] for row in self._rows(_TOUCHING, (link, low, high + REACH_S, high))})

    def _tests(self, link: str, span: Span) -> None:
        """The tests that loaded the link then, wherever they are told: of one that was cut short
        the agent's next life tells, perhaps days later."""
        low = span.start_s - LONGEST_NS // SECOND - HOLD_S
        self._placed({row[0] for row in self._rows(_TESTS, (link, low, span.end_s))})

    def _placed(self, found: set[int]) -> None:
        """These batches, and what places them on the calendar."""
        self._ids |= found
        used = {
            (row[0], row[1], bucket)
            for row in self._boots(found)
            for bucket in range(row[2] // BUCKET_NS, row[3] // BUCKET_NS + 1)
        }
        self._anchored(used)

    def _boots(self, ids: Iterable[int]) -> list[Row]:
        """(agent, boot, first and last boot nanosecond) that stretches of these batches tell of."""
        found: list[Row] = []
        for some in _pieces(sorted(ids)):
            marks = ",".join("?" * len(some))
            found += self._rows(
                "SELECT b.agent_id, b.boot_id, min(s.first_boot_ns), max(s.last_boot_ns)"
                f" FROM batch b JOIN stretch s ON s.batch_id=b.id WHERE b.id IN ({marks})"
                " GROUP BY b.id",
                some,
            )
        return found

    def _anchored(self, used: Iterable[tuple[bytes, bytes, int]]) -> None:
        """The batches that tell the anchors by which these buckets of boot clocks are placed."""
        wanted = {
            (agent_id, boot_id, one.boot_ns)
            for agent_id, boot_id, bucket in used
            for one in self._books.derived.anchors(agent_id, boot_id, bucket)
        }
        for at in wanted:
            self._ids |= {row[0] for row in self._rows(_ANCHORED, (*at, ANCHORS_AT_ONCE))}

    def _told(self, link: str, span: Span) -> None:
        """What device, mains and the agents' lives say of a span."""
        values = link, span.start_s, span.end_s + HOUR_S
        self._ids |= {row[0] for row in self._rows(_SAMPLES, values)}
        agents = [one.agent_id for one in self._books.world[link].agents]
        rows = self._books.derived.lives(agents) if agents else []
        lives = touching_lives(lives_of(rows, self._clocks, span), span)
        by_epoch = {(row.boot_id.hex(), row.epoch.hex()): row for row in rows}
        for life in lives:
            self._life(by_epoch[life.boot_id, life.epoch], span)

    def _life(self, row: LifeRow, span: Span) -> None:
        for ends in self._rows(_ENDS, (row.agent_id, row.epoch)):
            self._ids |= set(ends)
        clock = self._clocks.of(row.agent_id, row.boot_id)
        moments = {0, row.first_boot_ns, row.last_boot_ns}
        begun = clock.map(0)
        if begun is not None:
            for second in (span.start_s, (span.start_s + span.end_s) // 2, span.end_s):
                within_ns = second * 1_000_000_000 - begun.wall_ns(0)
                moments.add(min(max(within_ns, row.first_boot_ns), row.last_boot_ns))
        self._anchored({(row.agent_id, row.boot_id, one // BUCKET_NS) for one in moments})

    def _by_agent(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = defaultdict(list)
        for some in _pieces(sorted(self._ids)):
            marks = ",".join("?" * len(some))
            for agent_id, batch_id in self._rows(
                f"SELECT agent_id, id FROM batch WHERE id IN ({marks}) ORDER BY id", some
            ):
                found[agent_id].append(batch_id)
        return {agent_id: found[agent_id] for agent_id in sorted(found)}


def _rule(known: Known, near: Span) -> UnavailabilityRule:
    parts = [one for one in known.parts if one.span.overlap_s(near)]
    first = min(parts, key=lambda one: one.span.start_s, default=None)
    if first is None or first.span.start_s > near.start_s:
        return UnavailabilityRule()
    return first.terms.unavailability


def _pieces(ids: list[int]) -> Iterable[tuple[int, ...]]:
    for at in range(0, len(ids), 500):
        yield tuple(ids[at : at + 500])
