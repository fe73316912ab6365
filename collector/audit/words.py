"""A verdict in words, for a judge and for a provider's engineer. Nothing is computed here."""

from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum

from collector.audit.capacity import Promise
from collector.audit.decision import Window
from collector.audit.findings import (
    Accusation,
    Finding,
    Pending,
    Verdict,
)
from collector.audit.gates import GateResult, Shown
from collector.audit.noise import TOLERATED
from collector.audit.phrases import PHRASES, Language
from collector.audit.rates import INNOCENT
from collector.audit.shaping import Shape


class Words:
    """Sentences and numbers of one language."""

    def __init__(self, language: Language) -> None:
        self._phrases = PHRASES[language]
        self._comma = language is Language.ID

    def say(self, key: str, **places: object) -> str:
        """The sentence of `key`, filled."""
        return self._phrases[key].format(**places)

    def member(self, kind: str, one: StrEnum) -> str:
        """The words for a member of a closed set."""
        return self._phrases[f"{kind}.{one.value}"]

    def several(self, kind: str, members: Iterable[StrEnum]) -> str:
        """The words for members, listed."""
        return "; ".join(self.member(kind, one) for one in members)

    def reason(self, told: str) -> str:
        """Our own reasons in the language's words, others' as they were told."""
        return self._phrases.get(f"rejection.{told}", told)

    def number(self, value: float, form: str = ".2f") -> str:
        """A number with the language's decimal sign."""
        text = format(value, form)
        return text.replace(".", ",") if self._comma else text

    def share(self, value: float | None) -> str:
        """A share of 1 in percent."""
        return "-" if value is None else self.number(value, ".1%").replace("%", " %")

    def small_share(self, value: float) -> str:
        """A small share in percent, so that no bound below 1 in 100 000 is rounded away."""
        return self.number(value, ".3%").replace("%", " %")

    def chance(self, p: float | None) -> str:
        """A p-value that a reader can still picture."""
        if p is None:
            return "-"
        if p < 1e-6:
            return "< " + self.number(1e-6, ".6f")
        return self.number(p, ".6f" if p < 1e-3 else ".4f")


def summary(verdict: Verdict, language: Language) -> str:
    """Finding, fact and what is missing: a few lines."""
    words = Words(language)
    lines = [_head(verdict, words), *_standing(verdict, words), _fact(verdict, words)]
    lines += _accusations(verdict, words)
    if verdict.finding is Finding.INSUFFICIENT:
        lines += _lacks(verdict, words)
    lines += [_gate(one, words) for one in _unique(verdict.gates) if one.shown is Shown.FAILED]
    return "\n".join(lines) + "\n"


def explain(verdict: Verdict, language: Language) -> str:
    """All that the verdict rests on."""
    words = Words(language)
    lines = [
        _head(verdict, words),
        *_standing(verdict, words),
        "",
        _promise(verdict.promise, words),
        _fact(verdict, words),
        *_days(verdict, words),
        "",
        _window("window.newest", verdict.newest, words),
        _window("window.previous", verdict.previous, words),
        _quarter(verdict, words),
        _family(verdict, words),
        *_bounds(verdict, words),
        *_noise(verdict, words),
        *_accusations(verdict, words),
        *_lacks(verdict, words),
        *_alarms(verdict, words),
        "",
        words.say("gates"),
        *(_gate(one, words) for one in _unique(verdict.gates)),
        *_used(verdict, words),
        "",
        *_beside(verdict, words),
        "",
        *_rates(verdict, words),
        words.say("assumption"),
        words.say(
            "repeat",
            method=verdict.method,
            digest=verdict.input_sha256,
            until=verdict.until,
        ),
    ]
    return "\n".join(lines) + "\n"


def _head(verdict: Verdict, words: Words) -> str:
    line = words.say(
        "head",
        link=verdict.link,
        direction=words.member("direction", verdict.direction),
        finding=words.member("finding", verdict.finding),
    )
    if verdict.cause is not None and verdict.rule is not None:
        line += words.say(
            "head.cause",
            cause=words.member("cause", verdict.cause),
            rule=words.member("rule", verdict.rule),
        )
    return line + "."


def _standing(verdict: Verdict, words: Words) -> list[str]:
    lines = [words.say("watch")] if verdict.watch else []
    if verdict.pending:
        open_gates = {
            words.member("gate", one.gate) for one in verdict.gates if one.shown is Shown.NOT_SHOWN
        }
        texts = [
            words.say(f"pending.{one.value}", gates=", ".join(sorted(open_gates)))
            if one is Pending.GATES
            else words.member("pending", one)
            for one in verdict.pending
        ]
        lines.append(words.say("preliminary", pending="; ".join(texts)))
    return lines + _heard(verdict, words)


