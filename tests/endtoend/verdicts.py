"""Truth beside what was found: which outages there had to be, and which there are."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

CLOCK_S = 0.05
"""How well truth's clock and the boxes' clocks, mapped to the hub's, agree on one machine."""
EDGE_S = 1.0 + CLOCK_S
"""Every second is marked by what was sent in it, and some target is asked in each: so far the edge
of an outage can be from the truth."""


class Truth(NamedTuple):
    """Something that happened, and what has to be said of it."""

    link: str
    start_s: float
    end_s: float
    """UTC seconds."""
    word: str
    """What was done, in one word."""
    state: str
    causes: frozenset[str]
    """Any of these is right."""
    charge: str
    start_slack_s: float = 0.0
    end_slack_s: float = 0.0
    """How much further the edges may be from the truth, and why is said where it is set."""
    event: str | None = None
    """Outages with the same word here are one event; those without are none."""


class Row(NamedTuple):
    """One line of the comparison."""

    truth: Truth | None
    found: dict[str, Any] | None
    wrong: tuple[str, ...]


def overlaps(truth: Truth, found: dict[str, Any]) -> bool:
    """Whether both have a second in common."""
    end_s = found["end_s"]
    return found["start_s"] < truth.end_s and (end_s is None or end_s > truth.start_s)


def compare(truths: Sequence[Truth], found: Sequence[dict[str, Any]]) -> list[Row]:
    """Each truth with the one outage that overlaps it most; what is left over was invented."""
    rest = sorted(found, key=lambda one: (one["link"], one["start_s"]))
    rows: list[Row] = []
    for truth in sorted(truths, key=lambda one: (one.link, one.start_s)):
        own = [one for one in rest if one["link"] == truth.link and overlaps(truth, one)]
        if not own:
            rows.append(Row(truth, None, ("not found",)))
            continue
        best = min(own, key=lambda one: abs(one["start_s"] - truth.start_s))
        rest.remove(best)
        rows.append(Row(truth, best, tuple(_wrong(truth, best))))
    rows += [Row(None, one, ("invented",)) for one in rest]
    return _events(sorted(rows, key=_place))


def _place(row: Row) -> tuple[str, float]:
    if row.truth is not None:
        return row.truth.link, row.truth.start_s
    assert row.found is not None
    return row.found["link"], row.found["start_s"]


def _wrong(truth: Truth, found: dict[str, Any]) -> Iterable[str]:
    if found["end_s"] is None:
        yield "has no end"
        return
    edges = (
        ("start", truth.start_s, truth.start_slack_s),
        ("end", truth.end_s, truth.end_slack_s),
    )
    for edge, true_s, slack_s in edges:
        off_s = found[f"{edge}_s"] - true_s
        if abs(off_s) > EDGE_S + slack_s:
            yield f"{edge} {off_s:+.1f} s"
        low_s, high_s = found[f"{edge}_low_s"], found[f"{edge}_high_s"]
        if not low_s - CLOCK_S - slack_s <= true_s <= high_s + CLOCK_S + slack_s:
            yield f"{edge} not within its bounds {low_s - true_s:+.1f}..{high_s - true_s:+.1f} s"
    if found["state"] != truth.state:
        yield f"state {found['state']}"
    if found["cause"] not in truth.causes:
        yield f"cause {found['cause']}"
    if found["charge"] != truth.charge:
        yield f"charge {found['charge']}"
    if truth.charge in ("provider", "excluded") and len(found["witnesses"]) < 2:
        yield "too few witnesses"
    if not found["settled"]:
        yield "not settled"


def _events(rows: list[Row]) -> list[Row]:
    """What was one event has one name, and nothing else has it."""
    pairs = {
        (row.truth.event, row.found["event"])
        for row in rows
        if row.truth is not None and row.found is not None
    }
    done = Counter(event for event, _ in pairs if event is not None)
    named = Counter(name for _, name in pairs if name is not None)

    def judged(row: Row) -> Row:
        if row.truth is None or row.found is None:
            return row
        event, name = row.truth.event, row.found["event"]
        if (event is None) == (name is None) and done[event] <= 1 and named[name] <= 1:
            return row
        return row._replace(wrong=(*row.wrong, f"event {name}"))

    return [judged(row) for row in rows]


def table(rows: Sequence[Row], began_s: float) -> str:
    """Truth and found, side by side, in seconds since `began_s`."""
    lines = [f"{'link':7} {'truth':34} {'found':58} wrong"]
    for row in rows:
        link = row.truth.link if row.truth is not None else _place(row)[0]
        lines.append(
            f"{link:7} {_told(row.truth, began_s):34} {_seen(row.found, began_s):58}"
            f" {', '.join(row.wrong) or 'ok'}"
        )
    return "\n".join(lines)


def _told(truth: Truth | None, began_s: float) -> str:
    if truth is None:
        return "-"
    return f"{truth.start_s - began_s:6.1f}..{truth.end_s - began_s:6.1f} {truth.word}"


def _seen(found: dict[str, Any] | None, began_s: float) -> str:
    if found is None:
        return "-"
    end = "" if found["end_s"] is None else f"{found['end_s'] - began_s:.1f}"
    words = f"{found['state']} {found['cause']} {found['charge']} {'+'.join(found['witnesses'])}"
    return f"{found['start_s'] - began_s:6.1f}..{end:>6} {words}"


def unsaid(rows: Sequence[Row]) -> list[Row]:
    """The rows in which something is wrong."""
    return [row for row in rows if row.wrong]
