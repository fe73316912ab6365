"""What a device carried between its two newest readings: rates that no rate() over scrapes gives.

A reading a minute, scraped every half minute, makes a rate over some minutes a third too large or
too small. Here the counters' difference is divided by the time between the readings themselves,
and is told only where it can be no other number (`collector.device`).
"""

from collections.abc import Iterable
from typing import NamedTuple

from collector.device import compare
from collector.metrics import FRESH_NS, NS, Family, labels, sample
from wire.detail import Reading
from wire.observation import Outcome

RECEIVED = Family(
    "pantau_device_interface_receive_bytes_per_second",
    "gauge",
    "Mean rate at which the interface received between the device's two newest readings.",
)
SENT = Family(
    "pantau_device_interface_transmit_bytes_per_second",
    "gauge",
    "Mean rate at which the interface sent between the device's two newest readings.",
)
FROM_RATES = (RECEIVED, SENT)
_SAME_CLOCK_NS = NS
"""Readings are of one boot of the agent where its two clocks agree so well on what passed."""
Key = tuple[str, str]
"""Link and target."""


class _Newest(NamedTuple):
    made_ns: int
    reading: Reading
    lines: dict[Family, str]


class DeviceRates:
    """The newest reading of each target, and its difference to the one before."""

    def __init__(self) -> None:
        self._newest: dict[Key, _Newest] = {}

    def keep(self, links: Iterable[str]) -> None:
        """Forget links that the inventory has no more."""
        wanted = set(links)
        self._newest = {key: one for key, one in self._newest.items() if key[0] in wanted}

    def take(self, one: Reading, node: str, made_ns: int) -> None:
        """Compare with the reading before. One that comes late, after a newer one, says nothing,
        nor does one without an answer: the next spans the time of both.

        `made_ns`: when it was made, by the calendar.
        """
        if one.outcome is not Outcome.OK:
            return
        before = self._newest.get((one.link, one.target))
        if before is None:
            self._newest[one.link, one.target] = _Newest(made_ns, one, {})
        elif made_ns > before.made_ns:
            lines = _rates(before, one, node, made_ns)
            self._newest[one.link, one.target] = _Newest(made_ns, one, lines)

    def pages(self, now_wall_ns: int) -> Iterable[tuple[Family, Iterable[str]]]:
        """Families with their lines; a rate of some minutes ago is not shown as today's."""
        since_ns = now_wall_ns - FRESH_NS
        fresh = [one.lines for one in self._newest.values() if one.made_ns >= since_ns]
        for family in FROM_RATES:
            told = [lines[family] for lines in fresh if family in lines]
            if told:
                yield family, told


def _rates(before: _Newest, one: Reading, node: str, made_ns: int) -> dict[Family, str]:
    elapsed_ns = one.boot_ns - before.reading.boot_ns
    if elapsed_ns <= 0 or abs(made_ns - before.made_ns - elapsed_ns) > _SAME_CLOCK_NS:
        return {}
    passed = compare(before.reading, one, elapsed_ns)
    label = labels(link=one.link, node=node, target=one.target, interface=one.interface)
    octets = {RECEIVED: passed.in_octets, SENT: passed.out_octets}
    return {
        family: sample(family, label, count / (elapsed_ns / NS))
        for family, count in octets.items()
        if count is not None
    }
