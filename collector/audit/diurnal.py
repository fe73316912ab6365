"""What corroborates contention and can accuse nobody: the day's rhythm in rates and in delays.

The rhythm is fitted by least squares at 24 h with a free mean: on whole days it equals the
Fourier coefficient, on hours with holes it is the generalised Lomb-Scargle fit at that one
frequency. Its p-value turns every day by a random number of hours, on its own.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from collector.audit.statistics import Draws

MATERIAL_AMPLITUDE = 0.05
"""Share of the CIR: a swing of 10 % from peak to trough."""
MATERIAL_P = 0.001
SHIFTS = 10_000
ELEVATION_MS = 7.0
"""Dhamdhere et al. (SIGCOMM 2018)."""
IDLE_BELOW = 0.30
"""Own use of the CIR above which a bin's delay may be the user's own queue."""


_TURNS = np.exp(2j * np.pi * np.arange(24) / 24)
"""What an hour's turn multiplies by, for every hour."""


class Rhythm(msgspec.Struct, frozen=True):
    """Daily swing of attainment: y = mean + amplitude cos(2 pi (t - peak_hour) / 24)."""

    amplitude: float
    """Share of the expected rate."""
    peak_hour: float
    """Local hour of the best rate, 0 to 24."""
    p: float | None
    """Share of turned days with such a swing or more; None where it was not asked for."""

    material: bool
    """Large enough and unlikely enough to speak of."""


class Moments(NamedTuple):
    """Sums over each day that a turn of the day only multiplies: arrays of one value per day."""

    tests: np.ndarray
    total: np.ndarray
    first: np.ndarray
    """Sum of e^(i w t)."""
    second: np.ndarray
    """Sum of e^(2 i w t)."""
    product: np.ndarray
    """Sum of y e^(i w t)."""


def _moments(days: Sequence[Sequence[tuple[float, float]]]) -> Moments:
    rows = []
    for day in days:
        hours = np.array([hour for hour, _ in day])
        values = np.array([value for _, value in day])
        turn = np.exp(2j * np.pi * hours / 24)
        rows.append((len(day), values.sum(), turn.sum(), (turn**2).sum(), (values * turn).sum()))
    columns = list(zip(*rows, strict=True))
    return Moments(*(np.array(column) for column in columns))


def _fit(moments: Moments, turns: np.ndarray) -> np.ndarray:
    """Complex amplitude for each row of `turns` (unit numbers, one per day)."""
    count, total = moments.tests.sum(), moments.total.sum()
    first = turns @ moments.first
    second = (turns * turns) @ moments.second
    product = turns @ moments.product
    normal = np.empty((len(turns), 3, 3))
    normal[:, 0, 0] = count
    normal[:, 0, 1] = normal[:, 1, 0] = first.real
    normal[:, 0, 2] = normal[:, 2, 0] = first.imag
    normal[:, 1, 1] = (count + second.real) / 2
    normal[:, 2, 2] = (count - second.real) / 2
    normal[:, 1, 2] = normal[:, 2, 1] = second.imag / 2
    right = np.stack([np.full(len(turns), total), product.real, product.imag], axis=1)
    solved = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
    return np.asarray(solved[:, 1] + 1j * solved[:, 2])


def rhythm(
    days: Sequence[Sequence[tuple[float, float]]], seed: int, shifts: int = SHIFTS
) -> Rhythm | None:
    """The swing over (local hour 0 to 24, attainment) of each day.

    None unless some day has three different hours: below that any phase would fit. `shifts` = 0
    asks for no p-value.
    """
    if not any(len({hour for hour, _ in day}) >= 3 for day in days):
        return None
    moments = _moments([day for day in days if day])
    straight = np.ones((1, len(moments.tests)), dtype=complex)
    found = complex(_fit(moments, straight)[0])
    p = None
    if shifts:
        hours = Draws(seed, shifts).below(24, len(moments.tests))
        turned = np.abs(_fit(moments, _TURNS[hours]))
        # Equal up to rounding counts as reached: a turn by 0 h of all days must.
        p = (1 + int((turned >= abs(found) * (1 - 1e-12)).sum())) / (1 + shifts)
    amplitude = abs(found)
    material = p is not None and p < MATERIAL_P and amplitude >= MATERIAL_AMPLITUDE
    return Rhythm(amplitude, math.atan2(found.imag, found.real) * 12 / math.pi % 24, p, material)


class DelayBin(NamedTuple):
    """Five minutes of probing: least round trips and own use of the link, None if not measured."""

    far_ms: float | None
    """To an anchor beyond the provider's network."""
    near_ms: float | None
    """To the gateway or the provider's first hop."""
    use: float | None
    """Own traffic as a share of the CIR."""
    peak: bool
    """Whether it lies in the peak hours."""


class Elevation(msgspec.Struct, frozen=True):
    """How often the far side's delay was raised while the near side's was not."""

    peak_bins: int
    peak_raised: int
    other_bins: int
    other_raised: int


def elevation(bins: Sequence[DelayBin], far_floor_ms: float, near_floor_ms: float) -> Elevation:
    """Count raised bins against the least delays of the last 7 days (`*_floor_ms`).

    Bins with own use of 30 % or more, or with anything unmeasured, are left out.
    """
    counts = {True: [0, 0], False: [0, 0]}
    for one in bins:
        if one.far_ms is None or one.near_ms is None or one.use is None or one.use >= IDLE_BELOW:
            continue
        raised = one.far_ms - far_floor_ms > ELEVATION_MS >= one.near_ms - near_floor_ms
        counts[one.peak][0] += 1
        counts[one.peak][1] += raised
    return Elevation(*counts[True], *counts[False])
