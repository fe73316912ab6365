"""Each knob against what really came out at the other end."""

import itertools
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from runtime.lab.emulator import EmulatorError
from runtime.lab.link import BOTH, CLEAR, DOWN, UP, Counters, Direction, Knobs, Shape
from runtime.lab.topology import Pair
from tests.lab.flow import Flow, Outcome, run_flow, run_flows

pytestmark = pytest.mark.lab

MARGIN_MS = 1.0  # the machine is shared: medians hold, single packets need not


def flow_up(net: Pair, count: int, pps: float = 1000, size: int = 100) -> Outcome:
    return run_flow(
        Flow(
            sender=net.node,
            receiver=net.hub,
            address=net.hub_address,
            count=count,
            pps=pps,
            size=size,
        )
    )


def flow_down(net: Pair, count: int, pps: float = 1000) -> Outcome:
    return run_flow(
        Flow(
            sender=net.hub,
            receiver=net.node,
            address=net.node_address,
            count=count,
            pps=pps,
        )
    )


def counted(
    net: Pair, act: Callable[[], Outcome], direction: Direction = UP
) -> tuple[Outcome, dict[str, int]]:
    """What `act` did, and by how much each counter rose."""
    before = vars(net.link.count(direction)).copy()
    outcome = act()
    after = vars(net.link.count(direction))
    rise = {name: after[name] - before[name] for name in after}
    conserve(net.link.count(direction))
    return outcome, rise


def conserve(counters: Counters) -> None:
    went_in = counters.in_packets + counters.duplicated
    assert went_in == counters.out_packets + counters.dropped + counters.held
    assert counters.overrun == 0


def ping(net: Pair, *options: str) -> bool:
    argv = ["ping", "-q", "-c1", "-W1", *options, net.hub_address]
    return net.node.run(argv, check=False).returncode == 0


def test_an_idle_link_carries_nothing(net: Pair) -> None:
    assert net.link.count(UP).in_packets == 0
    assert net.link.count(DOWN).in_packets == 0


def test_a_perfect_link_passes_everything_in_order(net: Pair) -> None:
    outcome, rise = counted(net, lambda: flow_up(net, 500))
    assert outcome.numbers == list(range(500))
    assert (rise["in_packets"], rise["out_packets"]) == (500, 500)
    assert rise["in_bytes"] == rise["out_bytes"] == 500 * 100


def test_each_direction_has_its_own_delay(net: Pair) -> None:
    net.link.set(UP, Knobs(delay_ms=10))
    net.link.set(DOWN, Knobs(delay_ms=30))
    assert statistics.median(flow_up(net, 100).delays_ms()) == pytest.approx(10, abs=MARGIN_MS)
    assert statistics.median(flow_down(net, 100).delays_ms()) == pytest.approx(30, abs=MARGIN_MS)


def test_nothing_arrives_before_its_delay(net: Pair) -> None:
    net.link.set(UP, Knobs(delay_ms=20))
    assert min(flow_up(net, 200).delays_ms()) >= 19.95


def test_uniform_jitter_fills_its_width(net: Pair) -> None:
    net.link.set(UP, Knobs(delay_ms=20, jitter_ms=10, order="free"))
    delays = flow_up(net, 500).delays_ms()
    assert min(delays) >= 9.95
    assert statistics.mean(delays) == pytest.approx(20, abs=1.5)
    assert statistics.stdev(delays) == pytest.approx(10 / 3**0.5, rel=0.2)


def test_normal_jitter_has_its_sigma(net: Pair) -> None:
    net.link.set(UP, Knobs(delay_ms=40, jitter_ms=5, jitter_model="normal", order="free"))
    delays = flow_up(net, 500).delays_ms()
    assert statistics.mean(delays) == pytest.approx(40, abs=1.5)
    assert statistics.stdev(delays) == pytest.approx(5, rel=0.25)


