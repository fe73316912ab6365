"""What an audit of links takes and tells: the records, without a decision in them."""

from datetime import date
from enum import StrEnum

import msgspec

from collector.audit import decision
from collector.audit.capacity import Promise
from collector.audit.daily import Direction, Test
from collector.audit.decision import Bounds, Cause, Lack, Quarter, Rule, Window
from collector.audit.diurnal import Elevation, Rhythm
from collector.audit.gates import Circumstances, GateResult, Plan
from collector.audit.noise import Noise
from collector.audit.rates import SimulatedRate
from collector.audit.shaping import Burst, Shaping
from collector.audit.stability import Stability
from collector.audit.together import Together

METHOD = "dedicated-2"
"""Changes whenever a verdict on the same input may change."""


class Finding(StrEnum):
    """Of a link and direction."""

    DEDICATED = "dedicated"
    NOT_DEDICATED = "not_dedicated"
    INSUFFICIENT = "insufficient"


class Standing(StrEnum):
    """Whether a finding may be published."""

    FINAL = "final"
    PRELIMINARY = "preliminary"
    """shared with the provider only"""


class Pending(StrEnum):
    """What a preliminary finding waits for."""

    REBUTTAL = "rebuttal"
    """the provider has not had the raw data for 14 days and has not answered"""
    OBJECTION = "objection"
    """the provider objected and nobody has settled it"""
    GATES = "gates"
    """gates that nobody has shown to hold"""
    SECOND_WINDOW = "second_window"
    """the window before was not measured"""


class Rebuttal(msgspec.Struct, frozen=True):
    """Whether the provider had its say."""

    delivered: date | None = None
    """When it received the raw data."""
    objection_open: bool = False
    answered: date | None = None
    """When it answered, whatever it said: it need not be waited for any longer."""
    heard: date | None = None
    """Since when it had its say, as the register of hearings tells: by its answer, or by the time
    that it had. None: not by then, or by the day of the audit."""


class Case(msgspec.Struct, frozen=True):
    """All there is on one link in one direction."""

    link: str
    direction: Direction
    zone: str
    """Of the site: WIB, WITA, WIT or IANA."""
    promise: Promise
    tests: tuple[Test, ...]
    plan: Plan = Plan()
    circumstances: Circumstances = Circumstances()
    rebuttal: Rebuttal = Rebuttal()
    tickets: tuple[date, ...] = ()
    """Local days on which the provider has a ticket for an incident."""
    long_runs: tuple[Burst | None, ...] = ()
    """What `shaping.burst` found in each long run."""
    stability: Stability | None = None
    together: Together | None = None
    elevation: Elevation | None = None


class Look(msgspec.Struct, frozen=True):
    """At what the audit looks, and when. Looking again and again would spoil the error rates."""

    until: date
    """Local day after the last one judged: a month's end, for rule O a quarter's."""
    as_of: date
    """The day of the audit, for the rebuttal's time."""


class BadDay(msgspec.Struct, frozen=True):
    """A day below 0.90: median, least and best attainment of its peak tests."""

    date: date
    median: float
    least: float
    best: float
    tests: int
    ticket: bool


class Shortfall(msgspec.Struct, frozen=True):
    """CIR_SHORTFALL: a fact about the days from `first` to `last`, and no more than that."""

    first: date
    last: date
    valid_days: int
    bad_days: tuple[BadDay, ...]
    share: float | None
    """Bad days of the valid ones."""
    allowed_share: float = decision.BAD_RATE


class Obstacle(StrEnum):
    """Why a rule that points at the link does not convict it."""

    ONE_WINDOW = "one_window"
    """rule v2: the window before was not measured"""
    NOT_REPEATED = "not_repeated"
    """rule v2: only one of the two windows points, or each at something else"""
    GATE = "gate"
    PERSISTENT = "persistent"
    """days depend on the day before too much to be counted"""
    NOISE = "noise"
    """the tests are too few for their noise to count bad days, or nobody can tell their noise"""
    ANCHORS_DISAGREE = "anchors_disagree"
    FAMILY = "family"
    """not rejected among all links that were audited together"""
    DEPENDENT_FAMILY = "dependent_family"
    """Benjamini-Yekutieli disagrees with Benjamini-Hochberg"""


class Accusation(msgspec.Struct, frozen=True):
    """A rule that points at the link, and what stands in its way: it convicts if nothing does."""

    rule: Rule
    cause: Cause
    obstacles: tuple[Obstacle, ...]
    persistence: float | None = None
    """Lag-1 correlation of the days that the rule counts; None where it is undefined."""
    noise: Noise | None = None
    """Of the days that the rule looks at."""
    anchors: tuple[str, ...] = ()
    """Far ends that do not agree."""


class Alarm(StrEnum):
    """Running values that call for attention and prove nothing."""

    P_LINK = "p_link"
    """p of the newest window below 0.05"""
    P_QUARTER = "p_quarter"
    """p of weekly occupancy below 0.05"""
    E_BAD_DAYS = "e_bad_days"
    E_SHIFT = "e_shift"
    RULE_BLOCKED = "rule_blocked"


class Family(msgspec.Struct, frozen=True):
    """The link among all (link, direction) audited together; adjusted p-values."""

    links: int
    windows_bh: float
    windows_by: float
    windows_e_bh: bool
    """Whether month-end e-BH rejects at q = 0.001 as well; told, not used."""
    peak_only_bh: float
    peak_only_by: float
    bad_bh: float
    bad_by: float


class Rejection(StrEnum):
    """Why we do not use a test that is valid by itself."""

    OTHER_DIRECTION = "other direction"
    OUTSIDE = "outside the quarter"
    UNTOLD = "not valid, no reason told"
    OTHER_HOURS = "neither peak nor off-peak hours"
    UNCOMPARED = "off-peak with unknown cross-traffic"


class Rejected(msgspec.Struct, frozen=True):
    """A test that was not used, and why: a Rejection, or what the measuring side told."""

    start_ns: int
    reason: str


class Used(msgspec.Struct, frozen=True):
    """What became of the tests of the quarter."""

    peak: int
    off_peak: int
    lower_bounds: int
    """Peak tests of quality B: they can clear the link and cannot accuse it."""
    rejected: tuple[Rejected, ...]


class Verdict(msgspec.Struct, frozen=True):
    """The answer for one link and direction, with all that it rests on."""

    method: str
    link: str
    direction: Direction
    zone: str
    promise: Promise
    until: date
    input_sha256: str
    finding: Finding
    cause: Cause | None
    rule: Rule | None
    standing: Standing
    pending: tuple[Pending, ...]
    watch: bool
    """Insufficient, but worth watching."""
    alarms: tuple[Alarm, ...]
    accusations: tuple[Accusation, ...]
    lacks: tuple[Lack, ...]
    """Why the newest window does not show the link dedicated."""
    gates: tuple[GateResult, ...]
    """Of the newest window, the one before and the quarter."""
    shortfall: Shortfall
    newest: Window
    previous: Window
    quarter: Quarter
    bounds: Bounds | None
    """Of the newest window."""
    family: Family
    noise: Noise | None
    """Of the quarter."""
    shaping: Shaping
    rhythm: Rhythm | None
    elevation: Elevation | None
    stability: Stability | None
    together: Together | None
    used: Used
    rates: tuple[SimulatedRate, ...]
    """Simulated error rates that must be quoted with the finding."""
    rebuttal: Rebuttal = Rebuttal()
    """Whether the provider had its say; verdicts of method dedicated-1 do not tell."""
