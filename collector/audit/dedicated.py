"""Dedicated or not: a verdict for every link and direction, from tests, and why.

Three statements are kept apart: the shortfall (a fact about the days measured), the finding (an
inference about the link, by rule v2 or rule O) and what corroborates it (never more than that).
Stability and experiment G stand beside the finding and do not touch it. Same input, same bytes.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta
from statistics import median
from typing import NamedTuple

import msgspec

from collector.audit import daily, decision, gates
from collector.audit.daily import Daily, Direction, Part, Placed, Quality
from collector.audit.decision import Cause, Quarter, Rule, Window
from collector.audit.diurnal import Rhythm, rhythm
from collector.audit.findings import (
    METHOD,
    Accusation,
    Alarm,
    BadDay,
    Case,
    Family,
    Finding,
    Look,
    Obstacle,
    Pending,
    Rebuttal,
    Rejected,
    Rejection,
    Shortfall,
    Standing,
    Used,
    Verdict,
)
from collector.audit.gates import GateResult, Shown
from collector.audit.noise import noise, too_noisy
from collector.audit.rates import rates_of
from collector.audit.shaping import Shape, shaping
from collector.audit.statistics import (
    benjamini_hochberg,
    benjamini_yekutieli,
    e_benjamini_hochberg,
)

REBUTTAL_DAYS = 14


class _Evidence(NamedTuple):
    """A case read once."""

    case: Case
    digest: str
    placed: list[Placed]
    judged: dict[date, Daily]
    newest: Window
    previous: Window
    quarter: Quarter
    gates: tuple[list[GateResult], list[GateResult], list[GateResult]]
    """Newest window, the one before, quarter."""


def audit(cases: Sequence[Case], look: Look) -> tuple[Verdict, ...]:
    """A verdict for each case, in the order given. Raises ValueError for an unknown zone and for
    two cases of the same link and direction."""
    seen: set[tuple[str, Direction]] = set()
    for case in cases:
        if (case.link, case.direction) in seen:
            raise ValueError(f"link {case.link!r} {case.direction} is there twice")
        seen.add((case.link, case.direction))
    read = [_read(case, look) for case in cases]
    families = _families(read)
    return tuple(_verdict(one, family, look) for one, family in zip(read, families, strict=True))


def encode(verdicts: Sequence[Verdict]) -> bytes:
    """Verdicts as JSON, the same bytes for the same input.

    Twelve significant digits: what lies behind depends on the processor's rounding.
    """
    return msgspec.json.encode(_rounded(msgspec.to_builtins(verdicts)), order="sorted")


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value


def _digest(case: Case, look: Look) -> str:
    tests = sorted(case.tests, key=lambda one: (one.start_ns, msgspec.json.encode(one)))
    ordered = msgspec.structs.replace(case, tests=tuple(tests))
    data = msgspec.json.encode([METHOD, ordered, look], order="sorted")
    return hashlib.sha256(data).hexdigest()


def _read(case: Case, look: Look) -> _Evidence:
    where = daily.zone(case.zone)
    first = look.until - timedelta(days=decision.QUARTER)
    own = [test for test in case.tests if test.direction is case.direction]
    placed = daily.place(own, where)
    days = daily.days(one for one in placed if first <= one.date < look.until)
    judged = {
        when: one
        for when, day in days.items()
        if (one := daily.judge(day, case.plan.minimum_peak)) is not None
    }
    before = look.until - timedelta(days=decision.WINDOW)
    stretches = (
        (look.until, decision.WINDOW),
        (before, decision.WINDOW),
        (look.until, decision.QUARTER),
    )

    def gated(until: date, length: int) -> list[GateResult]:
        stretch = (until - timedelta(days=length), until - timedelta(days=1))
        inside = [day for when, day in days.items() if stretch[0] <= when <= stretch[1]]
        judged_span = decision.span(judged, until, length)
        return [
            *gates.counted(inside, judged_span, case.plan, stretch),
            *gates.answered(case.circumstances, placed, stretch),
        ]

    return _Evidence(
        case,
        _digest(case, look),
        placed,
        judged,
        decision.window(decision.span(judged, look.until, decision.WINDOW), look.until),
        decision.window(decision.span(judged, before, decision.WINDOW), before),
        decision.quarter(decision.span(judged, look.until, decision.QUARTER), look.until),
        (gated(*stretches[0]), gated(*stretches[1]), gated(*stretches[2])),
    )


def _failed(results: Sequence[GateResult]) -> bool:
    return any(one.shown is Shown.FAILED for one in results)


def _families(read: Sequence[_Evidence]) -> list[Family]:
    """Every case counts; one whose gates fail brings no evidence (p = 1, e = 1) into it."""
    windows, e_values, peak_only, bad = [], [], [], []
    for one in read:
        newest_fails, quarter_fails = _failed(one.gates[0]), _failed(one.gates[2])
        windows.append(1.0 if newest_fails else one.newest.p_link)
        # The mean of two e-values is one, whatever their dependence.
        mean = (one.newest.e_bad + one.newest.e_shift) / 2
        e_values.append(1.0 if newest_fails else mean)
        peak_only.append(1.0 if quarter_fails else one.quarter.p_peak_only)
        bad.append(1.0 if quarter_fails else one.quarter.p_bad)
    columns = zip(
        benjamini_hochberg(windows),
        benjamini_yekutieli(windows),
        e_benjamini_hochberg(e_values, decision.Q_WINDOWS),
        benjamini_hochberg(peak_only),
        benjamini_yekutieli(peak_only),
        benjamini_hochberg(bad),
        benjamini_yekutieli(bad),
        strict=True,
    )
    return [Family(len(read), *row) for row in columns]


def _by_windows(one: _Evidence, family: Family, look: Look) -> list[Accusation]:
    """What rule v2 points at, each with what stands in its way; nothing does if it convicts."""
    common: list[Obstacle] = []
    if one.previous.valid_days == 0:
        common.append(Obstacle.ONE_WINDOW)
    if _failed(one.gates[0]) or _failed(one.gates[1]):
        common.append(Obstacle.GATE)
    if family.windows_bh > decision.Q_WINDOWS:
        common.append(Obstacle.FAMILY)
    elif family.windows_by > decision.Q_WINDOWS:
        common.append(Obstacle.DEPENDENT_FAMILY)
    days = decision.span(one.judged, look.until, 2 * decision.WINDOW)
    repeated = decision.both_windows(one.newest, one.previous)
    pointed = []
    for cause in one.newest.causes:
        once = [] if cause in repeated or not one.previous.valid_days else [Obstacle.NOT_REPEATED]
        pointed.append(_common(one, Accusation(Rule.V2, cause, (*common, *once)), days))
    return pointed


def _by_quarter(one: _Evidence, family: Family, look: Look) -> list[Accusation]:
    """Rule O, in the same way."""
    days = decision.span(one.judged, look.until, decision.QUARTER)
    pointed = []
    for cause in one.quarter.causes:
        obstacles = [Obstacle.GATE] if _failed(one.gates[2]) else []
        adjusted = family.peak_only_bh if cause is Cause.CONTENDED else family.bad_bh
        if adjusted > decision.Q_QUARTER:
            obstacles.append(Obstacle.FAMILY)
        pointed.append(_common(one, Accusation(Rule.O, cause, tuple(obstacles)), days))
    return pointed


def _common(one: _Evidence, so_far: Accusation, days: decision.Span) -> Accusation:
    """With the obstacles that both rules know: persistence, noise, far ends that disagree."""
    obstacles = list(so_far.obstacles)
    correlation = decision.persistence(days, so_far.cause, so_far.rule)
    if correlation is not None and correlation > decision.PERSISTENCE:
        obstacles.append(Obstacle.PERSISTENT)
    found = noise(days)
    if too_noisy(so_far.rule, so_far.cause, found):
        obstacles.append(Obstacle.NOISE)
    contended = so_far.cause is Cause.CONTENDED
    accused = [day for day in days if day is not None and (day.shifted if contended else day.bad)]
    anchors = gates.anchors_disagree(one.placed, accused, so_far.cause)
    if anchors:
        obstacles.append(Obstacle.ANCHORS_DISAGREE)
    return Accusation(so_far.rule, so_far.cause, tuple(obstacles), correlation, found, anchors)


class _Conclusion(NamedTuple):
    finding: Finding
    cause: Cause | None
    rule: Rule | None
    accusations: tuple[Accusation, ...]

    @property
    def blocked(self) -> list[Accusation]:
        return [one for one in self.accusations if one.obstacles]


def _conclude(one: _Evidence, family: Family, look: Look, cleared: bool) -> _Conclusion:
    pointing = (*_by_windows(one, family, look), *_by_quarter(one, family, look))
    for found in pointing:
        if not found.obstacles:
            return _Conclusion(Finding.NOT_DEDICATED, found.cause, found.rule, pointing)
    if cleared and not _failed(one.gates[0]):
        return _Conclusion(Finding.DEDICATED, None, None, pointing)
    return _Conclusion(Finding.INSUFFICIENT, None, None, pointing)


def _alarms(one: _Evidence, blocked: Sequence[Accusation]) -> tuple[Alarm, ...]:
    quarter_p = min(one.quarter.p_peak_only, one.quarter.p_bad)
    raised = {
        Alarm.P_LINK: one.newest.p_link < decision.WATCH_P,
        Alarm.P_QUARTER: quarter_p < decision.WATCH_P,
        Alarm.E_BAD_DAYS: one.newest.e_bad >= decision.ALARM,
        Alarm.E_SHIFT: one.newest.e_shift >= decision.ALARM,
        Alarm.RULE_BLOCKED: bool(blocked),
    }
    return tuple(alarm for alarm, up in raised.items() if up)


def _spoken_for(one: _Evidence, rule: Rule | None) -> list[GateResult]:
    """The gates that the finding rests on."""
    newest, previous, quarter = one.gates
    if rule is Rule.V2:
        return [*newest, *previous]
    return quarter if rule is Rule.O else newest


def _pending(one: _Evidence, found: _Conclusion, look: Look) -> tuple[Pending, ...]:
    waits = []
    if any(Obstacle.ONE_WINDOW in blocked.obstacles for blocked in found.accusations):
        waits.append(Pending.SECOND_WINDOW)
    if found.finding is Finding.INSUFFICIENT:
        return tuple(waits)
    if any(gate.shown is Shown.NOT_SHOWN for gate in _spoken_for(one, found.rule)):
        waits.append(Pending.GATES)
    if found.finding is Finding.NOT_DEDICATED:
        waits += _unheard(one.case.rebuttal, look.as_of)
    return tuple(waits)


def _unheard(rebuttal: Rebuttal, as_of: date) -> tuple[Pending, ...]:
    """What of the provider's say is still to be waited for on the day of the audit."""
    delivered, days = rebuttal.delivered, timedelta(days=REBUTTAL_DAYS)
    waited = delivered is not None and as_of >= delivered + days
    heard = waited or rebuttal.answered is not None or rebuttal.heard is not None
    waits = [] if heard else [Pending.REBUTTAL]
    if rebuttal.objection_open:
        waits.append(Pending.OBJECTION)
    return tuple(waits)


