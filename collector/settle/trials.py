"""From Transfers and the contract of the day to what the verdict judges: pure.

A trial is one throughput test against the promise: its own rate, the users' traffic meanwhile, and
whether it counts, or why not. Trials at times drawn by lot, with what is known beside them, make
the case of one link and direction (docs/dedicated-method.md, "Where the tests come from").
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import NamedTuple

import msgspec

from collector import capacity
from collector.audit import daily
from collector.audit.capacity import MOST_MBPS, Layer, Promise, Tcp, bandwidth_delay_octets
from collector.audit.daily import MINIMUM_PEAK, THETA, Direction, Quality, Test
from collector.audit.evidence import Span
from collector.audit.findings import Case, Look
from collector.audit.gates import Circumstances, Plan, Shown
from collector.audit.shaping import burst
from collector.audit.stability import stability
from collector.audit.together import Order, Repeat, together
from collector.contracts import Contract
from collector.experiment import LEAST_SITES, Experiment, pairs
from collector.ledger import PlacedBy
from wire.plan import MTU, OVER, Side, ThroughputPlan
from wire.slot import Method
from wire.transfer import Purpose, Transfer, TransferOutcome

NS = 1_000_000_000
LONG_S = 30.0
"""A load of this length or more can show a token bucket."""
CLOCK_ERROR_NS = NS
"""A test that may have begun so much earlier or later still lies in the right hour."""
_HUB = "hub"


class Doubt(StrEnum):
    """Why a test that was made does not count, besides what became of it."""

    CLOCK = "no clock can be believed for when it was"
    CONTRACT = "no contract on that day"
    OTHER_PROMISE = "another rate was promised on that day"
    HUB = "the hub was too busy"
    BOX = "the box cannot carry 1.2 x CIR, or runs at half duplex"
    NOT_FIXED = "the load had no fixed rate"
    DEMAND = "less was asked of the link than 90 % of the promise"
    SITE = "a fault at the site meanwhile"
    RATE = "no rate in the record"


class Made(NamedTuple):
    """A Transfer on the calendar."""

    transfer: Transfer
    at_s: int
    placed_by: PlacedBy
    error_ns: int | None


class Subject(NamedTuple):
    """A link, and what was promised and planned for it."""

    link: str
    contract_at: Callable[[date], Contract | None]
    zone: str
    plan: ThroughputPlan | None
    faults: tuple[Span, ...] = ()
    """When LAN or CPE were at fault."""


class Beside(NamedTuple):
    """What is known of a link besides its tests, over the quarter."""

    charged_ns: tuple[int, ...] | None = None
    """Starts of the provider's outages; None: outages were not judged."""
    days: int = 0
    """Days for which the state of the link is known."""
    complete: bool = False
    """No batch is known to be missing, and the chain of those that are here is sound."""
    tickets: tuple[date, ...] = ()
    repeats: Mapping[Direction, tuple[Repeat, ...]] = {}
    """Experiment G of its PoP: the newest that is done, by direction."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One throughput test against the promise. Rates are Mbit/s of IP packets; None is not
    measured."""

    link: str
    direction: Direction
    start_ns: int
    method: Method
    purpose: Purpose
    outcome: TransferOutcome
    duration_s: float | None
    promise: Promise | None
    """Of that day."""
    achieved_mbps: float | None
    cross_mbps: float | None
    """Users' own traffic; None as well where the method can only tell the least that arrives."""
    loss_ratio: float | None
    idle_rtt_s: float | None
    loaded_rtt_s: float | None
    """Medians of the round trips before and during the load."""
    rtt_rise_s: float | None
    """Mean round trip during the load less the mean before it."""
    bufferbloat: str | None
    """Grade of that rise, A+ to F."""
    pdv_s: float | None
    """99th percentile of one-way delay less the least, during the load."""
    reordering_ratio: float | None
    """Packets that a later one overtook, of those that came."""
    rpm: float | None
    """Responsiveness under load, round trips per minute."""
    tcp: Tcp | None
    """RFC 6349 of a test by tcp or ndt7."""
    bandwidth_delay_octets: float | None
    """Of such a test: what has to be under way to fill the promise at the least round trip; one
    flow needs a window of so much."""
    reason: str
    """Why it does not count; empty if it does."""
    box: Shown
    hub: Shown
    full_packets: bool
    """Packets of the whole MTU arrived."""
    clock: bool
    """Its place on the calendar is known to a second."""
    bin_s: float
    rates_mbps: tuple[float, ...] = ()
    """By bin, of a long load at a fixed rate; empty for others."""

    @property
    def drawn(self) -> bool:
        """Whether its time was drawn by lot: others are shown and not judged, because who orders
        a test chooses when."""
        return self.purpose is Purpose.PLANNED

    @property
    def counts(self) -> bool:
        """Whether it can speak about the link."""
        return not self.reason

    @property
    def quality(self) -> Quality:
        """A if cross-traffic is known."""
        return Quality.B if self.cross_mbps is None else Quality.A

    @property
    def attainment(self) -> float | None:
        """y; a lower bound for quality B. None where it does not count."""
        test = self.test()
        return test.attainment if test is not None and test.valid else None

    def test(self, spoiled: str = "") -> Test | None:
        """What the verdict is made of, `spoiled` being one more reason against it; None where
        nothing was promised."""
        if self.promise is None:
            return None
        why = self.reason or spoiled
        return Test(
            self.start_ns,
            self.direction,
            self.promise.expected_mbps,
            self.achieved_mbps,
            self.cross_mbps,
            valid=not why,
            reason=why,
            anchor=_HUB if self.method is not Method.IPERF3 else self.method.value,
        )


