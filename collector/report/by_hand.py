"""What `pantau-collector audit` and `tickets reconcile` do."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector import tables
from collector.audit.availability import Judgement
from collector.audit.calendar import Zone
from collector.audit.phrases import Language
from collector.ledger.audits import AuditStore
from collector.ledger.sqlite import SqliteLedger
from collector.mail import Mailer
from collector.osuser import os_user
from collector.report import mail, schedule
from collector.report.gather import Wanted
from collector.report.html import letterhead
from collector.report.issue import Made
from collector.report.opened import opened
from collector.report.reconcile import totals
from collector.report.record import Match, Scope
from collector.report.settings import Form
from collector.report.speech import Speech
from collector.report.write import File, Output, files, write
from collector.settings import Located, read
from runtime.clock import SECOND, SystemClock

UNDECIDED, BREACHED = 4, 8
"""Bits of the exit status."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What was asked for on the command line."""

    month: str
    scope: Mapping[str, str]
    forms: tuple[str, ...]
    languages: tuple[str, ...]
    folder: Path
    issue: bool
    per_link: bool | None
    recipients: tuple[str, ...]
    by: str | None


def scope_of(told: Mapping[str, str]) -> Scope:
    """The scope of at most one option. Raises ValueError for more."""
    if len(told) > 1:
        raise ValueError(f"--{' and --'.join(told)}: expected at most one of them")
    for kind, value in told.items():
        return Scope(kind=kind, value=value)
    return Scope()


def status(made: Made) -> int:
    """Exit status: what judgements there are among the links."""
    found = {one.judgement for one in made.document.audit.links}
    return UNDECIDED * (Judgement.INDETERMINATE in found) + BREACHED * (Judgement.BREACHED in found)


def run(config: Path, told: Told, progress: Callable[[int, int], None]) -> int:
    """Make, perhaps issue, write and send an audit; the exit status.

    Raises SettingsError, LedgerError, OSError or ValueError.
    """
    located = read(config)
    settings = located.settings.audit
    if told.recipients and located.settings.smtp is None:
        raise ValueError("--mail: the settings name no server: expected smtp")
    wanted = Wanted(told.month, scope_of(told.scope), settings.ticket_tolerance_s)
    now_s = SystemClock().wall_ns() // SECOND
    with opened(located) as parts:
        if told.issue:
            by = told.by or os_user()
            made = parts.desk.issue(wanted, by, now_s, progress)
        else:
            made = parts.desk.make(wanted, now_s, progress)
    output = Output(
        tuple(Form(one) for one in told.forms),
        tuple(Language(one) for one in told.languages),
        letterhead(settings.letterhead, located.file.parent),
        told.per_link,
    )
    _say(made)
    written: list[Path] = []
    write(files(made, output), told.folder, lambda file: _written(file, written))
    if told.recipients:
        _send(located, made, (output.languages[0], written), told.recipients)
    return status(made)


def _line(said: str) -> None:
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()


def _written(file: Path, among: list[Path]) -> None:
    among.append(file)
    sys.stdout.write(f"  {file}\n")


def _say(made: Made) -> None:
    audit, one = made.document.audit, made.document.audit.summary
    speech = Speech(Language.EN, Zone(audit.zone))
    state = "draft, not issued"
    if made.issued is not None:
        state = f"revision {made.issued.revision}, issued by {made.issued.issued_by}"
    sys.stdout.write(
        f"audit {audit.month}, {audit.scope}: {one.links} links,"
        f" {one.judgement.met} met, {one.judgement.breached} breached,"
        f" {one.judgement.indeterminate} undecided;"
        f" restitution {speech.rupiah(one.restitution_rupiah)}\n"
        f"{state}; {'complete' if audit.complete else 'evidence not complete'};"
        f" SHA-256 {made.sha256}\n"
    )
    if made.issued is None and made.document.replaces is not None:
        changes = len(made.document.changes) + made.document.changes_left_out
        sys.stdout.write(
            f"it says {changes} things otherwise than what was issued: see `changes` in the JSON\n"
        )


