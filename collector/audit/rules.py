"""The terms of a contract by which seconds become states, and states become charges.

`collector.contracts.Contract` holds them with the rest of what was promised.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Bins = Annotated[int, msgspec.Meta(ge=1, le=3600)]


class Term(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the blocks of a contract."""


class UnavailabilityRule(Term, frozen=True, kw_only=True):
    """The state machine of MEF 10.3 / ITU-T G.826 (methodology 1.1)."""

    bin_s: Bins = 1
    """Length of one interval (delta_t), seconds."""
    loss_threshold: Ratio = 0.5
    """Share of an interval's seconds above which it is bad (C); of its packets, at 1 a second."""
    bins_in: Bins = 10
    """Bad intervals in a row that make the link unavailable (n); they count as unavailable."""
    bins_out: Bins = 10
    """Good intervals in a row that make it available again; they count as available."""


class DegradedRule(Term, frozen=True, kw_only=True):
    """Loss that makes a link unusable and never trips the ten-second rule (ITU-T Y.1540)."""

    window_s: Bins = 60
    loss_threshold: Ratio = 0.2


class Party(StrEnum):
    """Who answers for something."""

    CUSTOMER = "customer"
    PROVIDER = "provider"


class PowerProof(StrEnum):
    """What proves that a site had no mains."""

    MAINS_SENSE = "mains_sense"
    """UPS, GPIO or power supply said so"""
    CPE_RESTART = "cpe_restart"
    """the CPE's uptime began anew within 120 s of the box's"""


class Terms(Term, frozen=True, kw_only=True):
    """What the audit of availability needs of a contract."""

    availability_target: Ratio = 0.995
    unavailability: UnavailabilityRule = UnavailabilityRule()
    degraded: DegradedRule = DegradedRule()
    minimum_outage_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    """Shorter outages are shown and not charged."""
    cpe_owner: Party = Party.PROVIDER
    """Who answers for the CPE and the cable to it."""
    site_power_excluded: bool = True
    """Site power cuts are excluded time, where they are proved."""
    site_power_proofs: tuple[PowerProof, ...] = (PowerProof.MAINS_SENSE, PowerProof.CPE_RESTART)
    """Any of these is proof."""
    internet: bool = True
    """The service includes the Internet behind the provider: a dead upstream is charged."""
