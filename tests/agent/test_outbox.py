"""What is measured while the disk refuses is held, and what does not fit is told."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent import outbox as outbox_module
from agent.outbox import Outbox
from agent.spool import Recovery, Spool, SpoolSettings, SpoolUnavailable
from runtime.testing import FakeClock
from wire import batch as wire_batch
from wire.codec import Record, decode_body
from wire.errors import Refusal
from wire.instant import ClockClass
from wire.journal import Gap, GapReason, Start
from wire.observation import Outcome, StampSource, Train

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def train(first_seq: int, rows: int = 10) -> Train:
    return Train(
        link="l",
        target="t",
        probe="stamp",
        address="192.0.2.1",
        first_seq=first_seq,
        boot_ns=100_000_000_000,
        interval_ns=10**9,
        timeout_ns=2 * 10**9,
        send_us=list(range(rows)),
        rtt_ns=[1] * rows,
        outcome=[Outcome.OK] * rows,
        stamp=[StampSource.KERNEL] * rows,
    )


class Card:
    """A disk that can be made to refuse."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.works = True
        self.folder = folder
        self.outbox = Outbox(self.open, self.first, self.clock)

    def open(self) -> Spool:
        if not self.works:
            raise SpoolUnavailable("read-only file system")
        spool = Spool.open(SpoolSettings(path=self.folder / "spool.db"), self.clock)
        spool.begin(b"e" * 16, bytes.fromhex(self.clock.boot_id), KEY, b"a" * 16)
        return spool

    def first(self, _: Recovery) -> list[Record]:
        return [
            Start(
                boot_ns=self.clock.boot_ns(),
                wall_ns=self.clock.wall_ns(),
                boot_id=self.clock.boot_id,
                agent_version="0",
                settings_digest="0" * 64,
            )
        ]

    async def sealed(self) -> list[Record]:
        await self.outbox.seal(ClockClass.A)
        stored = await self.outbox.oldest()
        assert stored is not None
        parsed = wire_batch.parse(stored.data)
        return decode_body(parsed.body, parsed.header.raw_len)


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


async def test_appends_from_many_tasks_are_kept_once(card: Card) -> None:
    async with asyncio.TaskGroup() as group:
        for k in range(20):
            group.create_task(card.outbox.append([train(k * 10)]))
    records = await card.sealed()
    firsts = sorted(record.first_seq for record in records if isinstance(record, Train))
    assert firsts == [k * 10 for k in range(20)]
    await card.outbox.close(clean=True)


async def test_a_card_that_refuses_at_start_is_opened_later_and_nothing_is_lost(card: Card) -> None:
    card.works = False
    assert not await card.outbox.append([train(0)])
    assert not await card.outbox.append([train(10)])
    assert await card.outbox.oldest() is None
    assert await card.outbox.status() is None
    card.works = True
    assert await card.outbox.append([train(20)])
    records = await card.sealed()
    assert isinstance(records[0], Start), "an epoch begins with its Start"
    assert [r.first_seq for r in records if isinstance(r, Train)] == [0, 10, 20]
    await card.outbox.close(clean=True)


async def test_what_memory_cannot_hold_becomes_a_gap_with_its_slots(
    card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "HELD_OBSERVATIONS", 25)
    card.works = False
    for k in range(5):
        await card.outbox.append([train(k * 10)])
    card.works = True
    await card.outbox.append([])
    records = await card.sealed()
    assert [r.first_seq for r in records if isinstance(r, Train)] == [30, 40]
    gaps = [r for r in records if isinstance(r, Gap)]
    assert [(g.reason, g.first_seq, g.last_seq, g.count) for g in gaps] == [
        (GapReason.WRITE_FAILED, 0, 29, 30)
    ]
    await card.outbox.close(clean=True)


class Killed(Card):
    """A card of an agent that dies: the next life reads what the first left."""

    epoch = b"e" * 16

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.clock.advance(10**9)

    def open(self) -> Spool:
        if not self.works:
            raise SpoolUnavailable("read-only file system")
        spool = Spool.open(SpoolSettings(path=self.folder / "spool.db"), self.clock)
        spool.begin(self.epoch, bytes.fromhex(self.clock.boot_id), KEY, b"a" * 16)
        return spool

    async def left(self) -> list[int]:
        """Every slot that the next life finds, after kill -9 of this one."""
        await self.outbox.close(clean=False)
        self.epoch = b"f" * 16
        self.outbox = Outbox(self.open, lambda _: [], self.clock)
        await self.outbox.append([])
        records: list[Record] = []
        while (stored := await self.outbox.oldest()) is not None:
            parsed = wire_batch.parse(stored.data)
            records += decode_body(parsed.body, parsed.header.raw_len)
            await self.outbox.set_aside(stored, Refusal.MALFORMED)
        await self.outbox.close(clean=True)
        trains = [one for one in records if isinstance(one, Train)]
        return sorted(row.seq for one in trains for row in one.observations())


async def test_a_tail_that_the_disk_refused_goes_with_the_next_append(tmp_path: Path) -> None:
    card = Killed(tmp_path)
    card.works = False
    await card.outbox.append([train(0)], [train(10)])
    card.works = True
    assert await card.outbox.append([])
    assert await card.left() == list(range(20))


async def test_rows_leave_the_tail_on_disk_with_the_append_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Killed(tmp_path)
    await card.outbox.append([train(0)], [train(10)])
    with monkeypatch.context() as broken:
        broken.setattr("agent.spool.keep_below", _refuse)
        assert not await card.outbox.append([train(10)], [train(20)])
        assert not await card.outbox.append([train(20)], ())
    # Another part of the agent is the first to reach the disk again.
    assert await card.outbox.append([])
    assert await card.left() == list(range(30))


def _refuse(*_: object) -> None:
    raise SpoolUnavailable("input/output error")
