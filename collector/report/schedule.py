"""The month's audit by itself: issued, written and sent once, as the settings say.

`pantau-collector audit-monthly` does all that is due and nothing that is done, so that it can be
asked again and again: by the collector, by cron, by hand.
"""

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from collector.audit.calendar import Month, Zone
from collector.mail import Mailer
from collector.report import mail
from collector.report.gather import Wanted
from collector.report.html import Letterhead, letterhead
from collector.report.issue import AuditDesk, Made
from collector.report.record import Scope
from collector.report.settings import AuditSettings, Recipients, ScheduleSettings
from collector.report.write import Output, files, stem, write
from collector.settings import Located
from runtime.clock import SystemClock

HOUR_S = 3600
BY = "schedule"
Say = Callable[[str], None]


def due(schedule: ScheduleSettings, zone: Zone, now_s: int) -> str | None:
    """The month that is to be issued at this moment; None before its day and hour."""
    today = zone.day_of(now_s)
    begin_s = zone.midnight_s(date(today.year, today.month, schedule.day))
    if now_s < begin_s + schedule.hour * HOUR_S:
        return None
    year, number = (today.year, today.month - 1) if today.month > 1 else (today.year - 1, 12)
    return str(Month(year, number, zone))


class Job(NamedTuple):
    """What a run works with."""

    desk: AuditDesk
    located: Located
    now_s: int
    say: Say

    @property
    def settings(self) -> AuditSettings:
        """Of the audits."""
        return self.located.settings.audit


def run(job: Job) -> list[Exception]:
    """Do what is due. What fails does not keep the rest from being done: the failures are the
    answer, and the next run tries them again.

    Raises SettingsError, LedgerError, OSError or ValueError where nothing can be done.
    """
    schedule = job.settings.schedule
    if schedule is None:
        raise ValueError(f"{job.located.file}: audit.schedule: missing, so nothing is due")
    maker = job.desk.maker
    month = due(schedule, maker.zone(maker.links(Scope())), job.now_s)
    if month is None:
        return []
    head = letterhead(job.settings.letterhead, job.located.file.parent)
    whole = _issued(job, month, Scope())
    _write(job, whole, schedule, head)
    failures: list[Exception] = []
    for one in schedule.mail:
        scope = Scope() if one.provider is None else Scope(kind="provider", value=one.provider)
        try:
            made = whole if one.provider is None else _issued(job, month, scope)
            _send(job, made, one, head)
        except (OSError, ValueError) as error:
            failures.append(error)
    return failures


def _issued(job: Job, month: str, scope: Scope) -> Made:
    """The first that was issued, whatever came later: revisions are issued by people."""
    newest = job.desk.store.newest(month, str(scope))
    if newest is not None:
        return job.desk.kept(newest)
    wanted = Wanted(month, scope, job.settings.ticket_tolerance_s)
    made = job.desk.issue(wanted, BY, job.now_s)
    job.say(f"issued: audit {month}, {scope}, SHA-256 {made.sha256}")
    return made


def _write(job: Job, made: Made, schedule: ScheduleSettings, head: Letterhead) -> None:
    folder = job.located.data_dir / schedule.output_dir
    output = Output(schedule.formats, schedule.lang, head)
    missing = (one for one in files(made, output) if not (folder / one.name).exists())
    write(missing, folder, lambda file: job.say(f"written: {file}"))


def _send(job: Job, made: Made, to: Recipients, head: Letterhead) -> None:
    """To each address once; the first that fails ends it, and the next run goes on there."""
    smtp, issued = job.located.settings.smtp, made.issued
    assert smtp is not None and issued is not None, "settings and issue say so"
    due = [one for one in to.to if not job.desk.store.sent(issued.id, one)]
    if not due:
        return
    output = Output(to.formats, (to.lang,), head)
    sent = mail.Sent(made, to.lang, list(files(made, output)))
    mailer = Mailer(smtp, job.located, SystemClock())
    for one in due:
        mailer.send(mail.letter(one, sent))
        job.desk.store.note_sent(issued.id, one, job.now_s)
        job.say(f"sent: {stem(made)} to {one}")
