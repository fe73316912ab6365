"""The audit of a month as one record: what is frozen, digested and rendered (docs/audit-json.md).

Every number that any rendering shows is here. Names give units: `_s` seconds (moments are UTC
seconds), `_rupiah`, `_mbps` (10^6 bit/s of IP packets); shares lie between 0 and 1. None is "not
known" or "not promised", never 0.
"""

from typing import Any

import msgspec

from collector.audit.availability import Judgement
from collector.audit.daily import Direction
from collector.audit.findings import Finding, Standing
from collector.audit.states import Cause, Charge, EvidenceClass, State
from collector.inventory import NodeKind, Reach
from collector.maintenance import Kind, Refusal
from collector.restitution import Rounding, Rule

FORMAT = "pantau-audit-1"
"""Changes whenever a reader of the former form would misread the new one."""


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of the record. A field that a later version adds has a default, so that what was
    issued before can still be rendered. No cycles: the collector of garbage need not look."""


class Seconds(Part, frozen=True, kw_only=True):
    """[start_s, end_s) in UTC seconds."""

    start_s: int
    end_s: int


class Range(Part, frozen=True, kw_only=True):
    """A time v with low_s < v <= high_s; both None where it is a lost packet's, infinitely late."""

    low_s: float | None
    high_s: float | None


# --- one link under one contract ----------------------------------------------------------


class AvailabilityPart(Part, frozen=True, kw_only=True):
    """docs/audit-method.md: T = period, X = excluded, T_a = counted, U, D and Uk."""

    judgement: Judgement
    target: float
    lower: float | None
    """As if all unknown time were down."""
    point: float | None
    """Of the known time."""
    upper: float | None
    """As if all unknown time were up."""
    coverage: float | None
    """Share of the counted time that is known."""
    likely_met: bool
    """A hint where nothing is decided, and no judgement."""
    period_s: int
    excluded_s: int
    counted_s: int
    up_s: int
    down_s: int
    """Charged to the provider, in counted outages."""
    unknown_s: int
    uncounted_s: int
    """In outages below the contract's minimum: counted as up."""
    degraded_s: int
    allowed_down_s: float
    """What the target leaves."""
    left_s: float
    """Of it; below 0 once it is overdrawn."""
    outages: int
    longest_s: int | None
    mean_to_restore_s: float | None
    mean_between_s: float | None
    edge_error_s: int
    """Bound on the error of `down_s` by the edges of the outages."""
    unknown: tuple[Seconds, ...]
    to_breach: tuple[Seconds, ...]
    """Of an undecided period: were these unknown stretches down, the target would be breached."""
    to_meet: tuple[Seconds, ...]
    """Were these up, it would be met."""
    to_breach_s: int
    """All of them together."""
    to_meet_s: int
    flapping: tuple[Seconds, ...]
    """Episodes, from the first to the last beginning of an outage."""
    flapping_episodes: int
    micro_outages: int
    """Three to nine seconds lost in a row."""
    violated_ratio: float | None
    """VIR of RFC 9544: share of bad intervals in available time."""
    severely_violated_ratio: float | None


class BunchPart(Part, frozen=True, kw_only=True):
    """Batches of one epoch of an agent, from the first to the last number."""

    agent: str
    epoch: str
    first_seq: int
    last_seq: int


class OutagePart(Part, frozen=True, kw_only=True):
    """One outage that touches the period."""

    id: int
    revision: int
    """Of what the ledger said of it."""
    state: State
    cause: Cause
    charge: Charge
    start_s: int
    start_low_s: float
    start_high_s: float
    end_s: int | None
    """None while it lasts."""
    end_low_s: float | None
    end_high_s: float | None
    within_s: int
    """Seconds of it within the period."""
    witnesses: tuple[EvidenceClass, ...]
    why: str
    """Clauses; renderings make sentences of them."""
    event: str | None
    settled: bool
    batches: tuple[BunchPart, ...]
    """That hold records about the link from a minute before it to a minute after it."""