def _shortfall(one: _Evidence) -> Shortfall:
    tickets = set(one.case.tickets)
    bad = tuple(
        BadDay(
            day.date,
            day.peak,
            min(day.day.peak),
            max(day.day.peak),
            len(day.day.peak),
            day.date in tickets,
        )
        for _, day in sorted(one.judged.items())
        if day.bad
    )
    valid = len(one.judged)
    share = len(bad) / valid if valid else None
    return Shortfall(one.quarter.first, one.quarter.last, valid, bad, share)


def _used(one: _Evidence) -> Used:
    """Every test of the case is counted once: used, or rejected with its reason."""
    first, last = one.quarter.first, one.quarter.last
    used = {"peak": 0, "off_peak": 0, "lower_bounds": 0}
    rejected = [
        Rejected(test.start_ns, Rejection.OTHER_DIRECTION.value)
        for test in one.case.tests
        if test.direction is not one.case.direction
    ]
    for test, when, _, part in one.placed:
        reason: str | None = None
        if not first <= when <= last:
            reason = Rejection.OUTSIDE.value
        elif not test.valid:
            reason = test.reason or Rejection.UNTOLD.value
        elif part is Part.OTHER:
            reason = Rejection.OTHER_HOURS.value
        elif test.quality is Quality.A:
            used[part.value] += 1
        elif part is Part.PEAK:
            used["lower_bounds"] += 1
        else:
            reason = Rejection.UNCOMPARED.value
        if reason is not None:
            rejected.append(Rejected(test.start_ns, reason))
    rejected.sort(key=lambda row: (row.start_ns, row.reason))
    return Used(used["peak"], used["off_peak"], used["lower_bounds"], tuple(rejected))


