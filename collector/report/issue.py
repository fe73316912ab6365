"""Drafts and issued audits: what was issued stays, and what came later is a revision beside it.

An audit with the evidence of the newest revision is that revision, to the byte. Everything else is
a draft until it is issued.
"""

from typing import NamedTuple

import msgspec

from collector.audit.availability import Judgement
from collector.ledger.audits import AuditStore, Draft, Issued
from collector.report.document import canonical, digest, document, parse
from collector.report.gather import AuditMaker, Progress, Wanted, silent
from collector.report.quality import together
from collector.report.record import Audit, Document
from collector.report.settings import FREEZE_AFTER_DAYS

DAY_S = 86_400


class Made(NamedTuple):
    """An audit as a document."""

    document: Document
    data: bytes
    """Its canonical bytes."""
    issued: Issued | None
    """None: a draft."""

    @property
    def sha256(self) -> str:
        """Of the bytes, in hex."""
        return digest(self.data)


def judgement(audit: Audit) -> Judgement:
    """Of all links together."""
    return together(one.judgement for one in audit.links)


class AuditDesk:
    """Makes audits and issues them. Asked from one thread at a time."""

    def __init__(
        self, maker: AuditMaker, store: AuditStore, freeze_after_days: int = FREEZE_AFTER_DAYS
    ) -> None:
        self.maker, self.store = maker, store
        self._freeze_after_days = freeze_after_days

    def make(self, wanted: Wanted, now_s: int, progress: Progress = silent) -> Made:
        """The newest revision where the evidence is still its own, else a draft.

        Raises ValueError as `AuditMaker.audit` does.
        """
        audit = self.maker.audit(wanted, now_s, progress)
        newest = self.store.newest(audit.month, str(audit.scope))
        if newest is None:
            return _made(document(audit, 0, None, None), None)
        if newest.audit_digest == digest(canonical(audit)):
            return self.kept(newest)
        before = self.store.data(newest.id)
        return _made(document(audit, 0, before, newest.digest), None)

    def issue(self, wanted: Wanted, by: str, now_s: int, progress: Progress = silent) -> Made:
        """The same, issued: a draft becomes the next revision.

        Raises ValueError as `AuditMaker.audit` does, and for a month that is not over for so long
        that late evidence may still be expected.
        """
        made = self.make(wanted, now_s, progress)
        if made.issued is not None:
            return made
        audit, draft = made.document.audit, made.document
        self._check_over(audit, now_s)
        newest = self.store.newest(audit.month, str(audit.scope))
        revision = 1 if newest is None else newest.revision + 1
        made = _made(
            Document(
                revision=revision,
                replaces=draft.replaces,
                changes=draft.changes,
                changes_left_out=draft.changes_left_out,
                audit_sha256=draft.audit_sha256,
                audit=audit,
            ),
            None,
        )
        kept = Draft(
            audit.month,
            str(audit.scope),
            revision,
            made.sha256,
            draft.audit_sha256,
            judgement(audit).value,
            made.data,
        )
        return made._replace(issued=self.store.issue(kept, by, now_s))

    def _check_over(self, audit: Audit, now_s: int) -> None:
        wait_s = audit.end_s + self._freeze_after_days * DAY_S - now_s
        if wait_s > 0:
            raise ValueError(
                f"month {audit.month} can be issued {self._freeze_after_days} days after its end,"
                f" in {-(-wait_s // DAY_S)} days: late evidence still comes"
                " (audit.freeze_after_days)"
            )

    def kept(self, issued: Issued) -> Made:
        """A revision as it was issued.

        Raises ValueError where its form is one that this version cannot render.
        """
        data = self.store.data(issued.id)
        try:
            return Made(parse(data), data, issued)
        except msgspec.ValidationError as error:
            raise ValueError(
                f"audit {issued.id} has an older form than this version renders ({error});"
                " its JSON is in the ledger as it was issued"
            ) from error


def _made(what: Document, issued: Issued | None) -> Made:
    return Made(what, canonical(what), issued)
