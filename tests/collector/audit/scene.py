"""A link's evidence from a script of what each stretch of seconds showed."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from collector.audit.attribution import attribute
from collector.audit.correlation import Context, Observed, correlate, observe
from collector.audit.evidence import DeviceSample, Evidence, Life, MainsSample, Span
from collector.audit.intervals import Interval, Run, check_whole
from collector.audit.rules import Terms
from collector.audit.states import State
from collector.audit.strip import Mark, Strip, View, pack

OK, LOST, UNSENT, NONE = Mark.OK, Mark.LOST, Mark.UNSENT, Mark.NONE
TEN = 1_790_000_400
"""10:00:00 of the vectors."""
ALL_UP = {View.HUB: OK, View.ANCHOR: OK, View.FIRST_HOP: OK, View.GATEWAY: OK, View.OUTSIDE: OK}


def shows(
    hub: Mark = NONE,
    anchor: Mark = NONE,
    first_hop: Mark = NONE,
    gateway: Mark = NONE,
    outside: Mark = NONE,
    *,
    alive: bool = True,
) -> int:
    return pack(
        {
            View.HUB: hub,
            View.ANCHOR: anchor,
            View.FIRST_HOP: first_hop,
            View.GATEWAY: gateway,
            View.OUTSIDE: outside,
            View.JOURNAL: OK if alive else NONE,
        }
    )


UP = shows(OK, OK, OK, OK, OK)
ACCESS = shows(LOST, LOST, LOST, OK, LOST)
SILENT = shows(alive=False)


class Piece(NamedTuple):
    length_s: int
    code: int
    state: State


def up(length_s: int) -> Piece:
    return Piece(length_s, UP, State.UP)


def down(length_s: int, code: int = ACCESS) -> Piece:
    return Piece(length_s, code, State.DOWN)


def silent(length_s: int, code: int = SILENT) -> Piece:
    return Piece(length_s, code, State.UNKNOWN)


class Scene:
    """One link; its script begins at TEN - 600."""

    def __init__(
        self,
        *pieces: Piece,
        link: str = "l1",
        pop: str = "X",
        lives: Sequence[Life] = (),
        device: Sequence[DeviceSample] = (),
        mains: Sequence[MainsSample] = (),
        hub_off: Sequence[Span] = (),
        start_s: int = TEN - 600,
    ) -> None:
        import numpy as np

        seconds = np.concatenate([np.full(p.length_s, p.code, np.uint16) for p in pieces])
        self.evidence = Evidence(
            link=link,
            pop=pop,
            strip=Strip.of_seconds(start_s, seconds),
            lives=tuple(lives),
            device=tuple(device),
            mains=tuple(mains),
            hub_off=tuple(hub_off),
        )
        runs: list[Run] = []
        at = start_s
        for piece in pieces:
            if runs and runs[-1].state is piece.state:
                runs[-1] = runs[-1]._replace(end_s=at + piece.length_s)
            else:
                runs.append(Run(at, at + piece.length_s, piece.state))
            at += piece.length_s
        self.runs = tuple(runs)

    def with_(self, **changes: object) -> "Scene":
        other = Scene.__new__(Scene)
        other.evidence = dataclasses.replace(self.evidence, **changes)  # type: ignore[arg-type]
        other.runs = self.runs
        return other

    def seen(self) -> Observed:
        return observe(self.evidence, self.runs)

    def judged(self, terms: Terms | None = None, context: Context | None = None) -> list[Interval]:
        """All intervals that are not plainly up."""
        if context is None:
            context = correlate([self.seen()]).context(self.evidence.link)
        found = attribute(self.evidence, self.runs, terms or Terms(), context)
        check_whole(found, self.runs[0].start_s, self.runs[-1].end_s)
        return [one for one in found if one.cause != "none"]


def life(
    first_s: float,
    last_s: float,
    boot: str = "A",
    booted_s: float = TEN - 90_000,
    *,
    stopped: bool = False,
) -> Life:
    return Life(f"{boot}{first_s}", boot, booted_s, first_s, last_s, stopped, 0.01)


def cpe(
    at_s: float,
    uptime_s: float | None,
    *,
    up: bool | None = True,
    changed_s: float | None = 10,
    octets: int | None = None,
    discontinuity_s: float | None = 0,
) -> DeviceSample:
    return DeviceSample(at_s, uptime_s, up, changed_s, discontinuity_s, octets, octets)