def _rhythm(one: _Evidence, seed: int) -> Rhythm | None:
    days: dict[date, list[tuple[float, float]]] = {}
    for test, when, hour, _ in one.placed:
        inside = one.quarter.first <= when <= one.quarter.last
        if inside and test.valid and test.quality is Quality.A:
            days.setdefault(when, []).append((hour, test.attainment))
    return rhythm(list(days.values()), seed)


def _tests_an_evening(one: _Evidence) -> float:
    counts = [len(day.day.peak) + len(day.day.floors) for day in one.judged.values()]
    return median(counts) if counts else 0.0


def _verdict(one: _Evidence, family: Family, look: Look) -> Verdict:
    case = one.case
    seed = int(one.digest[:16], 16)
    limits = decision.bounds(decision.span(one.judged, look.until, decision.WINDOW), seed)
    lacking = decision.lacks(one.newest, limits)
    shape = shaping(case.long_runs, case.promise.expected_mbps)
    cleared = not lacking and shape.shape is not Shape.SHAPED_BELOW_CIR
    found = _conclude(one, family, look, cleared)
    alarms = _alarms(one, found.blocked)
    pending = _pending(one, found, look)
    return Verdict(
        method=METHOD,
        link=case.link,
        direction=case.direction,
        zone=case.zone,
        promise=case.promise,
        until=look.until,
        input_sha256=one.digest,
        finding=found.finding,
        cause=found.cause,
        rule=found.rule,
        standing=Standing.PRELIMINARY if pending else Standing.FINAL,
        pending=pending,
        watch=found.finding is Finding.INSUFFICIENT and bool(alarms),
        alarms=alarms,
        accusations=found.accusations,
        lacks=lacking,
        gates=tuple(gate for results in one.gates for gate in results),
        shortfall=_shortfall(one),
        newest=one.newest,
        previous=one.previous,
        quarter=one.quarter,
        bounds=limits,
        family=family,
        noise=noise(decision.span(one.judged, look.until, decision.QUARTER)),
        shaping=shape,
        rhythm=_rhythm(one, seed),
        elevation=case.elevation,
        stability=case.stability,
        together=case.together,
        used=_used(one),
        rates=rates_of(found.rule, _tests_an_evening(one)),
        rebuttal=case.rebuttal,
    )