def _send(
    located: Located,
    made: Made,
    written: tuple[Language, list[Path]],
    recipients: tuple[str, ...],
) -> None:
    smtp = located.settings.smtp
    assert smtp is not None, "asked before"
    language, paths = written
    sent = mail.Sent(made, language, [File(one.name, one.read_bytes) for one in paths])
    mailer = Mailer(smtp, located, SystemClock())
    for to in recipients:
        mailer.send(mail.letter(to, sent))
        sys.stdout.write(f"sent to {to}\n")


def list_issued(config: Path, *, as_json: bool) -> None:
    """Print what was issued. Raises SettingsError or LedgerError."""
    ledger = SqliteLedger(read(config).data_dir / "ledger.db")
    try:
        issued = AuditStore(ledger).all()
    finally:
        ledger.close()
    rows = [one._asdict() for one in issued]
    if not as_json:
        for row in rows:
            row["issued"] = f"{datetime.fromtimestamp(row.pop('issued_s'), UTC):%Y-%m-%d %H:%M} UTC"
            del row["audit_digest"]
    tables.show(rows, as_json=as_json)


def monthly(config: Path) -> list[Exception]:
    """What is due of the scheduled audits; what of it failed.

    Raises SettingsError, LedgerError, OSError or ValueError.
    """
    located = read(config)
    with opened(located) as parts:
        now_s = SystemClock().wall_ns() // SECOND
        job = schedule.Job(parts.desk, located, now_s, _line)
        return schedule.run(job)


# --- tickets reconcile --------------------------------------------------------------------


def reconcile(config: Path, told: tuple[str, Mapping[str, str]], *, as_json: bool) -> None:
    """Print our outages of a month beside the providers' tickets; `told` is the month and the
    scope. Raises SettingsError, LedgerError or ValueError."""
    located = read(config)
    month, scope = told
    wanted = Wanted(month, scope_of(scope), located.settings.audit.ticket_tolerance_s)
    with opened(located) as parts:
        maker = parts.desk.maker
        cases = maker.cases(wanted, SystemClock().wall_ns() // SECOND)
        zone = maker.zone(maker.links(wanted.scope))
    rows = [(link.id, link.provider, one) for link, matches in cases for one in matches]
    if as_json:
        fields = Match.__struct_fields__
        tables.show(
            [
                {"link": link, "provider": provider} | {name: getattr(one, name) for name in fields}
                for link, provider, one in rows
            ],
            as_json=True,
        )
        return
    speech = Speech(Language.EN, zone)
    tables.show([_row(link, one, speech) for link, _, one in rows], as_json=False)
    counted = totals((matches for _, matches in cases), wanted.tolerance_s)
    sys.stdout.write(
        f"{counted.matched} matched, {counted.edges_differ} with times that differ by more than"
        f" {speech.length(counted.tolerance_s)}, {counted.only_ours} only ours,"
        f" {counted.only_theirs} only theirs\n"
    )


def _row(link: str, one: Match, speech: Speech) -> dict[str, Any]:
    ours = theirs = differs = ""
    if one.start_s is not None:
        ours = f"{speech.moment(one.start_s)}\n{speech.moment(one.end_s)}\n{one.cause}"
    if one.ticket_start_s is not None:
        times = f"{speech.moment(one.ticket_start_s)}\n{speech.moment(one.ticket_end_s)}"
        theirs = f"{one.ticket}\n{times}\n{one.ticket_cause}"
    if one.start_differs_s is not None:
        differs = f"{speech.signed(one.start_differs_s)}\n{speech.signed(one.end_differs_s)}"
    return {
        "link": link,
        "case": one.case,
        "result": speech.word("sort", one.kind),
        f"ours ({speech.zone})": ours,
        "theirs": theirs,
        "theirs less ours": differs,
    }
