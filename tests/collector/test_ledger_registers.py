"""The registers on a real ledger: rows are added, never changed, and stay beside the evidence."""

import sqlite3
from pathlib import Path

import pytest

from collector.audit.calendar import Zone
from collector.ledger import LedgerError
from collector.ledger.schema import SCHEMA, VERSION
from collector.ledger.sqlite import SqliteLedger
from collector.maintenance import Cancelled, Kind, Notice, Recorded, Scope
from collector.tickets import Import, Taken, Ticket

SARI = Recorded("Sari", "root", 1_790_000_000_000_000_001)
BUDI = Recorded("budi", "budi", 1_790_000_000_000_000_002)
NOTICE = Notice(
    Scope(pop="POP-1", provider="P"),
    1_790_000_000,
    1_790_007_200,
    Zone.WITA,
    Kind.EMERGENCY,
    1_789_999_000,
    "Kepala Bidang",
    "splice",
    "B-12/2026",
)
FIRST = Ticket("P", "T-1", "l1", 100, None, "FO cut")
OTHER = Ticket("P", "T-2", "l1", 300, 400, "radio")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> SqliteLedger:
    return SqliteLedger(file)


def taken(digest: bytes, provider: str | None = "P", zone: Zone = Zone.WIB) -> Import:
    return Import(0, "list.csv", digest, provider, zone, 2, SARI)


def test_a_window_is_kept_as_told_with_who_and_when(ledger: SqliteLedger, file: Path) -> None:
    added = ledger.registers.add_maintenance(NOTICE, SARI)
    bare = NOTICE._replace(
        scope=Scope(link="l1"), start_s=1_789_000_000, approved_by=None, document=None
    )
    second = ledger.registers.add_maintenance(bare, BUDI)
    ledger.close()
    assert SqliteLedger(file).registers.maintenance() == [second, added]
    assert (added.id, added.notice, added.recorded, added.cancelled) == (1, NOTICE, SARI, None)


def test_a_cancelled_window_stays_and_is_cancelled_once(ledger: SqliteLedger) -> None:
    added = ledger.registers.add_maintenance(NOTICE, SARI)
    cancelled = ledger.registers.cancel_maintenance(added.id, "moved", BUDI)
    assert cancelled == added._replace(cancelled=Cancelled("moved", BUDI))
    with pytest.raises(LedgerError, match="maintenance entry 1 was cancelled already by budi"):
        ledger.registers.cancel_maintenance(added.id, "again", SARI)
    with pytest.raises(LedgerError, match="no maintenance entry 2; see `maintenance list`"):
        ledger.registers.cancel_maintenance(2, "what", SARI)
    assert ledger.registers.maintenance() == [cancelled]


def test_a_window_without_length_is_refused_by_the_table_too(ledger: SqliteLedger) -> None:
    with pytest.raises(LedgerError, match="CHECK constraint failed"):
        ledger.registers.add_maintenance(NOTICE._replace(end_s=NOTICE.start_s), SARI)
    assert ledger.registers.maintenance() == []


def test_nothing_in_the_registers_can_be_changed_or_removed(
    ledger: SqliteLedger, file: Path
) -> None:
    ledger.registers.add_maintenance(NOTICE, SARI)
    ledger.registers.cancel_maintenance(1, "moved", BUDI)
    ledger.registers.import_tickets(taken(b"a"), (FIRST,))
    ledger.close()
    with sqlite3.connect(file) as db:
        for table in ("maintenance", "maintenance_cancelled", "ticket_import", "ticket"):
            for sql in (f"DELETE FROM {table}", f"UPDATE {table} SET rowid=rowid"):
                told = sql.replace("rowid=rowid", "revision=9") if table == "ticket" else sql
                with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
                    db.execute(told)
    db.close()


def test_a_ticket_told_differently_is_a_new_revision_and_as_before_is_nothing(
    ledger: SqliteLedger,
) -> None:
    registers = ledger.registers
    over = FIRST._replace(end_s=200)
    assert registers.import_tickets(taken(b"a"), (FIRST, OTHER)) == Taken(1, False, 2, 0, 0)
    assert registers.import_tickets(taken(b"b"), (over, OTHER)) == Taken(2, False, 0, 1, 1)
    assert registers.import_tickets(taken(b"c"), (over,)) == Taken(3, False, 0, 0, 1)
    assert registers.import_tickets(taken(b"d"), (FIRST,)) == Taken(4, False, 0, 1, 0)
    assert [(one.ticket, one.revision, one.import_id) for one in registers.tickets()] == [
        (FIRST, 1, 1),
        (over, 2, 2),
        (FIRST, 3, 4),
        (OTHER, 1, 1),
    ]


def test_the_same_file_is_taken_once(ledger: SqliteLedger) -> None:
    registers = ledger.registers
    registers.import_tickets(taken(b"a"), (FIRST, OTHER))
    registers.import_tickets(taken(b"b"), (FIRST._replace(end_s=200),))
    before = registers.tickets()
    assert registers.import_tickets(taken(b"a"), (FIRST, OTHER)) == Taken(1, True, 0, 0, 2)
    assert registers.tickets() == before
    assert registers.imports() == {
        1: taken(b"a")._replace(id=1, tickets=2),
        2: taken(b"b")._replace(id=2, tickets=1),
    }


def test_the_same_bytes_read_in_another_zone_are_another_import(ledger: SqliteLedger) -> None:
    registers = ledger.registers
    registers.import_tickets(taken(b"a", None), (FIRST,))
    shifted = FIRST._replace(start_s=FIRST.start_s - 3_600)
    assert registers.import_tickets(taken(b"a", None, Zone.WITA), (shifted,)).changed == 1
    assert registers.import_tickets(taken(b"a", None), (FIRST,)).repeated


def test_one_ticket_may_be_about_several_links_and_two_providers_may_number_alike(
    ledger: SqliteLedger,
) -> None:
    several = (FIRST, FIRST._replace(link="l2"), FIRST._replace(provider="Q", link="l3"))
    assert ledger.registers.import_tickets(taken(b"a", None), several).new == 3


def test_an_import_that_fails_leaves_nothing(ledger: SqliteLedger) -> None:
    wrong = OTHER._replace(cause=None)  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="NOT NULL constraint failed"):
        ledger.registers.import_tickets(taken(b"a"), (FIRST, wrong))
    assert (ledger.registers.tickets(), ledger.registers.imports()) == ([], {})


def test_a_ledger_from_before_the_registers_gains_them_and_keeps_what_it_has(file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.executescript(SCHEMA)
        db.execute("INSERT INTO meta VALUES ('ledger_id', ?)", (b"i" * 16,))
        db.execute("INSERT INTO session VALUES (7, 'l1')")
        db.execute(f"PRAGMA user_version={VERSION}")
    db.close()
    old = SqliteLedger(file)
    assert old.ledger_id == b"i" * 16
    assert old.ssids(["l1"]) == {"l1": 7}
    assert old.registers.add_maintenance(NOTICE, SARI).id == 1
    old.close()
    again = SqliteLedger(file)
    assert [one.id for one in again.registers.maintenance()] == [1]


def test_what_another_process_records_is_noticed(ledger: SqliteLedger, file: Path) -> None:
    other = SqliteLedger(file)
    ledger.changed()
    other.registers.add_maintenance(NOTICE, SARI)
    assert ledger.changed()
    assert [one.id for one in ledger.registers.maintenance()] == [1]
    other.close()