class ExcludedPart(Part, frozen=True, kw_only=True):
    """Time that is not judged, and why."""

    start_s: int
    end_s: int
    cause: Cause
    why: str
    notice: int | None
    """Number in the register of maintenance windows."""


class RefusedPart(Part, frozen=True, kw_only=True):
    """What of a notice excludes nothing."""

    start_s: int
    end_s: int
    refusal: Refusal


class NoticePart(Part, frozen=True, kw_only=True):
    """A notice of maintenance or force majeure that touches the period."""

    id: int
    kind: Kind
    start_s: int
    end_s: int
    announced_s: int
    approved_by: str | None
    reason: str
    document: str | None
    cancelled: bool
    counted_s: int
    """Seconds of the period that the contract excludes for it."""
    refused: tuple[RefusedPart, ...]


class DelayPart(Part, frozen=True, kw_only=True):
    """Round trips to one target in available time, against the contract's limits."""

    target: str
    reach: Reach
    packets: int
    lost: int
    batches: int
    batches_left_out: int
    """They touch time in which the link was not up."""
    batches_loaded: int = 0
    """They touch seconds that our own tests loaded."""
    rtt_p50: Range | None
    rtt_p95: Range | None
    rtt_p99: Range | None
    rtt_percentile: float
    """The one that is promised."""
    rtt: Range | None
    rtt_limit_s: float | None
    rtt_judgement: Judgement | None
    jitter_p50: Range | None
    """Round-trip delay variation over the minute's minimum (RFC 5481 4.2)."""
    jitter_p95: Range | None
    jitter_p99: Range | None
    jitter_percentile: float
    jitter: Range | None
    jitter_limit_s: float | None
    jitter_judgement: Judgement | None
    loss_ratio: float | None
    loss_limit: float | None
    loss_judgement: Judgement | None


class HourOfDay(Part, frozen=True, kw_only=True):
    """Attainment of the tests of one hour of the local day; nearest rank."""

    hour: int
    tests: int
    p10: float
    p25: float
    p50: float
    p75: float
    p90: float


class ThroughputPart(Part, frozen=True, kw_only=True):
    """Throughput tests of one direction."""

    direction: Direction
    tests: int
    counted: int
    """Tests that can speak about the link."""
    expected_mbps: float | None
    """What the promised rate leaves to IP packets."""
    delivered_mbps: float | None
    """Median of what was delivered, users' own traffic included."""
    attainment_p05: float | None
    attainment_p50: float | None
    share_kept: float | None
    """Share of the tests with an attainment of 0.90 or more."""
    hours: tuple[HourOfDay, ...]
    not_counted: dict[str, int]
    """Reasons, and how many tests."""
    rtt_rise_s: float | None = None
    """Of the counted tests, the median rise of the mean round trip under load."""
    bufferbloat: str | None = None
    """Grade of that median, A+ to F."""
    pdv_s: float | None = None
    """Of the counted tests, the median 99th percentile of one-way delay less the least."""
    reordering_ratio: float | None = None
    """Of the counted tests, the median share of packets that a later one overtook."""


class VerdictPart(Part, frozen=True, kw_only=True):
    """The dedicated verdict at the month's end for one direction."""

    direction: Direction
    finding: Finding
    standing: Standing
    watch: bool
    until: str
    """The local day after the last one judged."""
    revision: int
    sha256: str
    """Of the verdict as the ledger keeps it."""
    valid_days: int
    bad_days: int
    summary: dict[str, str]
    """By language."""
    explanation: dict[str, str]
    """All that it rests on; for links that are watched or not dedicated, empty for others."""