@pytest.mark.parametrize(("order", "sorted_"), [("fifo", True), ("free", False)])
def test_jitter_reorders_only_when_told(net: Pair, order: str, sorted_: bool) -> None:
    net.link.set(UP, Knobs(delay_ms=20, jitter_ms=10, order=order))
    numbers = flow_up(net, 300).numbers
    assert (numbers == sorted(numbers)) is sorted_
    assert sorted(numbers) == list(range(300))


def test_random_loss_is_counted_to_the_packet(net: Pair) -> None:
    net.link.set(UP, Knobs(loss=0.2))
    outcome, rise = counted(net, lambda: flow_up(net, 1000, 4000))
    assert rise["in_packets"] == 1000
    assert rise["loss"] == 1000 - len(outcome.got)
    assert 140 <= rise["loss"] <= 260


def test_loss_is_of_one_direction(net: Pair) -> None:
    net.link.set(DOWN, Knobs(loss=0.5))
    assert len(flow_up(net, 200, 4000).got) == 200
    outcome, rise = counted(net, lambda: flow_down(net, 200, 4000), DOWN)
    assert 0 < len(outcome.got) == 200 - rise["loss"] < 200


def test_bursty_loss_comes_in_bursts(net: Pair) -> None:
    net.link.set(UP, Knobs(burst_start=0.02, burst_end=0.2))
    outcome, rise = counted(net, lambda: flow_up(net, 4000, 8000))
    got = set(outcome.numbers)
    runs = [
        len(list(run)) for lost, run in itertools.groupby(n not in got for n in range(4000)) if lost
    ]
    assert sum(runs) == rise["loss"]
    assert sum(runs) / 4000 == pytest.approx(0.02 / 0.22, abs=0.04)
    assert statistics.mean(runs) == pytest.approx(1 / 0.2, rel=0.4)


def test_every_nth_packet_drops(net: Pair) -> None:
    net.link.set(UP, Knobs(drop_every=5))
    assert flow_up(net, 50).numbers == [n for n in range(50) if n % 5 != 4]


def test_the_next_packets_drop(net: Pair) -> None:
    net.link.set(UP, Knobs(drop_next=7))
    assert flow_up(net, 50).numbers == list(range(7, 50))


def test_a_pattern_drops_in_a_cycle(net: Pair) -> None:
    net.link.set(UP, Knobs(drop_pattern="..xx.x"))
    assert flow_up(net, 60).numbers == [n for n in range(60) if n % 6 not in (2, 3, 5)]


def test_duplicates_arrive_twice_and_are_counted(net: Pair) -> None:
    net.link.set(UP, Knobs(duplicate=0.3))
    outcome, rise = counted(net, lambda: flow_up(net, 300))
    assert len(outcome.got) == 300 + rise["duplicated"]
    assert set(outcome.numbers) == set(range(300))
    assert 50 < rise["duplicated"] < 130


def test_held_back_packets_are_overtaken(net: Pair) -> None:
    net.link.set(UP, Knobs(delay_ms=5, reorder=0.1, reorder_delay_ms=20))
    outcome, rise = counted(net, lambda: flow_up(net, 400))
    late = [delay for delay in outcome.delays_ms() if delay > 20]
    assert outcome.numbers != sorted(outcome.numbers)
    assert sorted(outcome.numbers) == list(range(400))
    assert abs(len(late) - rise["reordered"]) <= 3
    assert 15 < rise["reordered"] < 70


def test_rate_is_exact_and_overload_is_dropped_at_the_tail(net: Pair) -> None:
    net.link.set(UP, Knobs(rate_bps=10e6, queue_bytes=30_000))
    outcome, rise = counted(net, lambda: flow_up(net, 1200, 1200, 1500))
    assert outcome.goodput_bps() == pytest.approx(10e6, rel=0.01)
    assert rise["queue"] == 1200 - len(outcome.got) > 200
    assert max(outcome.delays_ms()) < 24 + 20  # 30 kB at 10 Mbit/s is 24 ms


def test_the_queue_can_be_limited_in_packets(net: Pair) -> None:
    net.link.set(UP, Knobs(rate_bps=1e6, queue_packets=10, queue_bytes=10**6))
    outcome, rise = counted(net, lambda: flow_up(net, 40, 8000, 1000))
    assert 10 <= len(outcome.got) <= 14
    assert rise["queue"] == 40 - len(outcome.got)