def _heard(verdict: Verdict, words: Words) -> list[str]:
    """What the provider was given and answered, where the link is accused."""
    if verdict.finding is not Finding.NOT_DEDICATED:
        return []
    told, lines = verdict.rebuttal, []
    if told.delivered is not None:
        lines.append(words.say("rebuttal.delivered", day=told.delivered))
    if told.answered is not None:
        said = words.say("rebuttal.objection" if told.objection_open else "rebuttal.closed")
        lines.append(words.say("rebuttal.answered", day=told.answered, said=said))
    return lines


def _promise(promise: Promise, words: Words) -> str:
    return words.say(
        "promise",
        cir=words.number(promise.cir_mbps, "g"),
        layer=words.member("layer", promise.layer),
        vlan=words.say(f"vlan.{promise.framed}"),
        expected=words.number(promise.expected_mbps),
    )


def _fact(verdict: Verdict, words: Words) -> str:
    fact = verdict.shortfall
    line = words.say(
        "fact",
        valid=fact.valid_days,
        first=fact.first,
        last=fact.last,
        bad=len(fact.bad_days),
        zone=verdict.zone,
    )
    if fact.share is not None:
        allowed = words.share(fact.allowed_share)
        line += " " + words.say("fact.allowed", share=words.share(fact.share), allowed=allowed)
    return line


def _days(verdict: Verdict, words: Words) -> list[str]:
    return [
        words.say(
            "fact.day",
            date=day.date,
            median=words.share(day.median),
            least=words.share(day.least),
            best=words.share(day.best),
            tests=day.tests,
            ticket=words.say("fact.ticket") if day.ticket else "",
        )
        for day in verdict.shortfall.bad_days
    ]


def _window(name: str, window: Window, words: Words) -> str:
    return words.say(
        "window",
        name=words.say(name),
        first=window.first,
        last=window.last,
        bad=window.bad_days,
        valid=window.valid_days,
        p_bad=words.chance(window.p_bad),
        shift=words.share(window.shift),
        p_shift=words.chance(window.p_shift),
        deltas=window.delta_days,
        bad_weeks=window.bad_weeks,
        shifted_weeks=window.shifted_weeks,
    )


def _quarter(verdict: Verdict, words: Words) -> str:
    quarter = verdict.quarter
    return words.say(
        "quarter",
        first=quarter.first,
        last=quarter.last,
        evenings=len(quarter.peak_only_weeks),
        p_evenings=words.chance(quarter.p_peak_only),
        days=len(quarter.bad_weeks),
        p_days=words.chance(quarter.p_bad),
    )


def _family(verdict: Verdict, words: Words) -> str:
    family = verdict.family
    return words.say(
        "family",
        links=family.links,
        windows_bh=words.chance(family.windows_bh),
        windows_by=words.chance(family.windows_by),
        peak_only_bh=words.chance(family.peak_only_bh),
        bad_bh=words.chance(family.bad_bh),
    )


def _bounds(verdict: Verdict, words: Words) -> list[str]:
    limits = verdict.bounds
    if limits is None:
        return []
    lines = [
        words.say(
            "bounds",
            median=words.share(limits.peak_median),
            lower=words.share(limits.peak_median_lower),
            failed=limits.failed_tests,
            tests=limits.peak_tests,
            bad_lower=words.share(limits.bad_rate_lower),
            bad_upper=words.share(limits.bad_rate_upper),
            above_80=words.share(limits.above_80),
        )
    ]
    if limits.delta_median_upper is not None:
        delta = words.share(limits.delta_median)
        upper = words.share(limits.delta_median_upper)
        lines.append(words.say("bounds.delta", delta=delta, upper=upper))
    return lines


def _noise(verdict: Verdict, words: Words) -> list[str]:
    found = verdict.noise
    if found is None:
        return []
    return [
        words.say(
            "noise",
            sd=words.share(found.sd),
            level=words.share(found.level),
            bad=words.share(found.bad_rate),
            tolerated=words.share(TOLERATED),
        )
    ]


def _accusations(verdict: Verdict, words: Words) -> list[str]:
    """Those that something stands in the way of, and those of the cause that was found.

    Who lacks its rate in the evenings alone lacks it on too many days as well: it is not told.
    """
    return [
        _accusation(one, words)
        for one in verdict.accusations
        if one.obstacles or one.cause is verdict.cause
    ]


def _accusation(accusation: Accusation, words: Words) -> str:
    rule, cause = words.member("rule", accusation.rule), words.member("cause", accusation.cause)
    persistence = accusation.persistence
    return words.say(
        "blocked" if accusation.obstacles else "unblocked",
        rule=rule,
        cause=cause,
        obstacles=words.several("obstacle", accusation.obstacles),
        persistence="-" if persistence is None else words.number(persistence),
    )


