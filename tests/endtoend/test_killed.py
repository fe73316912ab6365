"""kill -9 at any instant: what was durable is in the ledger exactly once, the rest is explained."""

import random
import signal
import time
from typing import Any

import pytest

from tests.endtoend.conftest import wait_for
from wire.codec import decode_body
from wire.journal import Gap, GapReason, Start

KILLS = 20
PAUSE_S = 1.2
INTERVAL_S = 0.1
# Sent but not yet on disk when it died: commit rhythm and a busy machine's slack.
UNSETTLED_S = 0.3 + 0.7


def journal(system: Any, kind: type[Start] | type[Gap]) -> list[Any]:
    """Records of one kind in the ledger, in order of their time."""
    from collector.ledger.sqlite import SqliteLedger

    ledger = SqliteLedger(system.folder / "hub" / "ledger.db")
    try:
        found = [
            record
            for agent in ledger.agents()
            for batch, _ in ledger.placed_batches(agent.agent_id)
            for record in decode_body(batch.body, batch.header.raw_len)
            if isinstance(record, kind)
        ]
    finally:
        ledger.close()
    return sorted(found, key=lambda record: record.boot_ns)


def wait_until_begun(system: Any, lives: int) -> None:
    """On a busy machine a process needs its time to begin at all."""
    log = system.folder / "agent.log"
    wait_for(lambda: log.read_text().count(" of node ") >= lives, 20, lambda: system.log("agent"))


@pytest.fixture
def chance() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_an_agent_killed_at_random_instants_loses_nothing_that_was_durable(
    system: Any, chance: random.Random
) -> None:
    for life in range(KILLS):
        wait_until_begun(system, life + 1)
        time.sleep(0.5 + chance.random() * PAUSE_S)
        system.agent.send_signal(signal.SIGKILL)
        system.agent.wait()
        system.start_agent()
    time.sleep(2)
    system.drain()
    heard = system.metric("pantau_link_hub_packets_received_total", link="l1")
    system.stop_collector()
    assert system.drained(), system.log("agent")
    proof = system.prove()
    assert (proof.repeats, proof.holes) == (0, 0)
    # Independent witness: the reflector heard every packet; what it heard and the ledger does
    # not hold was in memory when the agent died, and never more than that.
    assert proof.observations > heard - KILLS * UNSETTLED_S / INTERVAL_S
    lives = journal(system, Start)
    assert len(lives) == KILLS + 1
    assert lives[0].previous_epoch is None
    assert [life.previous_clean for life in lives[1:]] == [False] * KILLS
    gaps = [gap for gap in journal(system, Gap) if gap.reason is GapReason.UNSETTLED]
    assert [gap.epoch for gap in gaps] == [life.previous_epoch for life in lives[1:]]


def test_a_collector_killed_at_random_instants_loses_nothing_it_acknowledged(
    system: Any, chance: random.Random
) -> None:
    for _ in range(KILLS):
        time.sleep(0.3 + chance.random() * PAUSE_S)
        system.collector.send_signal(signal.SIGKILL)
        system.collector.wait()
        system.start_collector()
    time.sleep(3)
    system.drain()
    system.stop_collector()
    assert system.drained(), system.log("agent")
    proof = system.prove()
    assert (proof.repeats, proof.holes) == (0, 0)
    # One life of the agent: every slot from 0 to the last is there, killed collector or not.
    assert len(journal(system, Start)) == 1
    assert proof.observations > KILLS * 0.3 / INTERVAL_S


def test_both_stop_in_order_within_five_seconds_and_nothing_is_left_in_memory(
    system: Any,
) -> None:
    # A busy machine takes a while to start them.
    wait_for(
        lambda: bool(system.metric("pantau_link_state", state="up") == 1),
        20,
        lambda: str(system.log("agent")),
    )
    time.sleep(2.0)
    began = time.monotonic()
    assert system.stop_agent() == 0
    assert system.stop_collector() == 0
    assert time.monotonic() - began < 5 + 5
    assert system.drained()
    proof = system.prove()
    assert (proof.repeats, proof.holes) == (0, 0)
    assert proof.observations >= 15
