"""What is answered when verdicts and throughput tests are asked for, as data and as plain JSON.

One form for the API and the command line. Verdicts were given before and are only read here;
a test is shown as its record and the contract of its day make it.
"""

from datetime import date
from typing import Any, NamedTuple

import msgspec

from collector.audit import daily, words
from collector.audit.calendar import Month, parse_window
from collector.audit.daily import Part
from collector.audit.phrases import Language
from collector.ledger.verdicts import Kept, VerdictStore
from collector.settle.auditor import Gathering
from collector.settle.trials import Trial


class Given(NamedTuple):
    """A verdict, and since when the link's word is what it says."""

    kept: Kept
    since_s: int


class VerdictAnswers:
    """Asked from one thread at a time."""

    def __init__(self, store: VerdictStore, gathering: Gathering) -> None:
        self._store, self._gathering = store, gathering

    def until(self, window: str | None) -> date | None:
        """The look of a window: a month such as 2026-10 is judged at its end, a day such as
        2026-10-15 before it ends; by default the newest. None where there was no such look.

        Raises ValueError for another form.
        """
        looks = self._store.looks()
        if window is None:
            return looks[-1] if looks else None
        wanted = parse_window(window)
        return wanted if wanted in looks else None

    def verdicts(self, window: str | None = None, link: str | None = None) -> list[Given]:
        """The newest revisions of one look, by link and direction. Raises ValueError."""
        until = self.until(window)
        if until is None:
            return []
        return [
            Given(one, self._store.since(one.verdict.link, one.verdict.direction, until))
            for one in self._store.newest(until, link)
        ]

    def whole(self, given: Given, language: Language = Language.EN) -> dict[str, Any]:
        """A verdict in its plain form, with all its revisions."""
        found = given.kept.verdict
        history = self._store.history(found.link, found.direction, given.kept.until)
        return verdict(given, language) | {"revisions": [revision(one) for one in history]}

    def tests(self, link: str, month: str | None, now_s: int) -> list[Trial]:
        """All throughput tests of a link in a month, by default the running one.

        Raises ValueError for another form than 2026-11.
        """
        zone = self._gathering.zone(link)
        wanted = Month.of(now_s, zone) if month is None else Month.parse(month, zone)
        return self._gathering.trials(link, wanted.span)


# --- plain forms --------------------------------------------------------------------------


def verdict(given: Given, language: Language = Language.EN) -> dict[str, Any]:
    """One verdict: its head, its words, and with `verdict` all numbers that it rests on."""
    one, found = given.kept, given.kept.verdict
    return {
        "link": found.link,
        "direction": found.direction.value,
        "until": one.until.isoformat(),
        "formal": one.until.day == 1,
        "revision": one.revision,
        "said_s": one.made_s,
        "changed_s": given.since_s,
        "sha256": one.digest,
        "says": one.statement,
        "summary": words.summary(found, language),
        "explanation": words.explain(found, language),
        "verdict": msgspec.json.decode(one.data),
    }


def row(given: Given) -> dict[str, Any]:
    """The same for a list of all links: what fits in a line."""
    one, found = given.kept, given.kept.verdict
    return {
        "link": found.link,
        "direction": found.direction.value,
        "until": one.until.isoformat(),
        "formal": one.until.day == 1,
        "revision": one.revision,
        "said_s": one.made_s,
        "changed_s": given.since_s,
        "finding": found.finding.value,
        "cause": found.cause,
        "rule": found.rule,
        "standing": found.standing.value,
        "watch": found.watch,
        "valid_days": found.newest.valid_days,
        "bad_days": found.newest.bad_days,
        "peak_median": None if found.bounds is None else found.bounds.peak_median,
    }


def revision(kept: Kept) -> dict[str, Any]:
    """What was said once."""
    return {
        "revision": kept.revision,
        "said_s": kept.made_s,
        "sha256": kept.digest,
        "says": kept.statement,
    }


def test(one: Trial, zone: str) -> dict[str, Any]:
    """One throughput test; rates in bits per second of IP packets, null where not measured."""
    (placed,) = daily.place([_shape(one)], daily.zone(zone))
    tcp = one.tcp
    return {
        "link": one.link,
        "direction": one.direction.value,
        "start_s": one.start_ns // 10**9,
        "part": None if placed.part is Part.OTHER else placed.part.value,
        "method": one.method.value,
        "purpose": one.purpose.value,
        "outcome": one.outcome.value,
        "duration_s": one.duration_s,
        "expected_bits_per_s": None if one.promise is None else _bits(one.promise.expected_mbps),
        "achieved_bits_per_s": _bits(one.achieved_mbps),
        "cross_bits_per_s": _bits(one.cross_mbps),
        "attainment": one.attainment,
        "quality": one.quality.value if one.counts else None,
        "loss_ratio": one.loss_ratio,
        "rtt_idle_s": one.idle_rtt_s,
        "rtt_load_s": one.loaded_rtt_s,
        "rtt_rise_s": one.rtt_rise_s,
        "bufferbloat": one.bufferbloat,
        "pdv_s": one.pdv_s,
        "reordering_ratio": one.reordering_ratio,
        "rpm": one.rpm,
        "tcp_transfer_time_ratio": None if tcp is None else tcp.transfer_time_ratio,
        "tcp_efficiency_ratio": None if tcp is None else tcp.efficiency_percent / 100,
        "buffer_delay_ratio": None if tcp is None else tcp.buffer_delay_percent / 100,
        "bandwidth_delay_bytes": one.bandwidth_delay_octets,
        "counts": one.counts and one.drawn,
        "reason": one.reason or ("" if one.drawn else "at no time drawn by lot"),
    }


def _bits(mbps: float | None) -> float | None:
    return None if mbps is None else mbps * 1e6


def _shape(one: Trial) -> daily.Test:
    """Only to be placed in its day."""
    return daily.Test(one.start_ns, one.direction, 1.0, None, valid=False)
