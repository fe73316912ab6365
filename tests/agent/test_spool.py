"""The spool in the hands of a healthy disk."""

import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.spool import Spool, SpoolSettings, SpoolUnavailable, pack
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.agent.spool_kit import (
    AGENT_ID,
    AGENT_KEY,
    Hub,
    begin,
    begun,
    epoch_of,
    heartbeat,
    opened,
    receipt_for,
    train,
)
from wire.batch import MAX_BATCH_BYTES, NO_DIGEST, parse
from wire.codec import Record, decode_body
from wire.errors import Refusal
from wire.instant import ClockClass
from wire.journal import Gap, GapReason
from wire.observation import MAX_OBSERVATIONS, Outcome, StampSource, Train
from wire.receipt import digest

HOUR = 3600 * SECOND


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def spool(tmp_path: Path, clock: FakeClock) -> Spool:
    return begun(tmp_path, clock)


def sealed(spool: Spool, clock: FakeClock, count: int = 1, first: int = 0) -> list[bytes]:
    """Digests of `count` new batches of ten observations each."""
    digests = []
    for k in range(count):
        spool.append([train(clock, first + 10 * k)])
        clock.advance(60 * SECOND)
        digests += [batch.digest for batch in spool.seal(ClockClass.A)]
    return digests


def test_a_new_spool_remembers_nothing_and_lists_no_loss(tmp_path: Path, clock: FakeClock) -> None:
    assert opened(tmp_path, clock).recovery == (None, None, None, None, [], 0)


