"""What is said of a link's period: one form for what the collector says and for what is recomputed.

The two are compared to the byte, so nothing stands here that does not follow from the evidence:
numbers of outages, when they were said and by what revision are in the history beside it.
"""

from typing import Any, NamedTuple

import msgspec

from collector import told
from collector.answers import Answers, MonthAnswer
from collector.audit.evidence import Span
from collector.audit.intervals import Outage
from collector.bundle.documents import KeptDocument, canonical
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import Kept, Lane, OutageStore

SECTIONS = ("intervals", "outages", "availability", "delays", "tests")
_PROGRESS = ("judged_until_s", "complete")
"""How far the collector has come: no finding."""


class Stores(NamedTuple):
    """Where findings are asked for."""

    kept: OutageStore
    derived: DerivedStore
    answers: Answers


class Wanted(NamedTuple):
    """Of what."""

    link: str
    span: Span
    now_s: int
    """As of which it is judged."""


def statement(stores: Stores, wanted: Wanted) -> dict[str, Any]:
    """The sections, as data for JSON."""
    link, span, now_s = wanted
    parts = list(stores.answers.parts(link, span, now_s))
    return {
        "intervals": stores.kept.intervals(link, span),
        "outages": [one.outage for one in outages(stores.kept, link, span)],
        "availability": [_availability(stores.answers, one) for one in parts],
        "delays": [
            told.delays(target) | {"start_s": one.found.span.start_s}
            for one in parts
            for target in stores.answers.delays(one)
        ],
        "tests": [
            {"at_s": one.at_s, "placed_by": one.placed_by, "line": one.line.decode()}
            for one in stores.derived.transfers(link, *span)
        ],
    }


def outages(kept: OutageStore, link: str, span: Span) -> list[Kept]:
    """The outages by the evidence that touch the span, as they are known now."""
    return [
        one
        for one in kept.newest(Lane.EVIDENCE, link, span)
        if not one.withdrawn and touches(one.outage, span)
    ]


def touches(outage: Outage, span: Span) -> bool:
    """Whether they share a second."""
    end = outage.end
    return outage.start.at_s < span.end_s and (end is None or end.at_s > span.start_s)


def history(kept: OutageStore, link: str, span: Span) -> list[KeptDocument]:
    """All that was ever said of outages that touch the span, by both lanes, word for word."""
    numbers = [one.id for lane in Lane for one in kept.newest(lane, link, span)]
    return [
        KeptDocument(
            id=one.id,
            revision=one.revision,
            lane=one.lane,
            made_s=one.made_s,
            withdrawn=one.withdrawn,
            outage=one.outage,
        )
        for number in sorted(numbers)
        for one in kept.history(number)
    ]


def _availability(answers: Answers, one: MonthAnswer) -> dict[str, Any]:
    row = told.availability(one) | told.violations(answers.violations(one))
    return {name: value for name, value in row.items() if name not in _PROGRESS}


def section(found: dict[str, Any], name: str) -> bytes:
    """The bytes of a section that are compared."""
    return canonical(found.get(name))


def plain(found: dict[str, Any]) -> dict[str, Any]:
    """As it is read back from JSON."""
    read: dict[str, Any] = msgspec.json.decode(canonical(found))
    return read
