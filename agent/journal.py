"""The agent's own life as records: made here, from clocks and counters, and kept in the spool."""

import platform
from dataclasses import dataclass

from runtime.clock import Clock, ClockQuality, StepDetector, classify
from wire.instant import ClockClass
from wire.journal import (
    Anchor,
    ClockStep,
    Gap,
    GapReason,
    Heartbeat,
    Settings,
    Start,
    Stop,
)


@dataclass(frozen=True, kw_only=True)
class FormerLife:
    """What is known of the agent process before this one."""

    epoch: bytes | None
    boot_id: bytes | None
    clean: bool | None
    alive_boot_ns: int | None


DRIFT_PPM = 100
"""Bound on a cheap quartz between two looks at the hub's clock (delivery 2.6)."""


class HubClock:
    """The hub's clock as well as it is known here: the anchor whose error, grown by what this
    box's quartz may have drifted since, is least."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.anchor: Anchor | None = None

    def offer(self, anchor: Anchor) -> None:
        """An exchange with the hub has shown its clock."""
        if self.anchor is None or anchor.error_ns <= self.error_ns():
            self.anchor = anchor

    def error_ns(self) -> int:
        """Bound of the error of `wall_ns` now; there must be an anchor."""
        assert self.anchor is not None
        age_ns = abs(self._clock.boot_ns() - self.anchor.boot_ns)
        return self.anchor.error_ns + age_ns * DRIFT_PPM // 1_000_000

    def since_boot_ns(self) -> int:
        """What the hub's clock read when this boot clock read 0, as far as it is known; without any
        word of the hub, what this box's wall clock did."""
        if self.anchor is None:
            return self._clock.wall_ns() - self._clock.boot_ns()
        return self.anchor.hub_wall_ns - self.anchor.boot_ns

    def offset_ns(self) -> int | None:
        """This box's wall clock minus the hub's, give or take `error_ns`; None if never seen."""
        if self.anchor is None:
            return None
        hub_wall_ns = self.anchor.hub_wall_ns + self._clock.boot_ns() - self.anchor.boot_ns
        return self._clock.wall_ns() - hub_wall_ns

    def quality(self) -> ClockQuality:
        """The wall clock's quality by its keeper; if nobody keeps it, by comparison with the
        hub's."""
        kept = self._clock.quality()
        offset_ns = self.offset_ns()
        if kept.clock_class is not ClockClass.D or offset_ns is None:
            return kept
        error_ns = abs(offset_ns) + self.error_ns()
        return ClockQuality(classify(error_ns), error_ns, "hub")


class Journal:
    """Writes records; keeps nothing but the last clock readings."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._steps = StepDetector(clock)
        self.hub = HubClock(clock)

    def start(self, version: str, settings_digest: str, former: FormerLife) -> Start:
        """The first record of an epoch."""
        return Start(
            boot_ns=self._clock.boot_ns(),
            wall_ns=self._clock.wall_ns(),
            boot_id=self._clock.boot_id,
            agent_version=version,
            settings_digest=settings_digest,
            system=f"{platform.system()} {platform.release()} {platform.machine()}"[:256],
            previous_epoch=former.epoch.hex() if former.epoch else None,
            previous_clean=former.clean,
            previous_alive_boot_ns=former.alive_boot_ns,
            previous_boot_id=former.boot_id.hex() if former.boot_id else None,
        )

    def unsettled(self, epoch: bytes) -> Gap:
        """What the former life measured after its last write; nobody can know how much."""
        return Gap(
            boot_ns=self._clock.boot_ns(),
            wall_ns=self._clock.wall_ns(),
            reason=GapReason.UNSETTLED,
            epoch=epoch.hex(),
            detail="measured after the last write before the process ended without notice",
        )

    def heartbeat(
        self, slot_late_ns: int | None, send_call_ns: int | None, spool_bytes: int | None
    ) -> list[Heartbeat | ClockStep]:
        """Signs of life: a step of the wall clock, if there was one, then the heartbeat."""
        records: list[Heartbeat | ClockStep] = []
        step_ns = self._steps.step_ns()
        boot_ns, wall_ns = self._clock.boot_ns(), self._clock.wall_ns()
        if step_ns is not None:
            records.append(ClockStep(boot_ns=boot_ns, wall_ns=wall_ns, step_ns=step_ns))
        quality = self.hub.quality()
        records.append(
            Heartbeat(
                boot_ns=boot_ns,
                wall_ns=wall_ns,
                clock=quality.clock_class,
                clock_error_ns=quality.error_ns,
                clock_source=quality.source,
                anchor=self.hub.anchor,
                slot_late_ns=slot_late_ns,
                send_call_ns=send_call_ns,
                spool_bytes=spool_bytes,
            )
        )
        return records

    def settings(self, digest: str) -> Settings:
        """What is measured has changed."""
        return Settings(
            boot_ns=self._clock.boot_ns(), wall_ns=self._clock.wall_ns(), settings_digest=digest
        )

    def stop(self, reason: str) -> Stop:
        """An orderly end."""
        return Stop(boot_ns=self._clock.boot_ns(), wall_ns=self._clock.wall_ns(), reason=reason)
