"""Audits as they were issued, revision by revision. Append-only: the table itself refuses else."""

import zlib
from typing import NamedTuple

from collector.ledger.sqlite import Row, SqliteLedger

SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY, month TEXT NOT NULL, scope TEXT NOT NULL, revision INTEGER NOT NULL,
  issued_s INTEGER NOT NULL, issued_by TEXT NOT NULL, digest TEXT NOT NULL,
  audit_digest TEXT NOT NULL, judgement TEXT NOT NULL, document BLOB NOT NULL,
  UNIQUE (month, scope, revision)
) STRICT;

CREATE TABLE IF NOT EXISTS audit_sent (
  audit_id INTEGER NOT NULL REFERENCES audit (id), recipients TEXT NOT NULL,
  sent_s INTEGER NOT NULL, PRIMARY KEY (audit_id, recipients)
) STRICT, WITHOUT ROWID;
""" + "".join(
    f"CREATE TRIGGER IF NOT EXISTS audit_no_{deed} BEFORE {deed} ON audit"
    " BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;\n"
    for deed in ("update", "delete")
)
_COLUMNS = "id, month, scope, revision, issued_s, issued_by, digest, audit_digest, judgement"


class Issued(NamedTuple):
    """One issued audit, without its bytes."""

    id: int
    month: str
    scope: str
    revision: int
    issued_s: int
    """When (UTC seconds)."""
    issued_by: str
    digest: str
    """SHA-256 of the document's bytes, in hex."""
    audit_digest: str
    """SHA-256 of the audit's own bytes."""
    judgement: str
    """Of all its links together."""


class Draft(NamedTuple):
    """A document to be issued."""

    month: str
    scope: str
    revision: int
    digest: str
    audit_digest: str
    judgement: str
    data: bytes


class AuditStore:
    """A table beside the ledger's own, on its connection."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        with ledger.transaction() as db:
            db.execute(SCHEMA)

    def issue(self, draft: Draft, by: str, now_s: int) -> Issued:
        """Append a document. Raises LedgerError where its revision is there already."""
        with self._ledger.transaction() as db:
            db.execute(
                "INSERT INTO audit VALUES (NULL,?,?,?,?,?,?,?,?,?)",
                (
                    draft.month,
                    draft.scope,
                    draft.revision,
                    now_s,
                    by,
                    draft.digest,
                    draft.audit_digest,
                    draft.judgement,
                    zlib.compress(draft.data),
                ),
            )
            number = db.last_insert_rowid()
        return Issued(number, draft.month, draft.scope, draft.revision, now_s, by, *draft[3:6])

    def newest(self, month: str, scope: str) -> Issued | None:
        """The newest revision; None where none was issued."""
        found = self._read("WHERE month=? AND scope=? ORDER BY revision DESC LIMIT 1", month, scope)
        return found[0] if found else None

    def all(self) -> list[Issued]:
        """All that was issued, the newest months first."""
        return self._read("ORDER BY month DESC, scope, revision DESC")

    def one(self, number: int) -> Issued | None:
        """The one of this number."""
        found = self._read("WHERE id=?", number)
        return found[0] if found else None

    def data(self, number: int) -> bytes:
        """The document's bytes. Raises KeyError where there is no such number."""
        rows = self._ledger.rows("SELECT document FROM audit WHERE id=?", (number,))
        if not rows:
            raise KeyError(number)
        return zlib.decompress(rows[0][0])

    def sent(self, number: int, recipients: str) -> bool:
        """Whether the audit of this number was sent to these."""
        return bool(
            self._ledger.rows(
                "SELECT 1 FROM audit_sent WHERE audit_id=? AND recipients=?", (number, recipients)
            )
        )

    def note_sent(self, number: int, recipients: str, now_s: int) -> None:
        """Note that it was."""
        with self._ledger.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO audit_sent VALUES (?,?,?)", (number, recipients, now_s)
            )

    def _read(self, where: str, *values: str | int) -> list[Issued]:
        rows: list[Row] = self._ledger.rows(f"SELECT {_COLUMNS} FROM audit {where}", values)
        return [Issued(*row) for row in rows]