def local_day(at_s: int, zone: str) -> date:
    """The day at the site. Raises ValueError for an unknown zone."""
    return datetime.fromtimestamp(at_s, UTC).astimezone(daily.zone(zone)).date()


def midnight_s(day: date, zone: str) -> int:
    """UTC second at which the site's day begins. Raises ValueError for an unknown zone."""
    begin = datetime(day.year, day.month, day.day, tzinfo=daily.zone(zone))
    return int(begin.timestamp())


def promise_of(contract: Contract, direction: Direction) -> Promise:
    """What the contract promises within the country."""
    cir = contract.cir
    bps = cir.domestic.down_bps if direction is Direction.DOWN else cir.domestic.up_bps
    return Promise(bps / 1e6, Layer(cir.layer.value), cir.vlan)


def trial(made: Made, subject: Subject) -> Trial:
    """The test against the promise of its day."""
    one = made.transfer
    direction = Direction(one.direction.value)
    contract = subject.contract_at(local_day(made.at_s, subject.zone))
    promise = None if contract is None else promise_of(contract, direction)
    achieved = _mbps(capacity.achieved(one))
    cross = _cross(one, subject, contract)
    box = _box(one, promise)
    rise_ns, pdv_ns = capacity.rtt_rise_ns(one), capacity.pdv_ns(one)
    tcp = None if promise is None else capacity.rfc6349(one, promise)
    found = Trial(
        link=one.link,
        direction=direction,
        # In whole seconds: a better known clock shall not make another verdict of a microsecond.
        start_ns=made.at_s * NS,
        method=one.method,
        purpose=one.purpose,
        outcome=one.outcome,
        duration_s=None if one.duration_ns is None else one.duration_ns / NS,
        promise=promise,
        achieved_mbps=achieved,
        cross_mbps=cross if one.method is Method.UDP else None,
        loss_ratio=capacity.loss_ratio(one),
        idle_rtt_s=_median_s([rtt for rtt in one.rtt_idle_ns if rtt is not None]),
        loaded_rtt_s=_median_s(capacity.loaded_rtts_ns(one)),
        rtt_rise_s=None if rise_ns is None else rise_ns / NS,
        bufferbloat=None if rise_ns is None else capacity.bufferbloat(rise_ns),
        pdv_s=None if pdv_ns is None else pdv_ns / NS,
        reordering_ratio=capacity.reordering_ratio(one),
        rpm=capacity.responsiveness(one),
        tcp=tcp,
        bandwidth_delay_octets=None if tcp is None else _bandwidth_delay(one, promise),
        reason="",
        box=box,
        hub=_hub(one),
        full_packets=one.headers is not None and one.headers.packet >= MTU,
        clock=made.error_ns is not None and made.error_ns <= CLOCK_ERROR_NS,
        bin_s=one.bin_ns / NS,
        rates_mbps=_long(one),
    )
    return msgspec.structs.replace(found, reason=_reason(found, made, subject))


