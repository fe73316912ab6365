"""Issued audits: frozen to the byte, and revised beside themselves."""

import hashlib
import json

import apsw
import pytest

from collector.audit.evidence import Span
from collector.audit.intervals import Interval
from collector.audit.states import State
from collector.ledger import LedgerError
from collector.ledger.audits import AuditStore, Draft
from collector.report.document import parse
from collector.report.gather import Wanted
from collector.report.issue import AuditDesk, Made
from collector.report.record import Scope
from tests.collector.report.scene import CUTS, JUNE, NOW_S, June, cut

WANTED = Wanted("2026-06", Scope(kind="link", value="utara"))


def desk(june: June) -> AuditDesk:
    return AuditDesk(june.maker, AuditStore(june.ledger))


def issued(june: June, at_s: int = NOW_S) -> Made:
    return desk(june).issue(WANTED, "Sari", at_s)


def test_a_draft_is_no_revision_and_an_issued_one_stays_to_the_byte(own: June) -> None:
    draft = desk(own).make(WANTED, NOW_S)
    assert (draft.issued, draft.document.revision, draft.document.replaces) == (None, 0, None)
    first = issued(own)
    assert first.issued is not None
    assert (first.issued.revision, first.issued.issued_by) == (1, "Sari")
    assert first.issued.digest == hashlib.sha256(first.data).hexdigest()
    told = json.loads(first.data)
    body = json.dumps(told["audit"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Python and msgspec write the same numbers, so that anybody can make the digest again.
    assert told["audit_sha256"] == hashlib.sha256(body.encode()).hexdigest()
    later = desk(own).make(WANTED, NOW_S + 5 * 86_400)
    assert (later.data, later.issued) == (first.data, first.issued)
    assert issued(own, NOW_S + 6 * 86_400).issued == first.issued
    assert len(desk(own).store.all()) == 1


def test_what_comes_after_the_month_makes_no_other_audit(own: June) -> None:
    """A hub goes on: with every batch that comes its links are judged farther."""
    first = issued(own)
    july = Span(JUNE.end_s + 86_400, JUNE.end_s + 9 * 86_400)
    own.outages.keep_intervals("utara", july, [Interval(*july, State.UP)])
    later = desk(own).make(WANTED, NOW_S + 8 * 86_400)
    assert (later.data, later.issued) == (first.data, first.issued)


def test_later_evidence_becomes_a_revision_that_lists_what_changed(own: June) -> None:
    first = issued(own)
    own.judge("utara", (*CUTS["utara"], cut(28, 4, 900)))
    draft = desk(own).make(WANTED, NOW_S)
    assert (draft.document.revision, draft.document.replaces) == (0, first.sha256)
    second = issued(own, NOW_S + 60)
    assert second.issued is not None and second.issued.revision == 2
    assert second.document.replaces == first.sha256
    changes = {one.place: (one.before, one.now) for one in second.document.changes}
    place = "links[utara].periods[0].availability.down_s"
    assert changes[place] == ("15045", "15945")
    assert changes["summary.restitution_rupiah"] == ("72919", "77281")
    assert changes["links[utara].periods[0].days"] == (
        "30 entries", "30 entries, 1 of them new or changed",
    )  # fmt: skip
    assert any("outages" in one for one in changes)
    # Nothing of the first is lost.
    assert first.issued is not None
    assert desk(own).kept(first.issued) == first
    assert [one.revision for one in desk(own).store.all()] == [2, 1]
    assert parse(second.data) == second.document


def test_an_issued_audit_can_neither_be_changed_nor_removed(own: June) -> None:
    issued(own)
    for deed in ("UPDATE audit SET digest='x'", "DELETE FROM audit"):
        with (
            pytest.raises((LedgerError, apsw.ConstraintError), match="append-only"),
            own.ledger.transaction() as db,
        ):
            db.execute(deed)


def test_a_month_is_not_issued_while_late_evidence_may_come(june: June) -> None:
    with pytest.raises(ValueError, match=r"2026-06 can be issued 7 days after its end, in 6 days"):
        issued(june, JUNE.end_s + 86_400 + 1)


def test_scopes_are_issued_apart(own: June) -> None:
    issued(own)
    other = desk(own).issue(Wanted("2026-06"), "Sari", NOW_S)
    assert other.issued is not None
    assert (other.issued.scope, other.issued.revision) == ("all", 1)


def test_an_audit_of_an_older_form_is_kept_compared_and_not_rendered(own: June) -> None:
    first = issued(own)
    told = json.loads(first.data)
    del told["audit"]["links"][0]["periods"][0]["availability"]["coverage"]
    old = Draft("2026-06", "all", 1, "d" * 64, "a" * 64, "met", json.dumps(told).encode())
    kept = desk(own).store.issue(old, "Sari", NOW_S)
    with pytest.raises(ValueError, match=r"older form .*its JSON is in the ledger"):
        desk(own).kept(kept)
    draft = desk(own).make(Wanted("2026-06"), NOW_S)
    changes = {one.place: one for one in draft.document.changes}
    place = "links[utara].periods[0].availability.coverage"
    assert changes[place].before is None and changes[place].now is not None
