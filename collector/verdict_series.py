"""The /metrics series of throughput and of the verdict, from the evidence road. A view only."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from collector.audit.daily import Direction
from collector.audit.findings import Finding, Verdict
from collector.inventory import Link
from collector.metrics import Family, labels, sample
from collector.settle.trials import Trial
from collector.verdict_answers import Given

ATTAINMENT = Family(
    "pantau_link_throughput_attainment_ratio",
    "gauge",
    "Delivered share of the promised rate, users' own traffic included: of the newest test that"
    " counts (last), and the median of the evening tests of the 28 days that were judged"
    " (peak_28d).",
)
ACHIEVED = Family(
    "pantau_link_throughput_achieved_bytes_per_second",
    "gauge",
    "Rate of IP packets that the newest test that counts carried itself.",
)
EXPECTED = Family(
    "pantau_link_throughput_expected_bytes_per_second",
    "gauge",
    "Rate of IP packets that the contract left on the day of that test.",
)
LOADED = Family(
    "pantau_link_throughput_loaded_rtt_seconds",
    "gauge",
    "Median round trip under the load of that test.",
)
RISE = Family(
    "pantau_link_throughput_rtt_rise_seconds",
    "gauge",
    "Mean round trip under the load of that test less the mean before it.",
)
VARIATION = Family(
    "pantau_link_throughput_delay_variation_seconds",
    "gauge",
    "99th percentile of one-way delay less the least, under the load of that test.",
)
REORDERING = Family(
    "pantau_link_throughput_reordering_ratio",
    "gauge",
    "Packets of that test that a later one overtook, of those that came.",
)
TESTED = Family(
    "pantau_link_throughput_test_timestamp_seconds",
    "gauge",
    "When that test began, by the hub's clock.",
)
VERDICT = Family(
    "pantau_link_verdict",
    "gauge",
    "What the newest look says of the link: 1 for one of the verdicts.",
)
DAYS = Family(
    "pantau_link_verdict_evidence_days",
    "gauge",
    "Days of the newest 28 with enough valid evening tests.",
)
CHANGED = Family(
    "pantau_link_verdict_changed_timestamp_seconds",
    "gauge",
    "Since when the looks say of the link what the newest says.",
)
FROM_VERDICTS = (
    ATTAINMENT, ACHIEVED, EXPECTED, LOADED, RISE, VARIATION, REORDERING, TESTED, VERDICT, DAYS,
    CHANGED,
)  # fmt: skip


class Said(StrEnum):
    """States of the metric: the finding, with the cause of an accusation."""

    DEDICATED = "dedicated"
    CONTENDED = "contended"
    UNDER_PROVISIONED = "under_provisioned"
    WATCH = "watch"
    """insufficient, and worth watching"""
    INSUFFICIENT = "insufficient"


def said(verdict: Verdict) -> Said:
    """The state of a verdict."""
    if verdict.finding is Finding.DEDICATED:
        return Said.DEDICATED
    if verdict.finding is Finding.NOT_DEDICATED and verdict.cause is not None:
        return Said(verdict.cause.value)
    return Said.WATCH if verdict.watch else Said.INSUFFICIENT


class Shown(NamedTuple):
    """What is shown of one link."""

    newest: Mapping[Direction, Trial]
    """The newest test of each direction that counts."""
    given: Sequence[Given]


def newest_counting(trials: Iterable[Trial]) -> dict[Direction, Trial]:
    """Of tests, the newest first: the first of each direction that counts."""
    found: dict[Direction, Trial] = {}
    for one in trials:
        if one.counts:
            found.setdefault(one.direction, one)
    return found


def _test_lines(label: str, one: Trial) -> Iterable[tuple[Family, str]]:
    if one.attainment is not None and one.promise is not None:
        last = f'{label[:-1]},window="last"}}'
        yield ATTAINMENT, sample(ATTAINMENT, last, one.attainment)
        yield EXPECTED, sample(EXPECTED, label, one.promise.expected_mbps * 1e6 / 8)
    if one.achieved_mbps is not None:
        yield ACHIEVED, sample(ACHIEVED, label, one.achieved_mbps * 1e6 / 8)
    for family, value in (
        (LOADED, one.loaded_rtt_s),
        (RISE, one.rtt_rise_s),
        (VARIATION, one.pdv_s),
        (REORDERING, one.reordering_ratio),
    ):
        if value is not None:
            yield family, sample(family, label, value)
    yield TESTED, sample(TESTED, label, one.start_ns / 10**9)


def _verdict_lines(label: str, given: Given) -> Iterable[tuple[Family, str]]:
    found = given.kept.verdict
    if found.bounds is not None:
        evening = f'{label[:-1]},window="peak_28d"}}'
        yield ATTAINMENT, sample(ATTAINMENT, evening, found.bounds.peak_median)
    states = "".join(
        f'{VERDICT.name}{label[:-1]},verdict="{state}"}} {int(said(found) is state)}\n'
        for state in Said
    )
    yield VERDICT, states
    yield DAYS, sample(DAYS, label, found.newest.valid_days)
    yield CHANGED, sample(CHANGED, label, given.since_s)


def render(link: Link, shown: Shown) -> dict[Family, str]:
    """The link's lines, by family."""
    lines: dict[Family, str] = {}

    def add(rows: Iterable[tuple[Family, str]]) -> None:
        for family, line in rows:
            lines[family] = lines.get(family, "") + line

    def label(way: Direction) -> str:
        return labels(link=link.id, node=link.node, direction=way.value)

    for way, one in sorted(shown.newest.items()):
        add(_test_lines(label(way), one))
    for given in shown.given:
        add(_verdict_lines(label(given.kept.verdict.direction), given))
    return lines


class VerdictSeries:
    """Fragments by link."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[Family, str]] = {}

    def set(self, lines: Mapping[str, dict[Family, str]]) -> None:
        """Take what is known of all links, in the place of what was."""
        self._lines = dict(lines)

    def pages(self) -> Iterable[tuple[Family, Iterable[str]]]:
        """Families with their lines."""
        kept = self._lines.values()
        return (
            (family, [lines[family] for lines in kept if family in lines])
            for family in FROM_VERDICTS
        )
