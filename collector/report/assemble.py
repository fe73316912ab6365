"""From everything that was read of a link to its part of the audit, and from parts to the whole.
Pure."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from collector.audit import words
from collector.audit.availability import Judgement
from collector.audit.calendar import Month
from collector.audit.findings import METHOD, Finding
from collector.audit.phrases import Language
from collector.report import compare, money, quality, seconds, summary, tiphon
from collector.report.facts import LinkFacts, PeriodFacts
from collector.report.reconcile import reconcile, totals
from collector.report.record import (
    FORMAT,
    Audit,
    DelayPart,
    LinkPart,
    PeriodPart,
    Scope,
    TrendMonth,
    VerdictPart,
)
from collector.report.settings import TOLERANCE_S
from collector.verdict_answers import Given
from runtime.version import VERSION


class Frame(NamedTuple):
    """What an audit is of, and who made it."""

    month: Month
    scope: Scope
    tolerance_s: int
    software: str = VERSION


def audit(
    frame: Frame,
    parts: Sequence[LinkPart],
    trend: tuple[TrendMonth, ...],
    without_contract: Iterable[str] = (),
) -> Audit:
    """A month of these links; every number of it that is not in a part follows from them, but for
    the months before, which the trend brings."""
    month = frame.month
    return Audit(
        format=FORMAT,
        software=frame.software,
        methods={"dedicated": METHOD, "tiphon": tiphon.RULES},
        month=str(month),
        zone=month.zone.value,
        start_s=month.span.start_s,
        end_s=month.span.end_s,
        scope=frame.scope,
        complete=all(period.complete for part in parts for period in part.periods),
        summary=summary.summary(parts, trend),
        providers=compare.providers(parts),
        equal_conditions=compare.equal_conditions(parts),
        tickets=totals(
            (period.tickets for part in parts for period in part.periods), frame.tolerance_s
        ),
        without_contract=tuple(without_contract),
        links=tuple(parts),
    )


def link_part(facts: LinkFacts, tolerance_s: int = TOLERANCE_S) -> LinkPart:
    """One link in the month."""
    link, node = facts.link, facts.node
    periods = tuple(period_part(one, tolerance_s) for one in facts.periods)
    return LinkPart(
        link=link.id,
        node=node.id,
        name=node.name,
        kind=node.kind,
        district=node.district,
        provider=link.provider,
        medium=link.medium,
        pop=link.pop,
        circuit=link.circuit,
        judgement=quality.together(one.judgement for one in periods),
        periods=periods,
        verdicts=tuple(_verdict(one) for one in facts.verdicts),
    )


def period_part(facts: PeriodFacts, tolerance_s: int = TOLERANCE_S) -> PeriodPart:
    """One contract's part of the month."""
    answer = facts.answer
    contract, span = answer.contract, answer.found.span
    delays = tuple(quality.delay(one, contract.limits) for one in facts.delays)
    tests = quality.throughput(facts.trials, contract.zone)
    return PeriodPart(
        contract=contract.reference,
        contract_sha256=contract.digest(),
        terms=msgspec.json.decode(contract.canonical()),
        start_s=span.start_s,
        end_s=span.end_s,
        # What came later is no part of this audit: it would be another one with every batch.
        judged_until_s=None
        if answer.judged_until_s is None
        else min(answer.judged_until_s, answer.period.end_s),
        complete=answer.complete and span == answer.period,
        evidence_batches=facts.used.batches,
        evidence_sha256=facts.used.sha256,
        judgement=quality.together(chain([answer.found.judgement], *map(_clauses, delays))),
        availability=seconds.availability(facts),
        outages=seconds.outages(facts),
        excluded=seconds.excluded(facts),
        notices=seconds.notices(facts),
        delays=delays,
        throughput=tests,
        restitution=money.restitution(answer, facts.beside),
        tickets=reconcile(facts.outages, facts.tickets, span.end_s, tolerance_s),
        tiphon=quality.courtesy(delays, tests),
        days=seconds.days(facts),
        hours=seconds.hours(facts),
        smoke=quality.smoke(facts.hours, span.start_s),
    )


def _clauses(one: DelayPart) -> Iterable[Judgement | None]:
    return one.rtt_judgement, one.jitter_judgement, one.loss_judgement


def _verdict(given: Given) -> VerdictPart:
    kept, found = given.kept, given.kept.verdict
    return VerdictPart(
        direction=found.direction,
        finding=found.finding,
        standing=found.standing,
        watch=found.watch,
        until=kept.until.isoformat(),
        revision=kept.revision,
        sha256=kept.digest,
        valid_days=found.newest.valid_days,
        bad_days=found.newest.bad_days,
        summary={one.value: words.summary(found, one) for one in Language},
        explanation={one.value: words.explain(found, one) for one in Language}
        if found.watch or found.finding is Finding.NOT_DEDICATED
        else {},
    )