def _reason(found: Trial, made: Made, subject: Subject) -> str:
    one = made.transfer
    if one.outcome is not TransferOutcome.DONE:
        return one.outcome.value
    doubts = {
        Doubt.HUB: found.hub is Shown.FAILED,
        Doubt.RATE: found.achieved_mbps is None,
        Doubt.CLOCK: made.placed_by is PlacedBy.RECEIVED,
        Doubt.CONTRACT: found.promise is None,
        Doubt.BOX: found.box is Shown.FAILED,
        Doubt.SITE: any(
            made.at_s < span.end_s and span.start_s <= made.at_s + (found.duration_s or 0)
            for span in subject.faults
        ),
        Doubt.NOT_FIXED: one.method is Method.UDP and len(one.offered) != 1,
        Doubt.DEMAND: _asked_too_little(one, found),
    }
    return next((doubt.value for doubt, holds in doubts.items() if holds), "")


def _asked_too_little(one: Transfer, found: Trial) -> bool:
    """What nobody asked for cannot be missing. A test of quality B accuses nobody anyway."""
    if found.promise is None or found.cross_mbps is None or len(one.offered) != 1:
        return False
    asked = one.offered[0].bits_per_s / 1e6 + found.cross_mbps
    return asked < THETA * found.promise.expected_mbps


def _mbps(bits_per_s: float | None) -> float | None:
    """None as well for a rate that no link has: a record may claim anything."""
    known = bits_per_s is not None and bits_per_s <= MOST_MBPS * 1e6
    return bits_per_s / 1e6 if known and bits_per_s is not None else None


def _bandwidth_delay(one: Transfer, promise: Promise | None) -> float | None:
    base_ns = capacity.base_rtt_ns(one)
    if promise is None or base_ns is None:
        return None
    return bandwidth_delay_octets(promise.expected_mbps, base_ns / 1e6)


def _median_s(rtts_ns: Sequence[int]) -> float | None:
    return median(rtts_ns) / NS if rtts_ns else None


def _cross(one: Transfer, subject: Subject, contract: Contract | None) -> float | None:
    """Users' own traffic by their router's counters; never below 0."""
    plan = subject.plan
    vlan = plan.vlan if plan is not None else contract is not None and contract.cir.vlan
    outside = plan is None or plan.gate.side is Side.WAN
    found = capacity.crossing(one, vlan=bool(vlan), device_counts_in=outside)
    return None if found is None else _mbps(max(0.0, found.cross))


def _box(one: Transfer, promise: Promise | None) -> Shown:
    """Whether the box carries 1.2 x CIR, its port's speed and duplex known."""
    box = one.box
    if box is None or promise is None:
        return Shown.NOT_SHOWN
    if not box.fit or box.full_duplex is False:
        return Shown.FAILED
    # A hair less than asked is rounding.
    least = 0.999 * OVER * promise.expected_mbps
    known = box.selftest_offered_bits_per_s, box.speed_mbps, box.full_duplex
    if box.speed_mbps is not None and box.speed_mbps < least:
        return Shown.FAILED
    proved = None not in known and (box.selftest_offered_bits_per_s or 0) >= least * 1e6
    return Shown.HELD if proved else Shown.NOT_SHOWN