def _lacks(verdict: Verdict, words: Words) -> list[str]:
    found = [words.member("lack", one) for one in verdict.lacks]
    if verdict.shaping.shape is Shape.SHAPED_BELOW_CIR:
        found.append(words.say("lack.shaped"))
    return [words.say("lacks", lacks="; ".join(found))] if found else []


def _alarms(verdict: Verdict, words: Words) -> list[str]:
    if not verdict.alarms:
        return []
    return [words.say("alarms", alarms=words.several("alarm", verdict.alarms))]


def _unique(gates: Iterable[GateResult]) -> list[GateResult]:
    """What somebody answers for is the same for every span: it is told once."""
    told: set[object] = set()
    kept = []
    for one in gates:
        key = one.gate if one.have is None else (one.gate, one.first, one.last)
        if key not in told:
            told.add(key)
            kept.append(one)
    return kept


def _gate(gate: GateResult, words: Words) -> str:
    have = ""
    if gate.have is not None and gate.need is not None:
        show: Callable[[float], str] = words.share if gate.need <= 1 else _whole
        have = words.say("gate.have", have=show(gate.have), need=show(gate.need))
    return words.say(
        "gate.row",
        gate=words.member("gate", gate.gate),
        first=gate.first,
        last=gate.last,
        shown=words.member("shown", gate.shown),
        have=have,
    )


def _whole(value: float) -> str:
    return format(value, ".0f")


def _used(verdict: Verdict, words: Words) -> list[str]:
    used = verdict.used
    reasons = Counter(one.reason for one in used.rejected)
    return [
        words.say(
            "used",
            peak=used.peak,
            off_peak=used.off_peak,
            lower_bounds=used.lower_bounds,
            rejected=len(used.rejected),
        ),
        *(
            words.say("used.reason", count=count, reason=words.reason(reason))
            for reason, count in sorted(reasons.items())
        ),
    ]


def _beside(verdict: Verdict, words: Words) -> list[str]:
    """What corroborates, and what is judged apart."""
    lines = []
    if verdict.rhythm is not None:
        rhythm = verdict.rhythm
        lines.append(
            words.say(
                "rhythm",
                amplitude=words.share(rhythm.amplitude),
                hour=words.number(rhythm.peak_hour, ".1f"),
                p=words.chance(rhythm.p),
                material=words.say("yes" if rhythm.material else "no"),
            )
        )
    if verdict.elevation is not None:
        raised = verdict.elevation
        lines.append(
            words.say(
                "elevation",
                peak_raised=raised.peak_raised,
                peak_bins=raised.peak_bins,
                other_raised=raised.other_raised,
                other_bins=raised.other_bins,
            )
        )
    return [
        *lines,
        _shaping(verdict, words),
        *_stability(verdict, words),
        *_together(verdict, words),
    ]


def _shaping(verdict: Verdict, words: Words) -> str:
    shape = verdict.shaping

    def rate(value: float | None) -> str:
        return "-" if value is None else words.number(value, ".1f")

    return words.say(
        f"shape.{shape.shape.value}",
        runs=shape.runs,
        agreeing=shape.agreeing,
        burst=rate(shape.burst_mbps),
        sustained=rate(shape.sustained_mbps),
        knee=rate(shape.knee_megabytes),
    )


def _stability(verdict: Verdict, words: Words) -> list[str]:
    found = verdict.stability
    if found is None:
        return []
    return [
        words.say(
            f"steadiness.{found.steadiness.value}",
            outages=found.outages,
            expected=words.number(found.expected, ".1f"),
            p=words.chance(found.p),
            episodes=len(found.episodes),
        )
    ]


def _together(verdict: Verdict, words: Words) -> list[str]:
    found = verdict.together
    if found is None:
        return []
    contention = "-" if found.contention is None else words.number(found.contention, ".1f")
    return [
        words.say(
            f"sharing.{found.sharing.value}",
            contention=contention,
            wins=found.wins,
            repeats=found.repeats,
            p=words.chance(found.p),
            solo=words.share(found.solo_ratio),
        )
    ]


def _rates(verdict: Verdict, words: Words) -> list[str]:
    return [
        *(words.say("rates", tests=one.tests) for one in verdict.rates[:1]),
        *(
            words.say(
                "rates.row" if one.state in INNOCENT else "rates.power",
                rule=words.member("rule", one.rule),
                state=words.member("state", one.state),
                accused=one.accused,
                runs=one.runs,
                upper=words.small_share(one.upper),
            )
            for one in verdict.rates
        ),
    ]
