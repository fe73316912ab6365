"""The agent's own life, as records of the same signed chain as its observations.

Without these a silence could mean anything; with them it is a power cut, a crash, a full disk
or a link. Every record has both clocks, because neither is enough alone.
"""

from enum import StrEnum
from typing import Annotated

import msgspec

from wire.instant import BootNs, ClockClass, WallNs
from wire.observation import Name, Seq

Text = Annotated[str, msgspec.Meta(max_length=256)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Entry(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What every journal record says: when, by both clocks."""

    boot_ns: BootNs
    wall_ns: WallNs


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hub's clock as seen from here: at `boot_ns` it read `hub_wall_ns`, give or take
    `error_ns` (half the round trip of the exchange that carried it)."""

    boot_ns: BootNs
    hub_wall_ns: WallNs
    error_ns: Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Start(Entry, frozen=True, tag="start"):
    """An agent process began: the first record of every epoch."""

    boot_id: Text
    agent_version: Text
    settings_digest: Digest
    system: Text = ""
    previous_epoch: Text | None = None
    previous_clean: bool | None = None
    """False after kill -9 or a power cut; None when nothing of a former life was found."""
    previous_alive_boot_ns: BootNs | None = None
    """The former epoch's last durable sign of life, by the boot clock of `previous_boot_id`."""
    previous_boot_id: Text | None = None


class Heartbeat(Entry, frozen=True, tag="heartbeat"):
    """Alive, every 10 s, whatever the link does."""

    clock: ClockClass
    clock_error_ns: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    clock_source: Text = ""
    anchor: Anchor | None = None
    slot_late_ns: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    """Largest lateness of a slot since the last heartbeat: the instrument's own error."""
    send_call_ns: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    """Largest time that a send call took since the last heartbeat."""
    spool_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None


class Stop(Entry, frozen=True, tag="stop"):
    """The agent was asked to stop and did so in order."""

    reason: Text


class ClockStep(Entry, frozen=True, tag="clock_step"):
    """The wall clock jumped against the boot clock by `step_ns`; `wall_ns` is after the jump."""

    step_ns: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Settings(Entry, frozen=True, tag="settings"):
    """The targets or settings changed while running."""

    settings_digest: Digest


class GapReason(StrEnum):
    """Why something that was due or made is not in the ledger."""

    STALLED = "stalled"
    """slots passed while the process did not run"""
    SPOOL_FULL = "spool_full"
    """the oldest evidence was dropped to make room"""
    WRITE_FAILED = "write_failed"
    """the disk refused it and memory could not hold it"""
    CORRUPT = "corrupt"
    """what was on disk did not match its digest"""
    SPOOL_LOST = "spool_lost"
    """the spool was gone or unreadable; how much it held is not known"""
    REFUSED = "refused"
    """the collector would not take it, and its time in the spool ended"""
    UNSETTLED = "unsettled"
    """measured after the last write before the agent died"""


class Gap(Entry, frozen=True, tag="gap"):
    """Something is missing, and this says what: slots of a target, or whole batches.

    `count` is in observations; None where it cannot be known.
    """

    reason: GapReason
    link: Name | None = None
    target: Name | None = None
    epoch: Text | None = None
    first_seq: Seq | None = None
    """First slot (with `target`) or first batch (without) that is missing."""
    last_seq: Seq | None = None
    count: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    detail: Text = ""


JournalRecord = Start | Heartbeat | Stop | ClockStep | Settings | Gap
