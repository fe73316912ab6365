"""A link's time in chunks, each judged alone as far as that is certain, and joined exactly.

`join` is associative: the runs of a month are the join of those of its days, wherever it is cut.
When evidence comes late, only the chunks of the days that it touches are made anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from collector.audit.evidence import Span
from collector.audit.intervals import Run
from collector.audit.rules import UnavailabilityRule
from collector.audit.states import State
from collector.audit.strip import Strip
from collector.audit.timeline import (
    BRIDGE_S,
    Settled,
    Showing,
    Shown,
    clip,
    glue,
    settle,
    showing,
)


@dataclass(frozen=True, eq=False)
class Chunk:
    """The seconds of `settled` under `rule`."""

    rule: UnavailabilityRule
    settled: Settled

    @classmethod
    def of(cls, strip: Strip, rule: UnavailabilityRule, hub_off: Iterable[Span] = ()) -> "Chunk":
        """The chunk of all seconds of `strip`.

        Raises ValueError if its edges cut an interval of the rule.
        """
        if strip.start_s % rule.bin_s or strip.end_s % rule.bin_s:
            raise ValueError(
                f"chunk {strip.start_s}..{strip.end_s} cuts an interval: expected edges at "
                f"multiples of {rule.bin_s} s"
            )
        return cls(rule, settle(showing(strip, hub_off), rule))

    @property
    def start_s(self) -> int:
        """First second."""
        return self.settled.head.start_s

    @property
    def end_s(self) -> int:
        """First second after it."""
        return self.settled.tail.end_s

    def runs(self) -> tuple[Run, ...]:
        """The states of all its seconds; outside of it nothing is known."""
        if self.start_s == self.end_s:
            return ()
        sides = (self.start_s - _SILENCE_S, self.start_s), (self.end_s, self.end_s + _SILENCE_S)
        before, after = (Chunk(self.rule, settle(_silence(*side), self.rule)) for side in sides)
        whole = join([before, self, after])
        return clip(whole.settled.runs, self.start_s, self.end_s)


def join(chunks: Sequence[Chunk]) -> Chunk:
    """Chunks of one rule that follow one another, as one. Raises ValueError where one does not."""
    return reduce(_joined, chunks)


def _joined(left: Chunk, right: Chunk) -> Chunk:
    if left.rule != right.rule:
        raise ValueError(f"chunks judged by {left.rule} and by {right.rule}")
    a, b = left.settled, right.settled
    between = [a.tail if a.runs else a.head, b.head]
    from_s, to_s = between[0].start_s, between[1].end_s
    before = a.runs[-1].state if a.runs else None
    if before is State.UNKNOWN:
        between.insert(0, _silence(from_s - _SILENCE_S, from_s))
    if b.runs:
        between.append(_sample(b.runs[0], left.rule))
    middle = settle(glue(between), left.rule, before)
    certain = clip(middle.runs, from_s, to_s)
    return Chunk(
        left.rule,
        Settled(
            a.head if a.runs else middle.head,
            _chained(_chained(a.runs, certain), b.runs),
            b.tail if b.runs else middle.tail,
        ),
    )


def _sample(run: Run, rule: UnavailabilityRule) -> Showing:
    """So much of the beginning of a certain run as makes its state certain again."""
    if run.state is State.UNKNOWN:
        return _silence(run.start_s, run.start_s + _SILENCE_S)
    down = run.state is State.DOWN
    length_s = (rule.bins_in if down else rule.bins_out) * rule.bin_s
    return Showing.only(Shown.BAD if down else Shown.GOOD, run.start_s, run.start_s + length_s)


_SILENCE_S = BRIDGE_S + 1


def _silence(start_s: int, end_s: int) -> Showing:
    return Showing.only(Shown.NOTHING, start_s, end_s)


def _chained(before: tuple[Run, ...], after: tuple[Run, ...]) -> tuple[Run, ...]:
    """Runs that follow one another; where they meet in one state, one run."""
    if before and after and before[-1].state is after[0].state:
        seam = Run(before[-1].start_s, after[0].end_s, after[0].state)
        return (*before[:-1], seam, *after[1:])
    return before + after
