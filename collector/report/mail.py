"""Audits by mail: one message with the files attached, over the server of the settings."""

import smtplib
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import NamedTuple

from collector.audit.calendar import Zone
from collector.audit.phrases import Language
from collector.report.issue import Made, judgement
from collector.report.settings import MailSettings, Security
from collector.report.speech import Speech
from collector.report.write import File
from collector.settings import Located
from runtime.clock import SECOND, SystemClock


class MailError(OSError):
    """The message was not taken; the text says by whom and why."""


class Letter(NamedTuple):
    """What is sent to whom."""

    to: Sequence[str]
    made: Made
    language: Language
    files: Sequence[File]


def message(sender: str, letter: Letter) -> EmailMessage:
    """The message, its text in the letter's language."""
    audit = letter.made.document.audit
    speech = Speech(letter.language, Zone(audit.zone))
    scope = speech.say(f"scope.{audit.scope.kind}", value=audit.scope.value)
    said = EmailMessage()
    said["Subject"] = speech.say(
        "mail.subject",
        month=audit.month,
        scope=scope,
        judgement=speech.word("judgement", judgement(audit)),
    )
    said["From"] = sender
    said["To"] = ", ".join(letter.to)
    now_s = SystemClock().wall_ns() / SECOND
    said["Date"] = format_datetime(datetime.fromtimestamp(now_s, UTC))
    said["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    said.set_content(_text(letter, speech))
    for one in letter.files:
        data = one.data()
        said.add_attachment(data, maintype="application", subtype="octet-stream", filename=one.name)
    return said


def _text(letter: Letter, speech: Speech) -> str:
    audit, one = letter.made.document.audit, letter.made.document.audit.summary
    lines = [
        f"{speech.say('title')}, {speech.month(audit.month)}",
        "" if letter.made.issued is not None else speech.say("draft"),
        speech.say(
            "summary.lead",
            links=speech.whole(one.links),
            met=speech.whole(one.judgement.met),
            breached=speech.whole(one.judgement.breached),
            indeterminate=speech.whole(one.judgement.indeterminate),
        ),
        speech.say(
            "summary.money",
            rupiah=speech.rupiah(one.restitution_rupiah),
            fee=speech.rupiah(one.fee_rupiah),
            at_most=speech.rupiah(one.restitution_at_most_rupiah),
        ),
        speech.say("mail.files", files=len(letter.files), digest=letter.made.sha256),
    ]
    return "\n".join(one for one in lines if one) + "\n"


def send(smtp: MailSettings, located: Located, what: EmailMessage) -> None:
    """Hand a message to the server. Raises MailError."""
    password = None
    if smtp.password_file is not None:
        password = located.path(smtp.password_file).read_text().partition("\n")[0]
    try:
        with _connected(smtp, located) as server:
            if smtp.username is not None and password is not None:
                server.login(smtp.username, password)
            server.send_message(what)
    except (smtplib.SMTPException, OSError) as error:
        raise MailError(f"mail by {smtp.host}:{smtp.port}: {error}") from error


def _connected(smtp: MailSettings, located: Located) -> smtplib.SMTP:
    ca = None if smtp.ca_file is None else str(located.path(smtp.ca_file))
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    if smtp.security is Security.TLS:
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=smtp.timeout_s, context=context)
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=smtp.timeout_s)
    if smtp.security is Security.STARTTLS:
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server
