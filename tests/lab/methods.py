"""The rate of an emulated link by every method: what tests hold to 1 % and the bench prints."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from collector import capacity
from runtime.lab.namespaces import Namespace
from runtime.load import host
from tests.lab.load_kit import MADE, NDT7_PORT, Hub, Ndt7Hub, Net, iperf3_measure, job
from wire.slot import Direction, Method
from wire.transfer import Transfer, TransferOutcome

NAMES = ("udp", "search", "tcp", "ndt7", "iperf3")
IPERF3 = shutil.which("iperf3") is not None
SECONDS = {2: 10.0, 10: 6.0, 50: 4.0, 100: 4.0}
"""By the link's Mbit/s. Where octets are counted as they are read, in order, a lost segment holds
back a round trip's worth of a flow: of 2 Mbit/s behind 120 ms of queue 2 % of 3 s."""
_BUSY_RATIO = 0.9


class Found(NamedTuple):
    """What one test found."""

    ratio: float
    """Of the rate that the link was set to."""
    transfer: Transfer
    busy_ratio: float
    """Of this machine's processors meanwhile."""

    @property
    def right(self) -> bool:
        """Within 1 %."""
        return self.transfer.outcome in MADE and abs(self.ratio - 1) <= 0.01

    @property
    def proves(self) -> bool:
        """Whether this machine had the time to measure."""
        done = self.transfer.outcome is TransferOutcome.DONE
        return done and self.busy_ratio < _BUSY_RATIO


class Methods:
    """The hub's ends of all methods; several nodes may be tested at once."""

    def __init__(self, hub: Hub, ndt7: Ndt7Hub) -> None:
        self._hub, self._ndt7 = hub, ndt7
        self._ports = itertools.count(5301)

    def find(self, net: Net, name: str, mbps: int, direction: Direction) -> Found:
        """The rate of a link that has been set to `mbps`."""
        before = host.busy("")
        transfer, rate = self._find(net, name, mbps * 1_000_000, direction)
        busy = host.cpu_ratio(before, host.busy(""))
        return Found(rate / (mbps * 1e6), transfer, 1.0 if busy is None else busy)

    def surely(self, net: Net, name: str, mbps: int, direction: Direction) -> Found:
        """The same; again, twice at most, where it was wrong on a machine too busy to tell."""
        found = self.find(net, name, mbps, direction)
        for _ in range(2):
            if found.right or found.proves:
                break
            found = self.find(net, name, mbps, direction)
        return found

    def _find(self, net: Net, name: str, rate: int, direction: Direction) -> tuple[Transfer, float]:
        seconds = SECONDS[rate // 1_000_000]
        if name in ("udp", "search"):
            search = name == "search"
            over = round(rate * 1.3)
            wanted = job(net, Method.UDP, direction, over, search=search, seconds=seconds)
            transfer = self._hub.measure(net, wanted)
            if search:
                return transfer, capacity.maximum(capacity.series(transfer)) or 0
            return transfer, capacity.achieved(transfer, skip_ns=capacity.SECOND) or 0
        if name == "tcp":
            wanted = job(net, Method.TCP, direction, 2 * rate, flows=4, seconds=seconds)
            transfer = self._hub.measure(net, wanted)
        elif name == "ndt7":
            wanted = job(
                net,
                Method.NDT7,
                direction,
                2 * rate,
                port=NDT7_PORT,
                seconds=seconds,
                web=self._ndt7.url,
            )
            transfer = self._ndt7.measure(net, wanted)
        else:
            # More than two warm-ups, so that the server leaves one out. Each flow more is one more
            # that may stand still at the end.
            wanted = job(
                net,
                Method.IPERF3,
                direction,
                2 * rate,
                port=next(self._ports),
                seconds=max(6.0, seconds),
                flows=2 if rate >= 50_000_000 else 1,
            )
            transfer = iperf3_measure(net, wanted)
        return transfer, capacity.achieved(transfer) or 0


@contextmanager
def methods(space: Namespace, address: str) -> Iterator[Methods]:
    """Open in the hub's namespace."""
    hub = Hub(space)
    try:
        ndt7 = Ndt7Hub(space, address)
        try:
            yield Methods(hub, ndt7)
        finally:
            ndt7.close()
    finally:
        hub.close()
