"""What was promised: the contracts of the links, each for a run of whole local days.

A contract is data; `Contract.terms` hands the audit what it needs of it, and `Contract.digest`
names this very version in evidence. A day belongs to one contract of a link at most; a month in
which the contract changes is two periods, each judged by its own terms.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from collector import inventory as inventories
from collector.audit.calendar import Zone
from collector.audit.evidence import Span
from collector.audit.rules import (
    DegradedRule,
    Party,
    PowerProof,
    Ratio,
    Term,
    Terms,
    UnavailabilityRule,
)
from collector.inventory import Id, Inventory, Reach, Text
from collector.plans import Promise
from collector.restitution import Restitution
from runtime.settings import SettingsError, convert, load
from wire.localtime import local_day
from wire.plan import Layer, ip_share
from wire.slot import MAX_BITS_PER_S

DAY_S = 86_400
EPOCH = date(1970, 1, 1)
BitsPerSecond = Annotated[int, msgspec.Meta(ge=1, le=10**13)]
Duration = Annotated[int, msgspec.Meta(ge=0, le=366 * DAY_S)]
Delay = Annotated[float, msgspec.Meta(gt=0, le=60)]
Percentile = Annotated[float, msgspec.Meta(gt=0, le=100)]
_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)")


class Rates(Term, frozen=True, kw_only=True):
    """Promised at all times (CIR), per direction as the site sees it."""

    down_bps: BitsPerSecond
    up_bps: BitsPerSecond


class Cir(Term, frozen=True, kw_only=True):
    """Committed information rate."""

    layer: Layer
    vlan: bool = True
    """Frames carry a VLAN tag, which the rate pays for unless it is stated at IP."""
    domestic: Rates
    international: Rates | None = None
    """Where the contract promises another rate beyond the country."""

    def ip_share(self) -> float:
        """Share of the rate that full-size IP packets can be (methodology 4.2)."""
        return ip_share(self.layer, vlan=self.vlan)


class Limit(Term, frozen=True, kw_only=True):
    """What a class of targets must keep to over a period; what is absent is not promised."""

    rtt_s: Delay | None = None
    """Round-trip time (RFC 2681)."""
    rtt_percentile: Percentile = 50.0
    """Which percentile of the round-trip times the limit is for."""
    pdv_s: Delay | None = None
    """Round-trip packet delay variation over the minimum (RFC 5481 section 4.2): "jitter"."""
    pdv_percentile: Percentile = 99.0
    """Which percentile of it."""
    loss_ratio: Ratio | None = None
    """Round-trip loss (RFC 6673)."""

    @property
    def promises(self) -> bool:
        """Whether anything of it is a promise."""
        return any(one is not None for one in (self.rtt_s, self.pdv_s, self.loss_ratio))


class Limits(Term, frozen=True, kw_only=True):
    """Limits per class of target."""

    domestic: Limit = Limit()
    international: Limit = Limit()

    def of(self, reach: Reach) -> Limit:
        """Limit for this class."""
        return self.domestic if reach is Reach.DOMESTIC else self.international


class MaintenanceRule(Term, frozen=True, kw_only=True):
    """Which maintenance is excluded time. `collector.maintenance.decide` applies it."""

    notice_s: Duration = 259_200
    """Planned work has to be announced so long before it begins."""
    emergency_notice_s: Duration | None = None
    """The same for emergency work; without it, emergency work is not excluded."""
    month_cap_s: Duration | None = None
    """Seconds a calendar month that can be excluded, planned and emergency together."""
    allowed_hours: Annotated[tuple[str, ...], msgspec.Meta(max_length=24)] = ()
    """Only these hours, by the contract's clock, are excluded for planned work, such as
    22:00-05:00; any hour where none are given."""

    def __post_init__(self) -> None:
        for one in self.allowed_hours:
            if _HOURS.fullmatch(one) is None:
                raise ValueError(f"allowed_hours: {one!r}: expected HH:MM-HH:MM, as 22:00-05:00")
            start, _, end = one.partition("-")
            if start == end:
                raise ValueError(
                    f"allowed_hours: {one!r} holds no time; a whole day is 00:00-24:00"
                )


class SitePowerRule(Term, frozen=True, kw_only=True):
    """Mains failure at the site is excluded time, where it is proved."""

    proofs: Annotated[tuple[PowerProof, ...], msgspec.Meta(min_length=1)] = (
        PowerProof.MAINS_SENSE,
        PowerProof.CPE_RESTART,
    )
    """Any of these is proof."""


class ForceMajeureRule(Term, frozen=True, kw_only=True):
    """Force majeure (keadaan kahar) is excluded time, where it is registered and approved."""

    report_within_s: Duration | None = None
    """It has to be announced within so long of its beginning; any time later where absent."""


class Exclusions(Term, frozen=True, kw_only=True):
    """Time that is not judged. What the contract does not agree is absent, and is judged."""

    maintenance: MaintenanceRule | None = None
    site_power: SitePowerRule | None = None
    force_majeure: ForceMajeureRule | None = None


class Contract(Term, frozen=True, kw_only=True):
    """One contract for one link."""

    reference: Text
    """Contract number."""
    signed_on: date
    link: Id
    provider: Text
    pop: Text
    """Where the promise ends: the provider's point of presence."""
    first_day: date
    """First day, from its local midnight."""
    last_day: date | None = None
    """Last day, which is still under the contract; none until another contract follows."""
    zone: Zone
    """Whose midnights begin days and calendar months."""
    availability_target: Ratio
    unavailability: UnavailabilityRule = UnavailabilityRule()
    degraded: DegradedRule = DegradedRule()
    minimum_outage_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    """Shorter outages are shown and not charged."""
    internet: bool = True
    """The service includes the Internet behind the provider."""
    limits: Limits = Limits()
    cir: Cir
    cpe_owner: Party = Party.PROVIDER
    """Who answers for the CPE and the cable to it."""
    site_power_owner: Party = Party.CUSTOMER
    """Who answers for mains and UPS at the site."""
    exclusions: Exclusions = Exclusions()
    restitution: Restitution
    fee_rupiah: Annotated[int, msgspec.Meta(ge=0)]
    """Fee of one calendar month in rupiah, before VAT."""

    def __post_init__(self) -> None:
        for name in ("signed_on", "first_day", "last_day"):
            day: date | None = getattr(self, name)
            if day is not None and not 2000 <= day.year < 2200:
                raise ValueError(f"{name} {day}: expected a day from 2000-01-01 to 2199-12-31")
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError(f"last_day {self.last_day} is before first_day {self.first_day}")
        if self.site_power_owner is Party.PROVIDER and self.exclusions.site_power is not None:
            raise ValueError(
                "exclusions.site_power: power for which the provider answers cannot excuse it"
            )

    def terms(self) -> Terms:
        """What the audit of availability needs."""
        power = self.exclusions.site_power
        return Terms(
            availability_target=self.availability_target,
            unavailability=self.unavailability,
            degraded=self.degraded,
            minimum_outage_s=self.minimum_outage_s,
            cpe_owner=self.cpe_owner,
            site_power_excluded=power is not None,
            site_power_proofs=() if power is None else power.proofs,
            internet=self.internet,
        )

    def canonical(self) -> bytes:
        """The contract as JSON: keys sorted, no spaces, UTF-8, defaults written out.

        Evidence keeps these bytes beside the digest, because a later release may have more fields.
        """
        return msgspec.json.encode(self, order="sorted")

    def digest(self) -> str:
        """SHA-256 over the canonical bytes, in hex: the name of this version of the contract."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def covers(self, day: date) -> bool:
        """Whether this local day is under the contract."""
        return self.first_day <= day and (self.last_day is None or day <= self.last_day)


class Period(NamedTuple):
    """A calendar month, or the part of it that is under one contract."""

    contract: Contract
    span: Span
    """In UTC seconds, from local midnight to local midnight."""
    month_s: int
    """Length of the whole calendar month."""


def midnight_s(day: date, zone: Zone) -> int:
    """UTC seconds at which the local day begins."""
    return (day - EPOCH).days * DAY_S - zone.offset_s


def next_month(first: date) -> date:
    """First day of the month after this one's."""
    return (first.replace(day=1) + timedelta(days=32)).replace(day=1)


