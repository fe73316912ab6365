"""What boots, restarts, counters and mains say of a silence: box and CPE in evidence."""

import itertools
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from collector.audit.evidence import DeviceSample, Evidence, Life, MainsSample, Span
from collector.audit.rules import PowerProof

WINDOW_S = 30
"""The table looks this far around a run (methodology 2.3)."""
RESTART_S = 120
"""Boots of box and CPE within this are one cut (A1); a CPE takes as long to connect again."""
READING_S = 300
"""Readings of the CPE may be this far from a silence to speak of its traffic."""
LEAST_OCTETS = 1_000_000
LEAST_OCTETS_PER_S = 10_000 / 8
_WRAP_S = 2**32 / 100
"""sysUpTime counts hundredths of a second in 32 bits (RFC 3418)."""


class Hole(NamedTuple):
    """A silence between two lives of the agent."""

    before: Life
    after: Life

    @property
    def booted(self) -> bool:
        """The box booted in it."""
        return self.before.boot_id != self.after.boot_id


class Cut(NamedTuple):
    """A proved cut of the site's power."""

    span: Span
    """From the last record to the box's boot."""
    hole: Hole
    proofs: tuple[PowerProof, ...]
    cpe_s: float | None
    mains_s: float | None


class Traffic(NamedTuple):
    """Octets that the CPE received from the WAN between two readings."""

    octets: int
    from_s: float
    to_s: float


class Site:
    """Box, CPE and mains of one link."""

    def __init__(self, evidence: Evidence) -> None:
        self._lives = evidence.lives
        self._device = evidence.device
        self._mains = evidence.mains

    def hole(self, silence: Span) -> Hole | None:
        """The lives around a silence; None where it lies within one, or before or after all."""
        before = self.life_before(silence)
        after = next((one for one in self._lives if one.first_s >= silence.end_s - WINDOW_S), None)
        if before is None or after is None or before.epoch == after.epoch:
            return None
        if before.last_s > silence.start_s + WINDOW_S:
            return None
        return Hole(before, after)

    def life_before(self, silence: Span) -> Life | None:
        """The newest life that began before it."""
        begun = [one for one in self._lives if one.first_s < silence.start_s + 1]
        return begun[-1] if begun else None

    def cut(self, silence: Span) -> Cut | None:
        """The proved power cut in a silence (A1)."""
        hole = self.hole(silence)
        if hole is None or not hole.booted:
            return None
        proofs = []
        cpe_s = self.cpe_boot_after(silence)
        if cpe_s is not None and abs(cpe_s - hole.after.booted_s) <= RESTART_S:
            proofs.append(PowerProof.CPE_RESTART)
        mains_s = self.mains_off(silence)
        if mains_s is not None:
            proofs.append(PowerProof.MAINS_SENSE)
        start_s = min(silence.start_s, silence.end_s - 1)
        end_s = min(silence.end_s, max(start_s + 1, int(hole.after.booted_s)))
        return Cut(Span(start_s, end_s), hole, tuple(proofs), cpe_s, mains_s) if proofs else None

    def cut_at(self, cpe_s: float) -> Cut | None:
        """The proved power cut that a restart of the CPE ended."""
        for before, after in itertools.pairwise(self._lives):
            if before.boot_id != after.boot_id and abs(after.booted_s - cpe_s) <= RESTART_S:
                return self.cut(Span(int(before.last_s), int(after.first_s)))
        return None

    def mains_off(self, span: Span) -> float | None:
        """When the mains were said to be off: within the span and 30 s around it, unless they were
        said to be back before it began."""
        low = bisect_left(self._mains, float(span.start_s - WINDOW_S), key=_at)
        high = bisect_right(self._mains, float(span.end_s + WINDOW_S), key=_at)
        off = None
        for one in self._mains[low:high]:
            if one.mains is False:
                off = one.at_s
            elif one.mains is True and one.at_s <= span.start_s:
                off = None
        return off

    def cpe_boot_after(self, silence: Span) -> float | None:
        """When the CPE that answered first after a silence, or near its end, had booted. Never one
        that answered before it: the window of a short one reaches back behind its beginning."""
        return self.cpe_boot(max(silence.start_s + 1, silence.end_s - WINDOW_S))

    def cpe_boot(self, second: float) -> float | None:
        """When the CPE that answered first at or after `second` had booted."""
        at = bisect_left(self._device, second, key=_at)
        found = next((one for one in self._device[at:] if one.uptime_s is not None), None)
        if found is None or found.uptime_s is None:
            return None
        boot_s = found.at_s - found.uptime_s
        former = next(
            (one for one in reversed(self._device[:at]) if one.uptime_s is not None), None
        )
        if former is not None and former.uptime_s is not None:
            since = former.uptime_s + found.at_s - former.at_s - _WRAP_S
            if since >= 0 and abs(since - found.uptime_s) <= WINDOW_S:
                # Its counter came round after 497 days; it did not restart.
                return boot_s - _WRAP_S
        return boot_s

    def wan_changed(self, span: Span) -> float | None:
        """When within the span, or 30 s around it, the CPE's WAN interface was or came up from
        down, by its own word."""
        low, high = float(span.start_s - WINDOW_S), float(span.end_s + WINDOW_S)
        at = bisect_left(self._device, low, key=_at)
        for one in self._device[at:]:
            if one.at_s <= high and one.oper_up is False:
                return one.at_s
            changed = _changed(one)
            if changed is not None and low <= changed <= high:
                return changed
            if one.at_s > high + READING_S:
                break
        return None

    def traffic(self, silence: Span) -> Traffic | None:
        """What the CPE received over the silence, if that proves its link up (A7)."""
        before, after = self._readings(silence)
        if before is None or after is None or not _ran_on(before, after, silence):
            return None
        if before.in_octets is None or after.in_octets is None:
            return None
        # Received only: a CPE sends into a dead link too.
        octets = after.in_octets - before.in_octets
        elapsed_s = after.at_s - before.at_s
        if octets < max(LEAST_OCTETS, LEAST_OCTETS_PER_S * elapsed_s):
            return None
        return Traffic(octets, before.at_s, after.at_s)

    def _readings(self, silence: Span) -> tuple[DeviceSample | None, DeviceSample | None]:
        def nearest(samples: tuple[DeviceSample, ...]) -> DeviceSample | None:
            return next((one for one in samples if one.in_octets is not None), None)

        low, first, last, high = (
            bisect_left(self._device, float(at), key=_at)
            for at in (
                silence.start_s - READING_S,
                silence.start_s + 1,
                silence.end_s,
                silence.end_s + READING_S,
            )
        )
        return nearest(self._device[low:first][::-1]), nearest(self._device[last:high])


def _at(one: DeviceSample | MainsSample) -> float:
    return one.at_s


def _changed(one: DeviceSample) -> float | None:
    if one.uptime_s is None or one.last_change_s is None or one.last_change_s == 0:
        return None
    return one.at_s - one.uptime_s + one.last_change_s


def _ran_on(before: DeviceSample, after: DeviceSample, silence: Span) -> bool:
    """Up without a break: oper up, in that state since before, no restart, no discontinuity."""
    if not after.oper_up or after.uptime_s is None or after.last_change_s is None:
        return False
    boot_s = after.at_s - after.uptime_s
    if max(boot_s, boot_s + after.last_change_s) >= silence.start_s:
        return False
    known = None not in (before.discontinuity_s, after.discontinuity_s)
    return not known or before.discontinuity_s == after.discontinuity_s
