"""What tests say besides the rate (tests/lab/test_rates.py): loss, delay, packets, users, buckets.

The link counts whole IP packets, as the methods do. What this machine cannot do in time (it is
shared) the record says itself; then a link's test is made again, and its figures must be right
even if the record goes on saying so.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.probes import throughput
from agent.probes.throughput import Means
from collector import capacity
from collector.throughput.form import Command
from runtime.clock import SystemClock
from runtime.lab.link import BOTH, CLEAR, UP, Knobs
from runtime.lab.topology import Pair
from tests.lab.flow import Flow, run_flows
from tests.lab.load_kit import MADE, Hub, job, settled, shape
from wire.detail import Reading
from wire.observation import Outcome
from wire.slot import Direction, Method
from wire.transfer import TransferOutcome

pytestmark = pytest.mark.lab
STATS = ("rx_bytes", "rx_packets")
FCS = 4
"""Linux counts Ethernet's header and not its check sum."""
CLOCK = SystemClock()


@pytest.fixture(scope="module")
def hub(module_pair: Pair) -> Iterator[Hub]:
    opened = Hub(module_pair.hub)
    yield opened
    opened.close()


@pytest.mark.parametrize("direction", [Direction.DOWN, Direction.UP])
def test_below_the_links_rate_nothing_is_lost_and_no_queue_grows(
    hub: Hub, net: Pair, direction: Direction
) -> None:
    shape(net, 10)
    transfer = settled(hub, net, job(net, Method.UDP, direction, 9_500_000, seconds=2.0))
    assert transfer.outcome in MADE
    assert transfer.sent_packets is not None and transfer.unsent_packets is not None
    sent = transfer.sent_packets + transfer.unsent_packets
    assert sent * 12_000 / 2.0 == pytest.approx(9.5e6, rel=0.01)
    assert capacity.achieved(transfer, skip_ns=0) == pytest.approx(
        transfer.sent_packets * 12_000 / 2.0, rel=0.01
    )
    assert capacity.loss_ratio(transfer, skip_ns=0) == 0
    assert transfer.lost is not None and transfer.packets is not None
    came = sum(transfer.packets) + (transfer.late_packets or 0)
    assert came + sum(transfer.lost) == pytest.approx(transfer.sent_packets, abs=5)
    rise = capacity.rtt_rise_ns(transfer, skip_ns=0)
    assert rise is not None and rise < 10e6


def test_loss_doubling_and_reordering_are_counted_as_the_link_made_them(
    hub: Hub, net: Pair
) -> None:
    net.link.set(
        BOTH, Knobs(delay_ms=5, loss=0.02, duplicate=0.01, reorder=0.03, reorder_delay_ms=8)
    )
    before = net.link.count(UP)
    transfer = hub.measure(net, job(net, Method.UDP, Direction.UP, 10_000_000, seconds=2.0))
    after = net.link.count(UP)
    assert transfer.lost is not None and transfer.duplicated is not None
    assert transfer.reordered is not None
    # Pings and the connection cross the same link: some hundred packets beside 1,666.
    assert sum(transfer.lost) == pytest.approx(after.loss - before.loss, abs=12)
    assert sum(transfer.duplicated) == pytest.approx(after.duplicated - before.duplicated, abs=12)
    assert 20 < sum(transfer.reordered) <= after.reordered - before.reordered + 5


def test_a_black_hole_for_long_packets_shortens_them(hub: Hub, net: Pair) -> None:
    net.link.set(BOTH, Knobs(delay_ms=2, mtu=1400))
    transfer = hub.measure(net, job(net, Method.UDP, Direction.DOWN, 5_000_000, seconds=0.5))
    assert transfer.headers is not None and transfer.headers.packet == 1400
    assert sum(transfer.octets) > 0


def test_a_burst_and_then_a_throttle_show_in_the_bins(hub: Hub, net: Pair) -> None:
    """A token bucket of 2 MB: 1.6 s at 12 Mbit/s, then 2 Mbit/s."""
    bucket = Knobs(
        delay_ms=5, rate_bps=2e6, peak_bps=12e6, burst_bytes=2_000_000, queue_bytes=30_000
    )
    for _ in range(4):  # where this machine was too busy, again, with a full bucket
        net.link.set(BOTH, CLEAR)
        net.link.set(BOTH, bucket)
        transfer = hub.measure(net, job(net, Method.UDP, Direction.DOWN, 12_000_000, seconds=4.0))
        if transfer.outcome is TransferOutcome.DONE:
            break
    assert transfer.outcome in MADE
    dt_ns = capacity.SECOND // 5
    first, second = capacity.modes(capacity.series(transfer, dt_ns))
    assert first.rate == pytest.approx(12e6, rel=0.05)
    assert second.rate == pytest.approx(2e6, rel=0.15)
    # sigma = (C - rho) * t: 2 MB last 1.6 s
    assert second.since * 0.2 == pytest.approx(1.6, abs=0.3)


async def test_users_traffic_is_in_the_counters_of_their_router(
    hub: Hub, net: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape(net, 30)
    monkeypatch.setattr(throughput, "_COMMAND", net.node.argv(throughput._COMMAND))
    wanted = job(net, Method.UDP, Direction.DOWN, 10_000_000, seconds=3.0)
    hub.tell(Command(expect=wanted.grant))

    async def counters() -> Reading:
        """What a router would say by SNMP: octets with Ethernet framing."""
        told = net.node.run(["cat", *(f"/sys/class/net/wan0/statistics/{name}" for name in STATS)])
        octets, packets = map(int, told.stdout.split())
        return Reading(
            link="site/main",
            target="cpe",
            boot_ns=CLOCK.boot_ns(),
            outcome=Outcome.OK,
            sys_uptime_cs=CLOCK.boot_ns() // 10_000_000,
            in_octets=octets + FCS * packets,
            in_packets=packets,
            counter_bits=64,
        )

    # 1,250 packets of 1,000 octets a second are 10 Mbit/s.
    user = Flow(
        sender=net.hub, receiver=net.node, address=net.node_address, count=7500, pps=1250, size=1000
    )
    with ThreadPoolExecutor(1) as pool:
        users = pool.submit(run_flows, [user])
        transfer = await throughput.run(
            wanted.grant, wanted.plan, Means(clock=CLOCK, counters=counters)
        )
        users.result()
    crossing = capacity.crossing(transfer)
    assert crossing is not None
    achieved = capacity.achieved(transfer, skip_ns=0)
    assert achieved == pytest.approx(10e6, rel=0.03)
    assert crossing.cross == pytest.approx(10e6, rel=0.03)