def test_nothing_can_be_appended_before_an_epoch_begins(tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(RuntimeError, match="no epoch"):
        opened(tmp_path, clock).append([heartbeat(clock)])


def test_sealing_nothing_gives_nothing(spool: Spool) -> None:
    assert spool.seal(ClockClass.A) == []
    assert spool.oldest() is None


def test_a_batch_says_what_it_holds_and_when_it_was_sealed(spool: Spool, clock: FakeClock) -> None:
    spool.append([heartbeat(clock), train(clock, 7)])
    first = clock.boot_ns()
    clock.advance(60 * SECOND)
    (batch,) = spool.seal(ClockClass.B)
    header = parse(batch.data).header
    assert (header.agent_id, header.epoch, header.seq) == (AGENT_ID, epoch_of(1), 0)
    assert header.boot_id.hex() == clock.boot_id
    assert (header.records, header.observations, header.missing) == (2, 10, 0)
    assert (header.first_boot_ns, header.last_boot_ns) == (first, first + 9_000_000)
    assert (header.sealed_boot_ns, header.sealed_wall_ns) == (clock.boot_ns(), clock.wall_ns())
    assert header.clock is ClockClass.B
    assert (header.previous, header.last_receipt) == (NO_DIGEST, NO_DIGEST)
    assert batch == spool.oldest() == spool.fresh(SECOND)


def test_records_keep_their_order(spool: Spool, clock: FakeClock) -> None:
    made: list[Record] = [train(clock, 0), heartbeat(clock), train(clock, 10)]
    spool.append(made[:1])
    spool.append(made[1:])
    (batch,) = spool.seal(ClockClass.A)
    parsed = parse(batch.data)
    assert decode_body(parsed.body, parsed.header.raw_len) == made


def test_the_chain_goes_on_across_epochs_and_restarts(tmp_path: Path, clock: FakeClock) -> None:
    hub = Hub()
    for epoch in range(1, 5):
        spool = begun(tmp_path, clock, epoch)
        sealed(spool, clock, 3, 100 * epoch)
        spool.stop()
        spool.close()
    hub.drain(opened(tmp_path, clock))
    hub.check_chain()
    assert [seq for _, seq in hub.order] == [0, 1, 2] * 4


def test_a_second_life_learns_how_the_first_one_ended(tmp_path: Path, clock: FakeClock) -> None:
    spool = begun(tmp_path, clock)
    clock.advance(10 * SECOND)
    spool.append([heartbeat(clock)])
    alive = clock.boot_ns()
    clock.advance(10 * SECOND)
    spool.close()
    boot = bytes.fromhex(clock.boot_id)
    spool = opened(tmp_path, clock)
    assert spool.recovery == (epoch_of(1), boot, False, alive, [], 1)
    begin(spool, clock, 2)
    clock.advance(SECOND)
    spool.alive(clock.boot_ns())
    clock.advance(SECOND)
    spool.stop()
    spool.close()
    assert opened(tmp_path, clock).recovery == (epoch_of(2), boot, True, clock.boot_ns(), [], 0)


def test_an_append_after_a_stop_makes_the_end_unclean_again(spool: Spool, clock: FakeClock) -> None:
    spool.stop()
    spool.append([heartbeat(clock)])
    spool.close()
    assert opened(spool._settings.path.parent, clock).recovery.previous_clean is False


def test_what_a_dead_epoch_left_is_sealed_in_its_own_name_and_boot(
    tmp_path: Path, clock: FakeClock
) -> None:
    former = clock.boot_id
    spool = begun(tmp_path, clock)
    sealed(spool, clock)
    spool.append([train(clock, 10)])
    alive = (clock.boot_ns(), clock.wall_ns())
    spool.close()
    clock.reboot(boot_id="c1" * 16, off_ns=HOUR)
    spool = begun(tmp_path, clock, 2)
    hub = Hub()
    hub.drain(spool)
    header = hub.batches[epoch_of(1), 1].header
    assert header.boot_id.hex() == former
    assert (header.sealed_boot_ns, header.sealed_wall_ns) == alive
    assert hub.observations.total() == 20
    sealed(spool, clock, first=20)
    hub.drain(spool)
    hub.check_chain()
    assert hub.order[-1] == (epoch_of(2), 0)


def test_leftovers_of_the_same_boot_are_stamped_now(tmp_path: Path, clock: FakeClock) -> None:
    spool = begun(tmp_path, clock)
    spool.append([train(clock, 0)])
    spool.close()
    clock.advance(HOUR)
    spool = begun(tmp_path, clock, 2)
    batch = spool.oldest()
    assert batch is not None
    assert (batch.epoch, batch.sealed_boot_ns) == (epoch_of(1), clock.boot_ns())


def test_much_evidence_is_split_into_batches_that_a_collector_takes(
    spool: Spool, clock: FakeClock
) -> None:
    for k in range(20):
        spool.append([train(clock, k * MAX_OBSERVATIONS, MAX_OBSERVATIONS)])
    batches = spool.seal(ClockClass.A)
    assert len(batches) > 1
    assert max(len(batch.data) for batch in batches) <= MAX_BATCH_BYTES
    hub = Hub()
    hub.drain(spool)
    hub.check_chain()
    assert hub.observations.total() == 20 * MAX_OBSERVATIONS
    assert hub.once


def test_the_largest_record_that_the_wire_allows_fits(spool: Spool, clock: FakeClock) -> None:
    rows = MAX_OBSERVATIONS
    noise = random.Random(1)
    huge = Train(
        link="l" * 128,
        target="t" * 128,
        probe="p" * 128,
        address="f" * 64,
        first_seq=2**53 - rows,
        boot_ns=0,
        interval_ns=SECOND,
        timeout_ns=SECOND,
        send_us=sorted(noise.randrange(10**15, 4 * 10**15) for _ in range(rows)),
        rtt_ns=[noise.randrange(10**12, 3_600_000_000_000) for _ in range(rows)],
        outcome=[Outcome.OK] * rows,
        stamp=[StampSource.KERNEL] * rows,
        reflector_seq=[noise.randrange(10**15, 2**53) for _ in range(rows)],
        ttl=[noise.randrange(100, 256) for _ in range(rows)],
    )
    spool.append([huge])
    (batch,) = spool.seal(ClockClass.A)
    parsed = parse(batch.data)
    assert decode_body(parsed.body, parsed.header.raw_len) == [huge]


def test_a_record_that_no_batch_can_hold_is_a_bug_and_changes_nothing(
    spool: Spool, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "LINE_LIMIT", 1000)
    with pytest.raises(ValueError, match="the longest is 1000"):
        spool.append([heartbeat(clock), train(clock, 0, 1000)])
    assert spool.seal(ClockClass.A) == []


def test_a_receipt_for_other_bytes_changes_nothing(spool: Spool, clock: FakeClock) -> None:
    sealed(spool, clock)
    batch = spool.oldest()
    assert batch is not None
    receipt, data = receipt_for(batch)
    before = spool.status()
    assert not spool.acknowledge(receipt._replace(batch_digest=bytes(32)), data)
    assert not spool.acknowledge(receipt._replace(seq=1), data)
    assert not spool.acknowledge(receipt._replace(epoch=epoch_of(9)), data)
    assert (spool.oldest(), spool.status(), spool.last_acked) == (batch, before, None)


def test_a_repeated_receipt_is_as_good_as_the_first(spool: Spool, clock: FakeClock) -> None:
    sealed(spool, clock, 2)
    batch = spool.oldest()
    assert batch is not None
    receipt, data = receipt_for(batch)
    assert spool.acknowledge(receipt, data)
    assert spool.acknowledge(receipt, data)
    assert spool.status().batches_waiting == 1


def test_the_next_header_carries_the_newest_receipt(spool: Spool, clock: FakeClock) -> None:
    sealed(spool, clock)
    batch = spool.oldest()
    assert batch is not None
    receipt, data = receipt_for(batch)
    spool.acknowledge(receipt, data)
    sealed(spool, clock, first=10)
    after = spool.oldest()
    assert after is not None
    assert parse(after.data).header.last_receipt == digest(data)


def test_fresh_is_the_newest_of_this_boot_and_oldest_goes_by_sealing(
    tmp_path: Path, clock: FakeClock
) -> None:
    spool = begun(tmp_path, clock)
    digests = sealed(spool, clock, 3)
    newest, oldest = spool.fresh(SECOND), spool.oldest()
    assert newest is not None and oldest is not None
    assert (oldest.digest, newest.digest) == (digests[0], digests[2])
    clock.advance(2 * SECOND)
    assert spool.fresh(SECOND) is None
    spool.close()
    clock.reboot(boot_id="c1" * 16, off_ns=SECOND)
    clock.advance(1000 * SECOND)
    assert begun(tmp_path, clock, 2).fresh(2000 * SECOND) is None


def test_a_refused_batch_steps_aside_and_comes_again_later(spool: Spool, clock: FakeClock) -> None:
    first, second = sealed(spool, clock, 2)
    spool.set_aside(epoch_of(1), 0, Refusal.BAD_BODY)
    status = spool.status()
    assert (status.batches_waiting, status.refused) == (1, 1)
    assert (batch := spool.oldest()) is not None and batch.digest == second
    clock.advance(6 * HOUR)
    assert (batch := spool.oldest()) is not None and batch.digest == first
    assert spool.acknowledge(*receipt_for(batch))
    assert spool.status().refused == 0


def test_a_refused_batch_comes_again_after_a_reboot(tmp_path: Path, clock: FakeClock) -> None:
    spool = begun(tmp_path, clock)
    (refused,) = sealed(spool, clock)
    spool.set_aside(epoch_of(1), 0, Refusal.REVOKED)
    spool.close()
    clock.reboot(boot_id="c1" * 16, off_ns=SECOND)
    batch = begun(tmp_path, clock, 2).oldest()
    assert batch is not None and batch.digest == refused


def test_setting_aside_what_has_a_receipt_or_is_unknown_changes_nothing(
    spool: Spool, clock: FakeClock
) -> None:
    sealed(spool, clock)
    Hub().drain(spool)
    spool.set_aside(epoch_of(1), 0, Refusal.BAD_BODY)
    spool.set_aside(epoch_of(1), 77, Refusal.BAD_BODY)
    assert spool.status().refused == 0


def test_a_restored_collector_gets_everything_again_byte_for_byte(
    spool: Spool, clock: FakeClock
) -> None:
    sealed(spool, clock, 5)
    hub, restored = Hub(), Hub()
    hub.drain(spool)
    assert spool.last_acked == (epoch_of(1), 4)
    assert spool.rewind() == 5
    assert spool.last_acked is None
    restored.drain(spool)
    assert [b.to_bytes() for b in restored.batches.values()] == [
        b.to_bytes() for b in hub.batches.values()
    ]


def test_the_furthest_receipt_is_told_whatever_came_last(spool: Spool, clock: FakeClock) -> None:
    sealed(spool, clock, 2)
    newest = spool.fresh(HOUR)
    assert newest is not None
    spool.acknowledge(*receipt_for(newest))
    oldest = spool.oldest()
    assert oldest is not None
    spool.acknowledge(*receipt_for(oldest))
    assert spool.last_acked == (epoch_of(1), 1)


def test_retention_goes_by_the_hubs_clock(tmp_path: Path, clock: FakeClock) -> None:
    spool = begun(tmp_path, clock, retain_s=3600)
    sealed(spool, clock, 3)
    for received in (10 * HOUR, 10 * HOUR + 2, 11 * HOUR + 1):
        batch = spool.oldest()
        assert batch is not None
        spool.acknowledge(*receipt_for(batch, received))
        # Whatever our own clocks say: during an outage nothing ages.
        clock.advance(100 * HOUR)
    spool.tidy()
    assert spool.rewind() == 2
    batch = spool.oldest()
    assert batch is not None and batch.seq == 1


def test_retention_has_its_share_of_the_cap(tmp_path: Path, clock: FakeClock) -> None:
    spool = begun(tmp_path, clock, cap_bytes=1024 * 1024, retain_share=0.01)
    sealed(spool, clock, 100)
    Hub().drain(spool)
    spool.tidy()
    spool.rewind()
    hub = Hub()
    hub.drain(spool)
    kept = sum(len(batch.to_bytes()) for batch in hub.batches.values())
    assert 0 < kept <= 0.01 * 1024 * 1024
    assert hub.order[-1] == (epoch_of(1), 99)


def test_tidying_a_tidy_spool_writes_nothing(spool: Spool, clock: FakeClock) -> None:
    sealed(spool, clock, 3)
    Hub().drain(spool)
    spool.tidy()
    log = spool._settings.path.with_name("spool.db-wal")
    before = (log.stat().st_size, log.stat().st_mtime_ns)
    for _ in range(3):
        spool.tidy()
        spool.status()
        spool.oldest()
    assert (log.stat().st_size, log.stat().st_mtime_ns) == before


def test_status_counts_what_waits(spool: Spool, clock: FakeClock) -> None:
    assert spool.status().oldest_boot_ns is None
    sealed(spool, clock, 2)
    status = spool.status()
    assert (status.batches_waiting, status.refused, status.dropped_observations) == (2, 0, 0)
    assert status.oldest_boot_ns == clock.boot_ns() - 60 * SECOND
    assert 0 < status.bytes_used <= status.bytes_cap


def test_two_agents_never_share_a_spool(spool: Spool, clock: FakeClock) -> None:
    with pytest.raises(SpoolUnavailable, match="another agent"):
        opened(spool._settings.path.parent, clock)
    spool.append([heartbeat(clock)])


def test_threads_do_not_step_on_each_other(spool: Spool, clock: FakeClock) -> None:
    def work(first: int) -> None:
        for k in range(10):
            spool.append([train(clock, first + 10 * k)])
            spool.seal(ClockClass.A)
            spool.oldest()

    threads = [threading.Thread(target=work, args=(1000 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hub = Hub()
    hub.drain(spool)
    hub.check_chain()
    assert hub.once and hub.observations.total() == 400


def test_a_clean_stop_leaves_everything_in_one_file(spool: Spool, clock: FakeClock) -> None:
    sealed(spool, clock)
    spool.stop()
    spool.close()
    folder = spool._settings.path.parent
    assert sorted(os.listdir(folder)) == ["spool.db", "spool.db.ballast"]


def test_a_gap_of_the_agents_own_is_counted_as_missing(spool: Spool, clock: FakeClock) -> None:
    gap = Gap(
        boot_ns=clock.boot_ns(),
        wall_ns=clock.wall_ns(),
        reason=GapReason.STALLED,
        link="link",
        target="hub",
        first_seq=3,
        last_seq=5,
        count=3,
    )
    spool.append([gap, gap])
    (batch,) = spool.seal(ClockClass.A)
    assert parse(batch.data).header.missing == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cap_bytes": 1000}, "spool.cap_bytes: 1000, the least is 1048576"),
        ({"retain_share": 1.5}, "spool.retain_share: 1.5, expected 0 to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpoolSettings(path=Path("x"), **changes)


def test_the_key_is_only_needed_for_sealing(tmp_path: Path, clock: FakeClock) -> None:
    spool = begun(tmp_path, clock)
    sealed(spool, clock)
    spool.close()
    spool = opened(tmp_path, clock)
    batch = spool.oldest()
    assert batch is not None
    assert spool.acknowledge(*receipt_for(batch))
    spool.begin(epoch_of(2), bytes.fromhex(clock.boot_id), AGENT_KEY, AGENT_ID)
    assert spool.oldest() is None
