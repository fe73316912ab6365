"""E-mail and Telegram as shipped: a real Alertmanager, and real servers on this machine.

The mail server wants STARTTLS and a password. The other speaks HTTPS as Telegram's Bot API does,
and refuses what that refuses.
"""

import asyncio
import email
import email.policy
import ssl
import unicodedata
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.prometheus.alertmanager_kit import (
    PATIENCE_S,
    Office,
    alert,
    certificate,
    ended,
    free_port,
    link,
    shipped,
    started,
)

pytestmark = pytest.mark.alertmanager
TOKEN = "123456:rahasia"
CHAT = -100200300
PASSWORD = "kata sandi"
MOST_TEXT = 4096
"""Characters that Telegram takes in a message (Bot API, sendMessage)."""
WIB = timezone(timedelta(hours=7))
FORBIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp"})


class Post:
    """A mail server, and a chat."""

    def __init__(self) -> None:
        self.mails: asyncio.Queue[tuple[list[str], EmailMessage]] = asyncio.Queue()
        self.texts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.refused: list[str] = []

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:
        if session.ssl is None or not session.authenticated:
            return "530 not without STARTTLS and a password"
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.put_nowait((envelope.rcpt_tos, mail))
        return "250 taken"

    def authenticate(self, *told: Any) -> AuthResult:
        good = LoginPassword(b"pantau@dinas.example", PASSWORD.encode())
        return AuthResult(success=told[-1] == good)

    async def telegram(self, request: web.Request) -> web.Response:
        """sendMessage."""
        told = await request.json()
        said = self._wrong(request.match_info["token"], told)
        if said is not None:
            self.refused.append(said)
            answer = {"ok": False, "error_code": 400, "description": said}
            return web.json_response(answer, status=400)
        self.texts.put_nowait(told)
        chat = {"id": CHAT, "type": "supergroup", "title": "NOC"}
        result = {"message_id": 1, "date": 1, "chat": chat, "text": told["text"]}
        return web.json_response({"ok": True, "result": result})

    def _wrong(self, token: str, told: dict[str, Any]) -> str | None:
        if token != TOKEN:
            return "Unauthorized"
        if int(told["chat_id"]) != CHAT:
            return "Bad Request: chat not found"
        if not told["text"].strip():
            return "Bad Request: message text is empty"
        if len(told["text"]) > MOST_TEXT:
            return "Bad Request: message is too long"
        return None

    async def mail(self) -> tuple[list[str], EmailMessage]:
        """The next one; to whom, and what."""
        return await asyncio.wait_for(self.mails.get(), PATIENCE_S)

    async def text(self) -> dict[str, Any]:
        """The next message in the chat."""
        return await asyncio.wait_for(self.texts.get(), PATIENCE_S)


def addressed(mail_port: int, chat_port: int, folder: Path) -> dict[str, Any]:
    """The shipped settings with what is marked HERE filled in, and no webhooks."""
    told = shipped()
    (folder / "password").write_text(PASSWORD)
    told["global"] |= {
        "smtp_smarthost": f"localhost:{mail_port}",
        "smtp_auth_password_file": str(folder / "password"),
    }
    chat = {"api_url": f"https://localhost:{chat_port}", "bot_token": TOKEN, "chat_id": CHAT}
    for receiver in told["receivers"]:
        receiver.pop("webhook_configs", None)
        for one in receiver.get("telegram_configs", ()):
            one |= chat
    for route in told["route"]["routes"]:
        if route["receiver"] == "office":
            route["group_wait"] = "1s"
        route["group_interval"] = "2s"
    return told


class Sending(Office):
    """An Alertmanager whose mail and messages arrive at `arrived`."""

    def __init__(self, url: str, session: ClientSession, arrived: Post) -> None:
        super().__init__(url, session)
        self.arrived = arrived


