"""A month of a district's links, seeded: what fails when, and what every second shows of it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.audit.strip import Mark, View, pack

Codes = npt.NDArray[np.uint16]
CONNECTS_S = 60
"""A CPE that booted takes so long to have a way out."""
STARTS_S = 35
"""A box that booted takes so long to have an agent."""
HUB_OFF = (1_000_000, 1_000_300)
"""The hub's reflector is unreachable for all links, once."""
_OK = dict.fromkeys((View.HUB, View.ANCHOR, View.GATEWAY, View.JOURNAL), Mark.OK)
_CUT = _OK | {View.HUB: Mark.LOST, View.ANCHOR: Mark.LOST}
ALL_OK, CUT, NO_HUB = pack(_OK), pack(_CUT), pack(_OK | {View.HUB: Mark.LOST})
_NO_ANCHOR = ~np.uint16(3 << 2 * View.ANCHOR)


class Silence(NamedTuple):
    """[start_s, end_s) of the month in which the agent recorded nothing."""

    start_s: int
    end_s: int
    power: bool
    """The site had no mains: box and CPE boot at its end. Else the agent's process died alone."""


class Story(NamedTuple):
    """A link's month."""

    codes: Codes
    silences: tuple[Silence, ...]
    """In order and apart."""
    faults: tuple[tuple[int, int], ...]
    """All that was not in order for 3 s or more."""


def _poisson(
    chance: np.random.Generator, count: float, median_s: float, seconds: int
) -> Iterator[tuple[int, int]]:
    """Poisson many stretches of log-normal length."""
    for at in sorted(chance.integers(0, seconds, chance.poisson(count)).tolist()):
        yield at, min(at + 1 + int(median_s * chance.lognormal(0, 1.2)), seconds)


def _lose(codes: Codes, chance: np.random.Generator, share: float, *views: View) -> None:
    at = chance.integers(0, len(codes), chance.poisson(share * len(codes)))
    for view in views:
        codes[at] = codes[at] & ~np.uint16(3 << 2 * view) | np.uint16(Mark.LOST << 2 * view)


def _flaps(chance: np.random.Generator, seconds: int) -> Iterator[tuple[int, int]]:
    """One evening of two hours in which every second minute holds an outage."""
    evening = int(chance.integers(0, max(seconds - 7_200, 1)))
    for minute in range(evening, min(evening + 7_200, seconds - 60), 120):
        yield minute, minute + int(chance.integers(12, 40))


def _silences(chance: np.random.Generator, share: float, seconds: int) -> list[Silence]:
    found: list[Silence] = []
    cuts = [(*one, True) for one in _poisson(chance, 1.5 * share, 1_800, seconds)]
    cuts += [(*one, False) for one in _poisson(chance, 0.5 * share, 120, seconds)]
    for start_s, end_s, power in sorted(cuts):
        # An hour between two, so that each life has its first and its last minute.
        after = found[-1].end_s + 3_600 if found else 3_600
        if start_s >= after and start_s + 60 < end_s < seconds - 3_600:
            found.append(Silence(start_s, end_s, power))
    return found


def invent(number: int, pop: int, seed: int, seconds: int) -> Story:
    """Link `number`, which hangs on the PoP of this number; rates are those of 30 days."""
    chance = np.random.default_rng((seed, number))
    share = seconds / (30 * 86_400)
    codes = np.full(seconds, ALL_OK, np.uint16)
    for view in (View.HUB, View.ANCHOR, View.GATEWAY):
        _lose(codes, chance, 0.0005, view)
    lossy = number % 50 == 7
    both = chance.uniform(0.01, 0.1) if lossy else chance.uniform(0.0002, 0.004)
    _lose(codes, chance, both, View.HUB, View.ANCHOR)
    cuts = [*_poisson(chance, 20 * share, 3, seconds), *_poisson(chance, 4 * share, 300, seconds)]
    if number % 100 == 23:
        cuts += _flaps(chance, seconds)
    common = np.random.default_rng((seed, 1_000_000 + pop))
    for start_s, end_s in _poisson(common, share, 600, seconds):
        cuts.append((min(start_s + int(chance.integers(0, 5)), end_s - 1), end_s))
    for start_s, end_s in cuts:
        codes[start_s:end_s] = CUT
    if seconds > HUB_OFF[1]:
        away = codes[slice(*HUB_OFF)]
        away[away != CUT] = NO_HUB
    silences = _silences(chance, share, seconds)
    for start_s, end_s, power in silences:
        if power:
            codes[end_s : end_s + CONNECTS_S] = CUT
        codes[start_s:end_s] = 0
    # Two anchors are asked every 10 s each, as configs/links.yaml has it.
    phase = np.arange(seconds) % 10
    codes[(phase != number % 10) & (phase != (number * 7 + 3) % 10)] &= _NO_ANCHOR
    faults = [*cuts, *((a, b + CONNECTS_S) for a, b, _ in silences)]
    return Story(
        codes, tuple(silences), tuple(sorted(one for one in faults if one[1] - one[0] > 2))
    )