def test_overhead_counts_on_the_wire(net: Pair) -> None:
    net.link.set(UP, Knobs(rate_bps=5e6, overhead_bytes=100, queue_bytes=50_000))
    outcome = flow_up(net, 1000, 2000, 400)
    assert outcome.goodput_bps() == pytest.approx(5e6 * 400 / 500, rel=0.02)


@pytest.mark.parametrize(
    "shape",
    [
        Knobs(rate_bps=100e6),
        Knobs(rate_bps=0),
        Knobs(rate_bps=16_000, burst_bytes=100_000),
    ],
)
def test_a_new_rate_holds_for_what_waits(net: Pair, shape: Knobs) -> None:
    net.link.set(UP, Knobs(rate_bps=16_000, queue_bytes=10**6))  # 1000 bytes take 500 ms
    before = net.link.count(UP)
    flow_up(net, 50, 4000, 1000)
    assert net.link.count(UP).held - before.held >= 48
    net.link.set(UP, shape)
    flow_up(net, 1, 1000, 1000)
    after = net.link.count(UP)
    assert (after.held, after.out_packets - before.out_packets) == (0, 51)


def theory_of_bucket(count: int, size: int, spacing_s: float, shape: Shape) -> list[float]:
    """When each packet leaves a token bucket, in seconds, written down independently."""
    rate, peak, burst = shape.rate_bps or 0, shape.peak_bps or 0, 8 * (shape.burst_bytes or 0)
    bits, tokens, then, free, out = 8 * size, float(burst), 0.0, 0.0, []
    for number in range(count):
        end = max(number * spacing_s, free) + bits / peak
        tokens = min(burst, tokens + (end - then) * rate)
        wait = max(0.0, (bits - tokens) / rate)
        end, tokens = end + wait, tokens + wait * rate - bits
        free = then = end
        out.append(end)
    return out


def test_a_token_bucket_bursts_then_throttles(net: Pair) -> None:
    shape = Knobs(rate_bps=4e6, peak_bps=16e6, burst_bytes=100_000, queue_bytes=10**7)
    net.link.set(UP, shape)
    outcome = flow_up(net, 500, 1400, 1500)
    theory = theory_of_bucket(500, 1500, 1 / 1400, shape)
    start = outcome.tx_ns[0]
    errors = [abs((rx_ns - start) / 1e9 - theory[number]) for number, rx_ns, _ in outcome.got]
    assert len(outcome.got) == 500
    assert statistics.median(errors) < 0.003


def test_two_directions_share_a_bottleneck(net: Pair) -> None:
    net.lab.emulator.bottleneck("radio", Shape(rate_bps=8e6, queue_bytes=40_000))
    net.link.set(BOTH, Knobs(bottleneck="radio"))
    upward = Flow(
        sender=net.node,
        receiver=net.hub,
        address=net.hub_address,
        count=700,
        pps=700,
        size=1500,
    )
    downward = replace(upward, sender=net.hub, receiver=net.node, address=net.node_address)
    up, down = run_flows([upward, downward])
    stamps = sorted(stamp for outcome in (up, down) for _, stamp, _ in outcome.got)
    middle = [stamp for stamp in stamps if stamps[0] + 2e8 < stamp < stamps[0] + 8e8]
    rate = (len(middle) - 1) * 1500 * 8e9 / (middle[-1] - middle[0])
    assert rate == pytest.approx(8e6, rel=0.02)
    net.link.set(BOTH, CLEAR)


def test_rate_and_bottleneck_exclude_each_other(net: Pair) -> None:
    net.lab.emulator.bottleneck("other", Shape(rate_bps=8e6))
    with pytest.raises(EmulatorError, match="exclude"):
        net.link.set(UP, Knobs(bottleneck="other", rate_bps=1e6))