class RestitutionPart(Part, frozen=True, kw_only=True):
    """What is given back, and the arithmetic."""

    rule: Rule
    rounding: Rounding
    fee_rupiah: int
    """Of the whole month."""
    fee_part_rupiah: int
    """Of the part of the month under this contract, to the nearest rupiah."""
    formula: str
    """Of the values' names; empty where the rule computes nothing."""
    values: dict[str, str]
    """Exact: whole numbers or fractions such as 199/200."""
    exact: str | None
    """Rupiah before rounding, such as 125000/9; None: the rule asks for something unknown."""
    rupiah: int | None
    """Rounded once, as the contract says."""
    at_most_rupiah: int | None
    """If all unknown time had been charged."""


class TiphonPart(Part, frozen=True, kw_only=True):
    """TIPHON index as Indonesian papers compute it: a courtesy, never a judgement."""

    rules: str
    delay_s: float | None
    delay_index: int | None
    jitter_s: float | None
    jitter_index: int | None
    loss_ratio: float | None
    loss_index: int | None
    throughput_share: float | None
    throughput_index: int | None
    index: float | None
    """Mean of those that are known; None unless all four are."""
    word: str | None


class Match(Part, frozen=True, kw_only=True):
    """A ticket beside an outage of ours; either is absent where only the other side has it."""

    case: int
    """Outages and tickets that hang together have one number."""
    kind: str
    """matched, edges_differ, only_ours or only_theirs"""
    outage: int | None
    start_s: int | None
    end_s: int | None
    cause: Cause | None
    charge: Charge | None
    ticket: str | None
    ticket_start_s: int | None
    ticket_end_s: int | None
    ticket_cause: str | None
    start_differs_s: int | None
    """Theirs less ours, of the whole case, on its first row; None as well where one side lasts."""
    end_differs_s: int | None


class Day(Part, frozen=True, kw_only=True):
    """Seconds of one local day by whose time they are."""

    date: str
    up_s: int
    degraded_s: int
    down_s: int
    """Charged to the provider."""
    excluded_s: int
    unknown_s: int


class Hour(Part, frozen=True, kw_only=True):
    """Seconds of one local hour that was not all up."""

    start_s: int
    degraded_s: int
    down_s: int
    excluded_s: int
    unknown_s: int


class Smoke(Part, frozen=True, kw_only=True, array_like=True):
    """Round trips to the hub in two hours: upper bounds of their percentiles, whole microseconds;
    None: lost. An array, because a month has 372 of them."""

    start_s: int
    packets: int
    lost: int
    p05_us: int | None
    p25_us: int | None
    p50_us: int | None
    p75_us: int | None
    p95_us: int | None


class PeriodPart(Part, frozen=True, kw_only=True):
    """A link under one contract: the month, or the part of it under this contract."""

    contract: str
    """Its reference."""
    contract_sha256: str
    terms: dict[str, Any]
    """The whole contract, defaults written out."""
    start_s: int
    end_s: int
    judged_until_s: int | None
    """Of the period, to its end at most; None where nothing is judged."""
    complete: bool
    """Over, and judged to its end."""
    evidence_batches: int
    evidence_sha256: str
    """docs/audit-json.md tells over what."""
    judgement: Judgement
    """Of all that is promised: breached where one clause is, met where all are."""
    availability: AvailabilityPart
    outages: tuple[OutagePart, ...]
    excluded: tuple[ExcludedPart, ...]
    notices: tuple[NoticePart, ...]
    delays: tuple[DelayPart, ...]
    throughput: tuple[ThroughputPart, ...]
    restitution: RestitutionPart
    tickets: tuple[Match, ...]
    tiphon: TiphonPart
    days: tuple[Day, ...]
    hours: tuple[Hour, ...]
    smoke: tuple[Smoke, ...]


class LinkPart(Part, frozen=True, kw_only=True):
    """One link in the month."""

    link: str
    node: str
    name: str
    kind: NodeKind
    district: str
    provider: str
    medium: str
    pop: str
    circuit: str | None
    judgement: Judgement
    periods: tuple[PeriodPart, ...]
    verdicts: tuple[VerdictPart, ...]


# --- all links ----------------------------------------------------------------------------


