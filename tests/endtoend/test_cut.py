"""A real link goes away for a minute and comes back; the truth of it reaches the ledger, once."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from collector.ledger.sqlite import SqliteLedger
from runtime.lab.link import BOTH, UP, Knobs
from runtime.lab.topology import Pair, pair
from wire.codec import decode_body
from wire.observation import Outcome, Train

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]
CUT_S = 60.0
INTERVAL_S = 0.5


@pytest.fixture
def net() -> Iterator[Pair]:
    with pair(hub_in_root=True) as net:
        net.link.set(BOTH, Knobs(delay_ms=15))
        yield net


def sends(system: Any, probe: str) -> list[tuple[int, Outcome]]:
    """(boot-clock send time, outcome) of every observation of one probe, in time order; of the
    agent's first life, as `empty` may have begun more."""
    ledger = SqliteLedger(system.folder / "hub" / "ledger.db")
    try:
        found = sorted(
            (one.sent_boot_ns, one.outcome, batch.header.epoch)
            for agent in ledger.agents()
            for batch, _ in ledger.placed_batches(agent.agent_id)
            for train in decode_body(batch.body, batch.header.raw_len)
            if isinstance(train, Train) and train.probe == probe
            for one in train.observations()
        )
    finally:
        ledger.close()
    return [(at, outcome) for at, outcome, epoch in found if epoch == found[0][2]]


def test_a_link_down_for_a_minute_is_measured_through_and_arrives_once(
    net: Pair, make_system: Callable[..., Any]
) -> None:
    gateway = {
        "name": "hub-icmp",
        "probe": "icmp",
        "role": "anchor",
        "address": net.hub_address,
        "interval_s": INTERVAL_S,
    }
    system = make_system(address=net.hub_address, interval_s=INTERVAL_S, targets=(gateway,))
    system.start_collector()
    system.join(net.node.argv)
    system.start_agent(net.node.argv)
    time.sleep(8)
    assert system.metric("pantau_link_state", state="up") == 1
    assert system.metric("pantau_link_live_rtt_seconds") == pytest.approx(0.030, abs=0.005)

    cut = net.link.down()
    time.sleep(12)
    assert system.metric("pantau_link_state", state="unknown") == 1
    assert system.metric("pantau_link_state_reason", reason="silent") == 1
    assert system.metric("pantau_link_last_heard_age_seconds") > 5
    time.sleep(CUT_S - 12)
    mended = net.link.up()
    time.sleep(10)
    system.drain()
    up_sent = net.link.count(UP)
    system.empty(net.node.argv)
    system.stop_collector()

    assert system.drained(), system.log("agent")
    proof = system.prove()
    assert (proof.repeats, proof.holes) == (0, 0)
    for probe in ("stamp", "icmp"):
        seen = sends(system, probe)
        duration_s = (seen[-1][0] - seen[0][0]) / 1e9
        assert len(seen) == pytest.approx(duration_s / INTERVAL_S + 1, abs=2)
        # Within one slot and the way's 15 ms of the cut's edges every packet was lost, outside
        # none was.
        slack_ns = 40_000_000
        inside = [o for at, o in seen if cut.boot_ns + slack_ns < at < mended.boot_ns - slack_ns]
        outside = [
            o for at, o in seen if not cut.boot_ns - slack_ns < at < mended.boot_ns + slack_ns
        ]
        assert len(inside) == pytest.approx(CUT_S / INTERVAL_S, abs=3)
        assert set(inside) == {Outcome.TIMEOUT}
        assert set(outside) <= {Outcome.OK, Outcome.ABORTED}
    assert up_sent.dropped > 0


def test_loss_by_direction_equals_the_truth_to_the_packet(
    net: Pair, make_system: Callable[..., Any]
) -> None:
    """STAMP packets are dropped on the way up, replies not: the ledger tells them apart."""
    system = make_system(address=net.hub_address, interval_s=0.1)
    system.start_collector()
    system.join(net.node.argv)
    system.start_agent(net.node.argv)
    time.sleep(3)
    stamp = (f"udp:{system.stamp_port}",)
    net.link.set(UP, Knobs(only=stamp, loss=0.2))
    time.sleep(10)
    net.link.set(UP, Knobs(loss=0))
    time.sleep(3)
    dropped = net.link.count(UP).dropped
    system.drain()
    system.stop_collector()
    ledger = SqliteLedger(system.folder / "hub" / "ledger.db")
    tally = ledger.tallies()["l1", "hub"]
    ledger.close()
    assert dropped > 5
    assert (tally.lost, tally.forward_lost, tally.reverse_lost) == (dropped, dropped, 0)