class Contracts:
    """All contracts, which fit the inventory and each other."""

    def __init__(self, rows: tuple[Contract, ...] = ()) -> None:
        self.rows = rows
        self._of: dict[str, list[Contract]] = {}
        for one in sorted(rows, key=lambda row: row.first_day):
            self._of.setdefault(one.link, []).append(one)

    def of(self, link: str) -> list[Contract]:
        """The link's contracts, the oldest first."""
        return self._of.get(link, [])

    def contract_at(self, link: str, day: date) -> Contract | None:
        """The contract of this local day; None where the link has none."""
        return next((one for one in self.of(link) if one.covers(day)), None)

    def promise(self, link: str, wall_s: float) -> Promise | None:
        """The rates owed within the country at this moment, for the plan of throughput tests."""
        for one in self.of(link):
            if one.covers(local_day(wall_s, one.zone.offset_s)):
                rates = one.cir.domestic
                return Promise(
                    min(MAX_BITS_PER_S, rates.down_bps),
                    min(MAX_BITS_PER_S, rates.up_bps),
                    one.cir.layer,
                    one.cir.vlan,
                )
        return None

    def periods(self, link: str, year: int, month: int) -> tuple[Period, ...]:
        """The parts of a calendar month, by contract, in order; days without one are in none."""
        return tuple(self._periods(link, date(year, month, 1)))

    def _periods(self, link: str, first: date) -> Iterator[Period]:
        after = next_month(first)
        month_s = (after - first).days * DAY_S
        for one in self.of(link):
            start = max(first, one.first_day)
            end = after if one.last_day is None else min(after, one.last_day + timedelta(days=1))
            if start < end:
                span = Span(midnight_s(start, one.zone), midnight_s(end, one.zone))
                yield Period(one, span, month_s)


