"""Mail through the agency's own server: one message to one address, sent or not, never half."""

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import NamedTuple

from collector.settings import Located, SmtpSettings
from runtime.clock import SECOND, Clock


class MailError(OSError):
    """The server is not reached or does not take the message; the text says which and why."""


class Attachment(NamedTuple):
    """A file that goes with a message."""

    name: str
    kind: str
    """Media type, such as application/json."""
    data: bytes


class Letter(NamedTuple):
    """What is said to one address."""

    to: str
    subject: str
    text: str
    attachments: tuple[Attachment, ...] = ()


class Mailer:
    """Sends letters; blocks, so call it from a thread."""

    def __init__(self, settings: SmtpSettings, located: Located, clock: Clock) -> None:
        """Passwords and certificates are read at each sending: they may change meanwhile."""
        self._settings, self._located, self._clock = settings, located, clock

    def message(self, letter: Letter) -> EmailMessage:
        """The letter as it goes over the wire."""
        settings = self._settings
        message = EmailMessage()
        message["From"], message["To"] = settings.sender, letter.to
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(
            datetime.fromtimestamp(self._clock.wall_ns() // SECOND, UTC)
        )
        message["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2])
        message.set_content(letter.text)
        for one in letter.attachments:
            main, _, sub = one.kind.partition("/")
            message.add_attachment(one.data, maintype=main, subtype=sub, filename=one.name)
        return message

    def send(self, letter: Letter) -> None:
        """Raises MailError unless the server took it."""
        settings = self._settings
        try:
            with self._server() as server:
                server.send_message(self.message(letter))
        except (smtplib.SMTPException, OSError) as error:
            raise MailError(f"mail by {settings.host}:{settings.port}: {error}") from error

    @contextlib.contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        settings = self._settings
        where = settings.host, settings.port
        if settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                *where, timeout=settings.timeout_s, context=self._tls()
            )
        else:
            server = smtplib.SMTP(*where, timeout=settings.timeout_s)
        with server:
            if settings.security == "starttls":
                server.starttls(context=self._tls())
            if settings.auth is not None:
                file = self._located.path(settings.auth.password_file)
                password = file.read_text(encoding="utf-8").partition("\n")[0]
                server.login(settings.auth.username, password)
            yield server

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._settings.ca_file is not None:
            context.load_verify_locations(str(self._located.path(self._settings.ca_file)))
        return context
