"""What the hub remembers of throughput tests besides the evidence: orders, experiments, budgets.

A database of its own beside the ledger: nothing here is evidence, and the ledger stays what it is.
Calls may come from any thread, one at a time; each is one durable transaction.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from collector.experiment import Experiment
from collector.ledger import LedgerError
from collector.orders import Standing

_SCHEMA = """
CREATE TABLE IF NOT EXISTS standing (order_id TEXT PRIMARY KEY, told BLOB NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS experiment (experiment_id TEXT PRIMARY KEY, told BLOB NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
  link TEXT NOT NULL, month TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (link, month)
) STRICT, WITHOUT ROWID;
"""
_SPENT = "SELECT bytes FROM spent WHERE link = ? AND month = ?"
VERSION = 1


class SlotStore:
    """SQLite, WAL, synchronous FULL."""

    def __init__(self, file: Path) -> None:
        """Open or create it. Raises LedgerError where it is damaged or too new."""
        self._file, self._lock = file, threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._translated():
            self._db = apsw.Connection(str(file))
            self._db.set_busy_timeout(10_000)
            for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                self._db.execute(f"PRAGMA {pragma}")
            version = self._number("PRAGMA user_version")
            if version > VERSION:
                raise LedgerError(f"{file}: made by a newer version of this program")
            self._db.execute(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (apsw.Error, msgspec.DecodeError) as error:
            raise LedgerError(f"{self._file}: {error}") from error

    def _rows(self, sql: str) -> list[Any]:
        with self._translated():
            return self._db.execute(sql).fetchall()

    def _number(self, sql: str, *values: str) -> int:
        """The one number of one row; 0 where there is none."""
        rows: list[Any] = self._db.execute(sql, values).fetchall()
        return int(rows[0][0]) if rows else 0

    def standing(self) -> list[Standing]:
        """All orders."""
        rows = self._rows("SELECT told FROM standing")
        with self._translated():
            return [msgspec.json.decode(row[0], type=Standing) for row in rows]

    def experiments(self) -> list[Experiment]:
        """All experiments."""
        rows = self._rows("SELECT told FROM experiment")
        with self._translated():
            return [msgspec.json.decode(row[0], type=Experiment) for row in rows]

    def save(
        self,
        standing: Iterable[Standing] = (),
        experiments: Iterable[Experiment] = (),
        gone: Iterable[str] = (),
    ) -> None:
        """Keep these as they are now, and forget the orders `gone`, at once or not at all."""
        with self._translated(), self._db:
            for one in standing:
                self._db.execute(
                    "INSERT INTO standing VALUES (?1, ?2)"
                    " ON CONFLICT (order_id) DO UPDATE SET told = ?2",
                    (one.order.order_id, msgspec.json.encode(one)),
                )
            for experiment in experiments:
                self._db.execute(
                    "INSERT INTO experiment VALUES (?1, ?2)"
                    " ON CONFLICT (experiment_id) DO UPDATE SET told = ?2",
                    (experiment.experiment_id, msgspec.json.encode(experiment)),
                )
            for order_id in gone:
                self._db.execute("DELETE FROM standing WHERE order_id = ?", (order_id,))

    def spend(self, link: str, month: str, octets: int, most: int) -> bool:
        """Book `octets` of the link's budget of `most`; False where they do not fit."""
        with self._translated(), self._db:
            if self._number(_SPENT, link, month) + octets > most:
                return False
            self._add(link, month, octets)
        return True

    def give_back(self, link: str, month: str, octets: int) -> None:
        """Of what was booked, so much was not used."""
        with self._translated(), self._db:
            self._add(link, month, -octets)

    def _add(self, link: str, month: str, octets: int) -> None:
        self._db.execute(
            "INSERT INTO spent VALUES (?1, ?2, ?3)"
            " ON CONFLICT (link, month) DO UPDATE SET bytes = bytes + ?3",
            (link, month, octets),
        )

    def spent(self, link: str, month: str) -> int:
        """Octets booked in this month."""
        with self._translated():
            return self._number(_SPENT, link, month)

    def close(self) -> None:
        """Close the file."""
        with self._translated():
            self._db.close()