class _ContractsFile(Term, frozen=True, kw_only=True):
    contracts: tuple[dict[str, Any], ...]
    templates: dict[Id, dict[str, Any]] = msgspec.field(default_factory=dict)
    """Fields that several contracts share; a contract that names one overrides field by field."""


class _Placed(NamedTuple):
    """A contract and where it is written, for errors."""

    at: int
    contract: Contract

    def __str__(self) -> str:
        return f"contracts[{self.at}] ({self.contract.reference})"


def _fits_link(file: Path, one: _Placed, inventory: Inventory) -> None:
    row = one.contract
    link = inventory.links.get(row.link)
    if link is None:
        raise SettingsError(
            f"{file}: contracts[{one.at}].link: {row.link!r} is not a link of the links file"
        )
    if link.provider != row.provider:
        raise SettingsError(
            f"{file}: contracts[{one.at}].provider: {row.provider!r}, but link {link.id!r} is"
            f" of {link.provider!r}; a circuit of another provider is another link"
        )


def _follows(file: Path, before: _Placed, after: _Placed) -> None:
    """Raises SettingsError unless `after` begins on the day after `before` ends."""
    old, new = before.contract, after.contract
    both = f"{before} and {after}, both of link {new.link!r} in {file}"
    if old.zone is not new.zone:
        raise SettingsError(f"{file}: contracts[{after.at}].zone: {both}: expected the same zone")
    place = f"{file}: contracts[{after.at}].first_day: {both}"
    if old.last_day is None or new.first_day <= old.last_day:
        shared = [day for day in (old.last_day, new.last_day) if day is not None]
        until = f"from {new.first_day} to {min(shared)}" if shared else f"from {new.first_day} on"
        raise SettingsError(f"{place}: overlap {until}: end the first on the day before")
    expected = old.last_day + timedelta(days=1)
    if new.first_day != expected:
        last = new.first_day - timedelta(days=1)
        raise SettingsError(
            f"{place}: leave a gap from {expected} to {last}: expected first_day {expected}"
        )


def check(file: Path, rows: tuple[Contract, ...], inventory: Inventory) -> Contracts:
    """Contracts that fit the inventory and each other. Raises SettingsError."""
    by_link: dict[str, list[_Placed]] = {}
    for at, row in enumerate(rows):
        placed = _Placed(at, row)
        _fits_link(file, placed, inventory)
        by_link.setdefault(row.link, []).append(placed)
    for placed_rows in by_link.values():
        in_order = sorted(placed_rows, key=lambda one: one.contract.first_day)
        for before, after in pairwise(in_order):
            _follows(file, before, after)
    return Contracts(rows)


def notes(contracts: Contracts, inventory: Inventory) -> list[str]:
    """What is allowed and perhaps not meant, in words."""
    said = []
    bare = sorted(link for link in inventory.links if not contracts.of(link))
    if bare:
        said.append(f"links without a contract: {', '.join(bare)}")
    for link in inventory.links.values():
        newest = contracts.of(link.id)[-1:]
        said.extend(
            f"link {link.id} is at {link.pop}, its contract {one.reference} says {one.pop}"
            for one in newest
            if one.pop != link.pop
        )
    return said


def _filled(file: Path, told: _ContractsFile) -> Iterator[Contract]:
    unused = set(told.templates)
    for at, row in enumerate(told.contracts):
        place = f"contracts[{at}]"
        name = row.get("template")
        own = {key: value for key, value in row.items() if key != "template"}
        if name is None:
            yield convert(file, own, Contract, place)
            continue
        if not isinstance(name, str) or name not in told.templates:
            known = ", ".join(sorted(told.templates)) or "none"
            raise SettingsError(f"{file}: {place}.template: no template {name!r}; known: {known}")
        unused.discard(name)
        yield convert(file, told.templates[name] | own, Contract, f"{place} (template {name})")
    if unused:
        names = ", ".join(sorted(unused))
        raise SettingsError(f"{file}: templates: no contract names {names}: so nothing checks it")


def read_all(
    nodes_file: Path, links_file: Path, contracts_file: Path | None, wall_s: float
) -> tuple[Inventory, Contracts]:
    """Nodes, links and contracts that fit together; the links' plans by the contracts of this
    moment. Raises SettingsError."""
    both = inventories.read(nodes_file, links_file)
    contracts = read(contracts_file, both)
    return both.promised(lambda link: contracts.promise(link, wall_s)), contracts


def read(file: Path | None, inventory: Inventory) -> Contracts:
    """The file's contracts; None is no file, and no contracts. Raises SettingsError."""
    if file is None:
        return Contracts()
    return check(file, tuple(_filled(file, load(file, _ContractsFile))), inventory)
