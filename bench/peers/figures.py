"""Figures of a sample of round trips, in microseconds, and tables of them."""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Times = Sequence[float | None]
"""Round trips in send order; None where none was measured."""


def rank(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered))) - 1]


class Figures(NamedTuple):
    """Of one round, or medians of them over several rounds."""

    median: float
    p99: float
    most: float
    ipdv: float
    """Mean absolute difference of neighbours (IPDV, RFC 5481 section 1): the jitter floor."""
    missing: float


def figures(times: Times) -> Figures | None:
    """None where fewer than two round trips were measured."""
    known = [time for time in times if time is not None]
    steps = [abs(b - a) for a, b in itertools.pairwise(times) if a is not None and b is not None]
    if not steps:
        return None
    return Figures(
        statistics.median(known),
        rank(known, 0.99),
        max(known),
        statistics.fmean(steps),
        len(times) - len(known),
    )


def over_rounds(rounds: Sequence[Figures]) -> Figures:
    """Medians of each figure; nothing missing may hide, so that one is a sum."""
    columns = [statistics.median(column) for column in zip(*rounds, strict=True)]
    return Figures(*columns[:-1], sum(one.missing for one in rounds))


def ratio(a: float, b: float | None) -> str:
    """How many times `b` `a` is."""
    return f"{a / b:.2f}" if b else "-"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head, the first column left-aligned."""
    widths = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    for row in [head, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  " + "  ".join(cells).rstrip())


def print_figures(
    seen: Mapping[str, Sequence[Figures]], *, ours: str, reference: str | None
) -> dict[str, Figures]:
    """One row per prober with its ratios to `reference` and to `ours`; returns the medians."""
    middle = {name: over_rounds(rounds) for name, rounds in seen.items() if rounds}
    bases = {"ours": middle.get(ours)}
    if reference is not None:
        bases = {reference: middle.get(reference), **bases}
    rows = []
    for name, one in middle.items():
        row = [name, *(f"{value:.1f}" for value in one[:4]), f"{one.missing:.0f}"]
        for base in bases.values():
            row += [
                ratio(one.median, base and base.median),
                ratio(one.p99, base and base.p99),
                ratio(one.ipdv, base and base.ipdv),
            ]
        rows.append(row)
    head = ["us", "median", "p99", "max", "|IPDV|", "no RTT"]
    for name in bases:
        head += [f"x {name}: med", "p99", "|IPDV|"]
    table(head, rows)
    return middle
