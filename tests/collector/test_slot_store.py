"""What the hub remembers of tests is there after a restart, and budgets hold in any order."""

from pathlib import Path

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.ledger import LedgerError
from collector.slot_store import SlotStore
from tests.collector.test_experiment import begun
from tests.collector.test_orders import standing
from wire.message import OrderState


def test_orders_and_experiments_survive_a_restart(tmp_path: Path) -> None:
    store = SlotStore(tmp_path / "slots.db")
    store.save([standing(1), standing(2)], [begun()])
    store.save([standing(1, state=OrderState.DONE)], gone=[f"{2:032x}"])
    store.close()
    again = SlotStore(tmp_path / "slots.db")
    assert again.standing() == [standing(1, state=OrderState.DONE)]
    assert again.experiments() == [begun()]
    again.save(experiments=[msgspec.structs.replace(begun(), pairs=3)])
    assert [one.pairs for one in again.experiments()] == [3]
    again.close()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1)), max_size=20))
def test_a_budget_is_never_exceeded(
    tmp_path_factory: pytest.TempPathFactory, tests: list[tuple[int, float]]
) -> None:
    file = tmp_path_factory.mktemp("hub") / "slots.db"
    store, booked = SlotStore(file), 0
    for number, (octets, left) in enumerate(tests):
        fits = booked + octets <= 1_000
        assert store.spend("l1", "2026-11", octets, 1_000) is fits
        if fits:
            unused = int(octets * left)
            store.give_back("l1", "2026-11", unused)
            booked += octets - unused
        assert store.spent("l1", "2026-11") == booked <= 1_000
        if number % 5 == 4:
            store.close()
            store = SlotStore(file)
    assert store.spent("l1", "2026-12") == store.spent("l2", "2026-11") == 0
    store.close()


def test_a_damaged_or_newer_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "slots.db"
    file.write_bytes(b"no database at all, but long enough" * 200)
    with pytest.raises(LedgerError, match=r"slots\.db"):
        SlotStore(file)
    newer = tmp_path / "newer.db"
    db = apsw.Connection(str(newer))
    db.execute("PRAGMA user_version=2")
    db.close()
    with pytest.raises(LedgerError, match="made by a newer version"):
        SlotStore(newer)
