"""GET /links/ID: all there is on one link; its charts ask for their points apart."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Any, NamedTuple

from aiohttp import web

from collector import verdict_answers
from collector.answers import Answers, MonthAnswer
from collector.audit.calendar import Zone
from collector.audit.daily import Direction
from collector.audit.evidence import Span
from collector.audit.reasons import reason
from collector.audit.words import Words
from collector.contracts import Contract, Contracts
from collector.inventory import Inventory, Link
from collector.ledger.outages import Kept, Lane
from collector.ledger.recent import Arrivals
from collector.settle.trials import Trial
from collector.smoke import LOSS_STEPS, SHARES, Puff, puffs, width_s
from collector.verdict_answers import VerdictAnswers
from collector.web.feed import Feed, Now
from collector.web.render import IANA, Renderer, Texts, tz
from runtime.clock import SECOND, Clock

DAY_S = 86_400
SPANS = {"3h": 10_800, "24h": DAY_S, "7d": 7 * DAY_S, "31d": 31 * DAY_S}
OUTAGES_SHOWN = 200
TESTS_SHOWN = 30


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where a link's page has its facts from."""

    answers: Answers
    verdicts: VerdictAnswers
    arrivals: Arrivals
    feed: Feed


class LinkPages:
    """Routes for one link."""

    def __init__(self, sources: Sources, promised: Any, renderer: Renderer, clock: Clock) -> None:
        """`promised` gives the inventory and the contracts as they are now."""
        self._from, self._promised = sources, promised
        self._renderer, self._clock = renderer, clock

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/links/{link}", self.link),
            web.get("/links/{link}/chart.json", self.chart),
            web.get("/links/{link}/now.json", self.now),
        ]

    def _both(self) -> tuple[Inventory, Contracts]:
        both: tuple[Inventory, Contracts] = self._promised()
        return both

    def _link(self, request: web.Request) -> Link:
        inventory, _ = self._both()
        link = inventory.links.get(request.match_info["link"])
        if link is None:
            raise web.HTTPNotFound(text="no such link\n")
        return link

    def _now_s(self) -> int:
        return self._clock.wall_ns() // SECOND

    # --- the page ---------------------------------------------------------------------------

    async def link(self, request: web.Request) -> web.Response:
        """Everything in words; charts follow."""
        link, t = self._link(request), self._renderer.texts(request)
        told = await asyncio.to_thread(self._told, link, t)
        return await self._renderer.page(request, "link.html", told)

    def _told(self, link: Link, t: Texts) -> dict[str, Any]:
        inventory, contracts = self._both()
        answers, now_s = self._from.answers, self._now_s()
        zone = answers.zone(link.id)
        back = Span(now_s - SPANS["31d"], now_s + DAY_S)
        outages = answers.outages(link.id, back)[::-1]
        months = [month(one) for one in answers.availability(None, now_s, [link.id])]
        contract = contracts.contract_at(link.id, zone.day_of(now_s))
        trials = self._trials(link.id, now_s, zone)
        data = {
            "link": link.id,
            "language": t.language,
            "zone": IANA[zone],
            "zone_name": zone.value,
            "now": self._now(link),
            "spans": list(SPANS),
            "shares": SHARES,
            "steps": LOSS_STEPS,
            "hours": {way.value: by_hour(trials, way, zone) for way in Direction},
            "texts": t.of(
                "link.js.", "state.", "reason.", "cause.", "charge.", "unit.", "board.live."
            ),
        }
        return {
            "link": link,
            "node": inventory.nodes[link.node],
            "zone": zone,
            "now": self._now(link),
            "months": months,
            "contract": contract,
            "rates": [] if contract is None else rates(contract),
            "outages": [outage(one, t, zone, link.id) for one in outages[:OUTAGES_SHOWN]],
            "tests": [tested(one, t, zone) for one in trials[: -TESTS_SHOWN - 1 : -1]],
            "tests_shown": TESTS_SHOWN,
            "verdicts": [
                self._from.verdicts.whole(one, t.language)
                for one in self._from.verdicts.verdicts(None, link.id)
            ],
            "data": data,
        }

    def _now(self, link: Link) -> Now | None:
        inventory, _ = self._both()
        rows = self._from.feed.rows_of([link])
        return rows[0] if link.id in inventory.links else None

    async def now(self, request: web.Request) -> web.Response:
        """The link as it is known now."""
        answer = web.json_response(self._now(self._link(request)))
        answer.headers["Cache-Control"] = "no-store"
        return answer

    # --- charts -----------------------------------------------------------------------------

    async def chart(self, request: web.Request) -> web.Response:
        """Smoke, losses each way and states of a span that ends now."""
        link = self._link(request)
        asked = request.query.get("span", "24h")
        if asked not in SPANS:
            raise web.HTTPBadRequest(text=f"span {asked!r}: expected one of {', '.join(SPANS)}\n")
        now_s = self._now_s()
        span = Span(now_s - SPANS[asked], now_s)
        told = await asyncio.to_thread(self._chart, link.id, span)
        answer = web.json_response(told)
        answer.enable_compression()
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def _chart(self, link: str, span: Span) -> dict[str, Any]:
        found = puffs(self._from.arrivals.passages(link, *span), span)
        return {
            "from_s": span.start_s,
            "to_s": span.end_s,
            **columns(found, width_s(span)),
            "states": [
                [one.start_s, one.end_s, one.state, one.cause, one.charge]
                for one in self._from.answers.intervals(link, span)
            ],
        }

    def _trials(self, link: str, now_s: int, zone: Zone) -> list[Trial]:
        """This month's tests and the last's, in order."""
        tests: list[Trial] = []
        first = zone.day_of(now_s).replace(day=1)
        before = zone.day_of(zone.midnight_s(first) - DAY_S)
        for day in (before, first):
            tests += self._from.verdicts.tests(link, f"{day.year:04}-{day.month:02}", now_s)
        return tests


