"""The queue against a model: whatever is asked in whatever order, both give the same answer."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.spool import StoredBatch, queue
from agent.spool.store import Store
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.agent.spool_kit import begun, epoch_of, receipt_for, train
from wire.errors import Refusal
from wire.instant import ClockClass

RETRY_NS = 6 * 3600 * SECOND


@dataclass
class Modelled:
    """What the model knows of a batch."""

    batch: StoredBatch
    acked: bool = False
    refused: bool = False
    retry_boot_ns: int = 0


class Queue(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="spool-order-"))
        self.clock = FakeClock()
        self.epoch = 1
        self.made = 0
        self.unsealed = 0
        self.batches: list[Modelled] = []

    @initialize()
    def start(self) -> None:
        self.spool = begun(self.folder, self.clock)

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.folder)

    @rule(rows=st.integers(1, 5))
    def append(self, rows: int) -> None:
        self.spool.append([train(self.clock, self.made, rows)])
        self.made += rows
        self.unsealed += rows

    @rule()
    def seal(self) -> None:
        sealed = self.spool.seal(ClockClass.A)
        assert sum(batch.observations for batch in sealed) == self.unsealed
        self.unsealed = 0
        self.batches += [Modelled(batch) for batch in sealed]

    @rule(seconds=st.sampled_from([1, 30, 90, 4000, 6 * 3600]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds * SECOND)

    def offered(self) -> list[Modelled]:
        now = self.clock.boot_ns()
        return [
            item
            for item in self.batches
            if not item.acked and (not item.refused or item.retry_boot_ns <= now)
        ]

    @invariant()
    def oldest_goes_first(self) -> None:
        if hasattr(self, "spool"):
            offered = self.offered()
            assert self.spool.oldest() == (offered[0].batch if offered else None)

    @invariant()
    def fresh_is_the_newest_of_this_boot(self) -> None:
        if not hasattr(self, "spool"):
            return
        waiting = [item for item in self.batches if not item.acked and not item.refused]
        expected = waiting[-1].batch if waiting else None
        if expected is not None and (
            expected.boot_id.hex() != self.clock.boot_id
            or expected.sealed_boot_ns < self.clock.boot_ns() - 60 * SECOND
        ):
            expected = None
        assert self.spool.fresh(60 * SECOND) == expected

    @invariant()
    def status_counts(self) -> None:
        if hasattr(self, "spool"):
            status = self.spool.status()
            refused = [item for item in self.batches if item.refused]
            waiting = [item for item in self.batches if not item.acked and not item.refused]
            assert (status.batches_waiting, status.refused) == (len(waiting), len(refused))

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.batches))
        assert self.spool.acknowledge(*receipt_for(item.batch))
        item.acked, item.refused = True, False

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def acknowledge_other_bytes(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.batches))
        assert not self.spool.acknowledge(*receipt_for(item.batch._replace(digest=bytes(32))))

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def set_aside(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.batches))
        self.spool.set_aside(item.batch.epoch, item.batch.seq, Refusal.BAD_BODY)
        if not item.acked:
            item.refused = True
            item.retry_boot_ns = self.clock.boot_ns() + RETRY_NS

    @rule()
    def rewind(self) -> None:
        acked = [item for item in self.batches if item.acked]
        assert self.spool.rewind() == len(acked)
        for item in acked:
            item.acked = False

    @rule()
    def tidy(self) -> None:
        self.spool.tidy()

    @rule(clean=st.booleans(), reboot=st.booleans())
    def restart(self, clean: bool, reboot: bool) -> None:
        if clean:
            self.spool.stop()
        self.spool.close()
        former = bytes.fromhex(self.clock.boot_id)
        if reboot:
            self.clock.reboot(boot_id=f"{self.epoch:032x}", off_ns=SECOND)
            for item in self.batches:
                item.retry_boot_ns = 0
        ended, self.epoch = epoch_of(self.epoch), self.epoch + 1
        self.spool = begun(self.folder, self.clock, self.epoch)
        assert self.spool.recovery.previous_clean is clean
        assert self.spool.recovery.gaps == []
        leftover = self.at(ended, sum(item.batch.epoch == ended for item in self.batches))
        if leftover is None:
            assert self.unsealed == 0
        else:
            assert (leftover.observations, leftover.boot_id) == (self.unsealed, former)
            self.batches.append(Modelled(leftover))
        self.unsealed = 0

    def at(self, epoch: bytes, seq: int) -> StoredBatch | None:
        def look(store: Store) -> StoredBatch | None:
            entry = queue.find(store, epoch, seq)
            return queue.read(store, entry) if entry else None

        return self.spool._disk.run(look)


Queue.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestQueue = Queue.TestCase