async def sending(stack: AsyncExitStack, folder: Path, **hours: Any) -> Sending:
    """Started; `hours` replace those of the office."""
    arrived = Post()
    cert, key = certificate(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    mail = await asyncio.get_running_loop().create_server(
        lambda: SMTP(
            arrived,
            hostname="localhost",
            tls_context=tls,
            require_starttls=True,
            auth_required=True,
            authenticator=arrived.authenticate,
            # This server's LOGIN asks for "User Name", which Alertmanager does not understand.
            auth_exclude_mechanism=["LOGIN"],
        ),
        "127.0.0.1",
        0,
    )
    stack.callback(mail.close)
    app = web.Application()
    app.add_routes([web.post("/bot{token}/sendMessage", arrived.telegram)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    told = addressed(mail.sockets[0].getsockname()[1], runner.addresses[0][1], folder)
    if hours:
        told["time_intervals"][0]["time_intervals"] = [hours]
    port = free_port()
    process = await started(folder, told, port, env={"SSL_CERT_FILE": str(cert)})
    stack.push_async_callback(ended, process)
    session = await stack.enter_async_context(ClientSession())
    one = Sending(f"http://127.0.0.1:{port}", session, arrived)
    async with asyncio.timeout(PATIENCE_S):
        while not await one.ready():
            assert process.returncode is None, (folder / "log").read_text()
            await asyncio.sleep(0.05)
    return one


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as one:
        yield one


def down(name: str = "l1") -> dict[str, Any]:
    """A link's alert in the words of the rule."""
    told = link(name, node_name="Desa Satu")
    told["annotations"] = {
        "summary": f"Link {name} putus / Link {name} is down",
        "description": "Desa Satu, Penyedia A, P1: paket hilang sejak 9s yang lalu (outside_loss)."
        " Sementara; bukti yang memutuskan. / Packets have been lost for 9s. Provisional; the"
        " evidence settles it.",
        "runbook_url": "http://hub.example:8460/runbooks/PantauLinkDown",
    }
    return told


def power(place: str, node: str = "n1", district: str = "K") -> dict[str, Any]:
    """A site's alert in the words of the rule, which has the place's name in its first line."""
    told = alert("PantauSitePower", "critical", "site", node=node, node_name=place)
    told["labels"]["district"] = district
    told["annotations"]["summary"] = f"Listrik padam di {place} / Mains are off at {place}"
    told["annotations"]["description"] = f"Lokasi {place} memakai baterai."
    return told


def lines_of(mail: EmailMessage) -> list[str]:
    body = mail.get_body()
    assert body is not None and body.get_content_type() == "text/plain"
    return str(body.get_content()).replace("\r\n", "\n").strip().split("\n")


async def test_the_night_gets_a_mail_and_a_message_about_what_is_on_and_when_it_is_over(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    one = await sending(stack, tmp_path)
    arrived = one.arrived
    fired = down()
    await one.post(fired)
    (to, mail), told = await arrived.mail(), await arrived.text()

    assert to == ["noc@dinas.example"]
    assert mail["From"] == "pantau@dinas.example" and mail["To"] == "noc@dinas.example"
    assert mail["Subject"] == "[MENYALA 1] Link l1 putus"
    lines = lines_of(mail)
    assert lines[0] == "MENYALA: Link l1 putus / Link l1 is down"
    assert lines[1] == fired["annotations"]["description"]
    assert lines[2] == "Panduan: http://hub.example:8460/runbooks/PantauLinkDown"
    began = datetime.fromisoformat(fired["startsAt"]).astimezone(WIB)
    assert lines[3:] == [f"Mulai: {began:%Y-%m-%d %H:%M:%S} WIB"]
    assert told["text"].strip().split("\n") == lines
    assert not told.get("parse_mode"), "names are shown as they are written"

    over = datetime.now(UTC)
    await one.post(fired | {"endsAt": over.isoformat()})
    (_, mail), told = await arrived.mail(), await arrived.text()
    assert mail["Subject"] == "[SELESAI] Link l1 putus"
    assert (
        told["text"].strip().split("\n")
        == lines_of(mail)
        == [
            "SELESAI: Link l1 putus / Link l1 is down",
            f"Mulai: {began:%Y-%m-%d %H:%M:%S} WIB,"
            f" selesai: {over.astimezone(WIB):%Y-%m-%d %H:%M:%S} WIB",
        ]
    )
    assert arrived.refused == []


HOSTILE = {
    "lines": "Desa\r\nBcc: x@evil.example\r\n\r\nSELESAI: semua baik\nPanduan: http://evil.example",
    "template": '{{ template "pantau.text" . }}{{ .CommonLabels }} %s %d',
    "markup": "<script>alert(1)</script> *tebal* _miring_ [tautan](http://evil.example) `x`",
    "signs": "Desa \u202e\u200b\x00\x1b[31m\u2028baris",
    "long": "\U0001f4a5" * 128,
}


async def test_names_that_are_no_names_do_no_harm(stack: AsyncExitStack, tmp_path: Path) -> None:
    one = await sending(stack, tmp_path)
    arrived = one.arrived
    for kind, place in HOSTILE.items():
        await one.post(power(place, district=kind))  # a message of its own
    said = []
    for _ in HOSTILE:
        to, mail = await arrived.mail()
        assert to == ["noc@dinas.example"] and "Bcc" not in mail
        subject = mail["Subject"]
        assert subject.startswith("[MENYALA 1] Listrik padam di ") and len(subject) <= 100
        lines = lines_of(mail)
        assert lines[0].startswith("MENYALA: Listrik padam di ")
        assert lines[1].startswith("Lokasi ")
        assert lines[2] == "Panduan: http://hub/runbooks/PantauSitePower"
        assert lines[3].startswith("Mulai: 20") and len(lines) == 4
        assert not {c for line in lines for c in line if unicodedata.category(c) in FORBIDDEN}
        said.append(lines)
    texts = [(await arrived.text())["text"].strip().split("\n") for _ in HOSTILE]
    assert sorted(texts) == sorted(said)
    for kind in ("template", "markup"):
        assert sum(HOSTILE[kind] in lines[0] for lines in said) == 1, "shown as it is written"
    assert arrived.refused == []


async def test_the_worst_that_names_can_do_to_the_length_fits_into_a_chat(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    one = await sending(stack, tmp_path)
    arrived = one.arrived
    await one.post(*(power("k" * 128, f"n{k}") for k in range(40)))
    (_, mail), told = await arrived.mail(), await arrived.text()
    assert arrived.refused == []
    assert told["text"].rstrip().endswith("Semuanya 40 alarm.")
    assert mail["Subject"].startswith("[MENYALA 40] ")
    assert mail["Subject"].endswith(" (dan 39 lainnya)")


@pytest.mark.parametrize("now_is_office_hours", [True, False])
async def test_the_office_is_written_to_in_its_hours_only(
    stack: AsyncExitStack, tmp_path: Path, now_is_office_hours: bool
) -> None:
    today = datetime.now(WIB)
    days = [(today + timedelta(days=k)).strftime("%A").lower() for k in range(7)]
    # Midnight may pass while this runs: today and tomorrow, or neither.
    hours = days[:2] if now_is_office_hours else days[3:5]
    one = await sending(stack, tmp_path, weekdays=hours, location="Asia/Jakarta")
    arrived = one.arrived
    late = alert("PantauMonthWillBreach", "warning", "contract", link="l1")
    await one.post(late)
    if now_is_office_hours:
        to, mail = await arrived.mail()
        assert to == ["kontrak@dinas.example"]
        assert mail["Subject"] == "[MENYALA 1] PantauMonthWillBreach terjadi"
    # The night is not the office, and is told at any hour: after it, the other would be there too.
    await asyncio.sleep(1.5)
    await one.post(down())
    to, _ = await arrived.mail()
    assert to == ["noc@dinas.example"]
    await arrived.text()
    assert arrived.mails.empty() and arrived.texts.empty() and arrived.refused == []