class Counts(Part, frozen=True, kw_only=True):
    """How many."""

    met: int = 0
    breached: int = 0
    indeterminate: int = 0


class Worst(Part, frozen=True, kw_only=True):
    """One of the ten worst links."""

    link: str
    name: str
    provider: str
    judgement: Judgement
    lower: float | None
    upper: float | None
    down_s: int
    outages: int
    rupiah: int


class TrendMonth(Part, frozen=True, kw_only=True):
    """How the same links stood in a month: availability alone."""

    month: str
    links: int
    availability: Counts
    lower: float | None
    """Of all links' time together."""
    upper: float | None
    rupiah: int


class Summary(Part, frozen=True, kw_only=True):
    """The first page."""

    links: int
    judgement: Counts
    availability: Counts
    latency: Counts
    jitter: Counts
    loss: Counts
    dedicated: dict[str, int]
    """Links by what is found of them: not_dedicated where one direction is."""
    fee_rupiah: int
    restitution_rupiah: int
    restitution_at_most_rupiah: int
    """If all unknown time had been charged."""
    restitution_unknown: int
    """Contracts whose rule asks for something unknown: in no sum."""
    worst: tuple[Worst, ...]
    trend: tuple[TrendMonth, ...]
    """Six months, the audited one last."""


class ProviderPart(Part, frozen=True, kw_only=True):
    """A provider's links; `medium` and `district` are None for all of them together."""

    provider: str
    medium: str | None
    district: str | None
    links: int
    judgement: Counts
    lower: float | None
    """Availability of all their time together."""
    point: float | None
    upper: float | None
    down_s: int
    outages: int
    mean_to_restore_s: float | None
    attainment_p50: float | None
    """Median over links of the medians, down."""
    dedicated: dict[str, int]
    rtt_p50_s: float | None
    """Median over links of the upper bounds of the medians to the hub."""
    fee_rupiah: int
    fee_per_link_rupiah: int | None
    delivered_mbps: float | None
    """Sum over the links with tests, down."""
    fee_per_mbps_rupiah: int | None
    """Fees of those links over it."""
    restitution_rupiah: int


class TicketTotals(Part, frozen=True, kw_only=True):
    """Cases of the reconciliation with the providers' tickets."""

    tolerance_s: int
    matched: int
    edges_differ: int
    only_ours: int
    only_theirs: int


class Scope(Part, frozen=True, kw_only=True):
    """Which links: of a `kind` (all, link, provider, node, district) the one named `value`."""

    kind: str = "all"
    value: str | None = None

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.kind} {self.value}"


class Audit(Part, frozen=True, kw_only=True):
    """A month of some links."""

    format: str
    software: str
    """Version of Pantau."""
    methods: dict[str, str]
    """By name: which version of a rule set judged."""
    month: str
    zone: str
    start_s: int
    end_s: int
    scope: Scope
    complete: bool
    """Every link is judged to the month's end."""
    summary: Summary
    providers: tuple[ProviderPart, ...]
    """All links of each."""
    equal_conditions: tuple[ProviderPart, ...]
    """Apart by medium and district: only within such a group is one provider like another."""
    tickets: TicketTotals
    without_contract: tuple[str, ...]
    """Links that had none in the month: they are not judged."""
    links: tuple[LinkPart, ...]


class Difference(Part, frozen=True, kw_only=True):
    """One number or word that a revision says otherwise."""

    place: str
    """Such as links[l1].periods[0].availability.down_s."""
    before: str | None
    """As JSON; None where it was not there."""
    now: str | None


class Document(Part, frozen=True, kw_only=True):
    """What is issued: an audit, and how it follows the one before it."""

    revision: int
    """1 is the first that was issued; 0 is a draft."""
    replaces: str | None
    """SHA-256 of the revision before."""
    changes: tuple[Difference, ...]
    """What this revision says otherwise; the first thousand."""
    changes_left_out: int
    audit_sha256: str
    """Of the audit's own canonical bytes."""
    audit: Audit