def test_the_black_hole_swallows_long_packets_silently(net: Pair) -> None:
    net.link.set(UP, Knobs(mtu=1400))
    assert ping(net, "-s", str(1400 - 28), "-M", "dont")
    _, rise = counted(net, lambda: flow_up(net, 10, 1000, 1401))
    assert (rise["mtu"], rise["out_packets"]) == (10, 0)


def test_the_black_hole_may_spare_what_may_be_fragmented(net: Pair) -> None:
    net.link.set(UP, Knobs(mtu=1000, mtu_df_only=True))
    assert ping(net, "-s", "1200", "-M", "dont")
    assert not ping(net, "-s", "1200", "-M", "do")


def test_icmp_dies_and_udp_lives_and_the_reverse(net: Pair) -> None:
    net.link.set(UP, Knobs(drop=("icmp",)))
    assert not ping(net)
    assert len(flow_up(net, 20).got) == 20
    net.link.set(UP, Knobs(drop=("udp",)))
    assert ping(net)
    outcome, rise = counted(net, lambda: flow_up(net, 20))
    assert (len(outcome.got), rise["filter"]) == (0, 20)


def test_one_port_can_die(net: Pair) -> None:
    net.link.set(UP, Knobs(drop=("udp:53", "tcp:443")))
    assert len(flow_up(net, 20).got) == 20
    net.link.set(UP, Knobs(drop=("udp:9000",)))
    assert len(flow_up(net, 20).got) == 0


def test_loss_can_be_kept_to_some_packets(net: Pair) -> None:
    net.link.set(UP, Knobs(loss=1, only=("udp:9000",)))
    assert ping(net)
    assert len(flow_up(net, 20).got) == 0


def test_a_cut_link_passes_nothing_and_loses_what_was_under_way(net: Pair) -> None:
    net.link.set(UP, Knobs(delay_ms=600))
    outcome, rise = counted(net, lambda: flow_up(net, 20, 4000))
    assert outcome.got == []  # the receiver gave up: all is still under way
    assert rise["held"] == 20
    _, rise = counted(net, lambda: (net.link.down(), flow_up(net, 10))[1])
    assert (rise["down"], rise["out_packets"], rise["held"]) == (30, 0, -20)
    net.link.set(BOTH, CLEAR)
    assert len(flow_up(net, 10).got) == 10


def test_only_one_direction_can_be_cut(net: Pair) -> None:
    net.link.down(UP)
    assert len(flow_up(net, 10).got) == 0
    assert len(flow_down(net, 10).got) == 10


def test_a_pulled_cable_is_seen_by_both_ends(net: Pair) -> None:
    def carrier() -> tuple[bool, bool]:
        inside = [
            space.run(["cat", f"/sys/class/net/{device}/carrier"]).stdout.strip()
            for space, device in ((net.node, "wan0"), (net.hub, "site0"))
        ]
        return inside[0] == "1", inside[1] == "1"

    assert carrier() == (True, True)
    net.link.unplug()
    assert carrier() == (False, False)
    net.link.plug()
    assert carrier() == (True, True)
    assert len(flow_up(net, 10).got) == 10


def test_a_refused_request_changes_nothing(net: Pair) -> None:
    with pytest.raises(EmulatorError, match="bad value"):
        net.link.set(UP, Knobs(delay_ms=500, loss=1.5))
    with pytest.raises(EmulatorError, match="bad value"):
        net.link.set(UP, Knobs(drop=("gre",)))
    with pytest.raises(EmulatorError, match="bad value"):
        net.link.set(UP, Knobs(order="sideways"))
    assert max(flow_up(net, 10).delays_ms()) < 400


def test_ipv6_passes_too(net: Pair) -> None:
    argv = ["ping", "-6", "-q", "-c1", "-W1", net.hub_address6]
    assert net.node.run(argv).returncode == 0
    net.link.set(UP, Knobs(drop=("icmp6",)))
    with pytest.raises(subprocess.CalledProcessError):
        net.node.run(argv)


def test_dscp_passes_unchanged_and_can_be_matched(net: Pair) -> None:
    net.link.set(UP, Knobs(drop=("dscp:46",)))
    assert ping(net)
    assert not ping(net, "-Q", str(46 << 2))