def columns(found: Sequence[Puff], bin_s: int) -> dict[str, Any]:
    """Puffs by columns, as a chart wants them: milliseconds and percent."""
    return {
        "bin_s": bin_s,
        "at": [one.at_s for one in found],
        "rtt_ms": [
            [None if one.rtts_s is None else _ms(one.rtts_s[k]) for one in found]
            for k in range(len(SHARES))
        ],
        "loss": [_percent(one.loss_ratio) for one in found],
        "step": [one.step for one in found],
        "up": [_percent(one.forward_ratio) for one in found],
        "down": [_percent(one.reverse_ratio) for one in found],
    }


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else round(100 * ratio, 3)


class Point(NamedTuple):
    """One test on the day's clock; rates in Mbit/s of IP packets."""

    hour: float
    achieved_mbps: float
    counts: bool


def by_hour(tests: Iterable[Trial], way: Direction, zone: Zone) -> dict[str, Any]:
    """Tests of a direction by local hour: each, the medians of those that count, the promise."""
    points: list[Point] = []
    held: dict[int, list[float]] = defaultdict(list)
    expected = None
    for one in tests:
        if one.direction is not way or one.achieved_mbps is None:
            continue
        hour = (one.start_ns / SECOND + zone.offset_s) % DAY_S / 3600
        points.append(Point(round(hour, 2), round(one.achieved_mbps, 2), one.counts))
        if one.counts:
            held[int(hour)].append(one.achieved_mbps)
        if one.promise is not None:
            expected = one.promise.expected_mbps
    return {
        "points": points,
        "medians": [[hour, round(median(held[hour]), 2), len(held[hour])] for hour in sorted(held)],
        "expected_mbps": None if expected is None else round(expected, 2),
        "most_mbps": max([expected or 0.0, *(one.achieved_mbps for one in points)], default=0.0),
    }


def tested(one: Trial, t: Texts, zone: Zone) -> dict[str, Any]:
    """A test for its row: as the API tells it, and why it does not count in the page's language."""
    octets = one.bandwidth_delay_octets
    return verdict_answers.test(one, zone.value) | {
        "bandwidth_delay_kib": None if octets is None else octets / 1024,
        "why": Words(t.language).reason(one.reason) if one.reason else t("link.tests.not_drawn"),
    }


def rates(contract: Contract) -> list[tuple[str, str, int]]:
    """(reach, direction, bit/s) of what is promised at all times."""
    told = []
    for reach, pair in (
        ("domestic", contract.cir.domestic),
        ("international", contract.cir.international),
    ):
        if pair is not None:
            told += [(reach, "down", pair.down_bps), (reach, "up", pair.up_bps)]
    return told


def month(one: MonthAnswer) -> dict[str, Any]:
    """A running month: its bounds, and where they lie on a bar of WIDTH units."""
    found, budget = one.found, one.budget
    target = Fraction(str(one.contract.availability_target))
    known = [bound for bound in (found.lower, found.upper, target) if bound is not None]
    # The bar begins where there is something to see: as far below the target as above, or more.
    low = max(Fraction(0), min([2 * target - 1, *known]) - (1 - target) / 10)
    bar = {
        name: None if value is None else round(float((value - low) / (1 - low) * 100), 2)
        for name, value in (
            ("lower", found.lower),
            ("point", found.point),
            ("upper", found.upper),
            ("target", target),
        )
    }
    if bar["lower"] is not None and bar["upper"] is not None:
        # Wide enough to be seen.
        bar["end"] = round(max(bar["upper"], bar["lower"] + 0.8), 2)
    return {
        "answer": one,
        "judgement": found.judgement,
        "lower": _float(found.lower),
        "point": _float(found.point),
        "upper": _float(found.upper),
        "coverage": _float(found.coverage),
        "target": float(target),
        "budget_s": float(budget.whole_s),
        "left_s": float(budget.left_s),
        "left_at_worst_s": float(budget.left_at_worst_s),
        "bar_low": float(low),
        "bar": bar,
    }


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def outage(kept: Kept, t: Texts, zone: Zone, link: str) -> dict[str, Any]:
    """A row of the list of outages."""
    one = kept.outage
    end = one.end
    return {
        "id": kept.id,
        "link": link,
        "start_s": one.start.at_s,
        "start_error_s": max(one.start.high_s - one.start.at_s, one.start.at_s - one.start.low_s),
        "end_s": None if end is None else end.at_s,
        "end_error_s": None if end is None else max(end.high_s - end.at_s, end.at_s - end.low_s),
        "length_s": None if end is None else end.at_s - one.start.at_s,
        "state": one.state,
        "cause": one.cause,
        "charge": one.charge,
        "witnesses": [t.member("witness", witness) for witness in one.witnesses],
        "why": reason(one.why, t.language, tz(zone)),
        "event": one.event,
        "settled": one.settled,
        "provisional": kept.lane is Lane.LIVE,
        "revision": kept.revision,
    }