def _hub(one: Transfer) -> Shown:
    """Whether the hub had room, by its own count."""
    if one.outcome is TransferOutcome.HUB_UNFIT:
        return Shown.FAILED
    if one.hub is None or one.hub.cpu_ratio is None:
        return Shown.NOT_SHOWN
    return Shown.FAILED if capacity.usable(one) is not None else Shown.HELD


def _long(one: Transfer) -> tuple[float, ...]:
    fixed = len(one.offered) == 1 and one.method is Method.UDP
    if not fixed or (one.duration_ns or 0) < LONG_S * NS:
        return ()
    return tuple(rate / 1e6 for rate in capacity.series(one, one.bin_ns))


# --- cases


def case_of(
    subject: Subject, direction: Direction, trials: Iterable[Trial], beside: Beside, look: Look
) -> Case | None:
    """All there is on one link in one direction; None where nothing was promised at the end, or
    nothing was ever meant to be tested."""
    contract = subject.contract_at(look.until - timedelta(days=1))
    if contract is None:
        return None
    promise = promise_of(contract, direction)
    own = [one for one in trials if one.direction is direction]
    drawn = [one for one in own if one.drawn]
    if not drawn:
        return None
    return Case(
        subject.link,
        direction,
        subject.zone,
        promise,
        tuple(test for one in drawn if (test := _held_to(one, promise)) is not None),
        plan=_plan(subject.plan),
        circumstances=circumstances(drawn, beside),
        tickets=beside.tickets,
        long_runs=tuple(
            burst(one.rates_mbps, one.bin_s) for one in own if one.counts and one.rates_mbps
        ),
        stability=stability(beside.charged_ns, beside.days),
        together=together(pairs_of) if (pairs_of := beside.repeats.get(direction)) else None,
    )


def _held_to(one: Trial, promise: Promise) -> Test | None:
    return one.test("" if one.promise == promise else Doubt.OTHER_PROMISE.value)


def _plan(plan: ThroughputPlan | None) -> Plan:
    if plan is None:
        return Plan()
    evening = plan.evening_tests
    return Plan(minimum_peak=max(1, min(MINIMUM_PEAK, evening)), peak_per_day=evening)


def circumstances(drawn: Sequence[Trial], beside: Beside) -> Circumstances:
    """What the ledger answers for. Who speaks are the tests that count."""
    counted = [one for one in drawn if one.counts]

    def shown(holds: Callable[[Trial], bool], spoiled: Sequence[Trial] = ()) -> Shown:
        if len(spoiled) > len(counted):
            return Shown.FAILED
        return Shown.HELD if counted and all(map(holds, counted)) else Shown.NOT_SHOWN

    judged = beside.charged_ns is not None
    box = [one for one in drawn if one.outcome is TransferOutcome.UNFIT or one.box is Shown.FAILED]
    hub = [one for one in drawn if one.hub is Shown.FAILED]
    return Circumstances(
        box=shown(lambda one: one.box is Shown.HELD, box),
        anchors=shown(lambda one: one.hub is Shown.HELD, hub),
        site=shown(lambda one: judged and one.full_packets),
        clock=shown(lambda one: beside.complete and one.clock),
    )


def repeats(
    experiment: Experiment, expected_mbps: Mapping[str, float]
) -> tuple[Repeat, ...] | None:
    """The pairs of experiment G; None where a site's promise is not known."""
    links = sorted(experiment.nodes)
    if len(links) < LEAST_SITES or any(link not in expected_mbps for link in links):
        return None
    return tuple(
        Repeat(
            Order.TOGETHER_FIRST if one.together_first else Order.ALONE_FIRST,
            tuple(expected_mbps[link] for link in links),
            tuple(one.alone_bits_per_s[link] / 1e6 for link in links),
            tuple(one.together_bits_per_s[link] / 1e6 for link in links),
        )
        for one in pairs(experiment)
    )
