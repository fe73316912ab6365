"""The month's audit by itself, and mail: against a real SMTP server on loopback."""

import email
import socket
import ssl
import subprocess
from collections.abc import Iterator
from datetime import date
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from click.testing import CliRunner

from collector.__main__ import main
from collector.audit.calendar import Zone
from collector.mail import Letter, Mailer, MailError
from collector.report import schedule, service
from collector.report.issue import AuditDesk
from collector.report.opened import opened
from collector.report.schedule import Job
from collector.report.settings import AuditSettings, LetterheadSettings
from collector.settings import Located, SmtpSettings, read
from runtime.clock import SECOND, SystemClock
from runtime.settings import SettingsError
from runtime.testing import FakeClock
from tests.collector.report.scene import JUNE, NOW_S, June, settings


class Box:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.mail: list[EmailMessage] = []
        self.to: list[list[str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        told = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(told, EmailMessage)
        self.mail.append(told)
        self.to.append(list(envelope.rcpt_tos))
        return "250 OK"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def server() -> Iterator[tuple[Box, int]]:
    box, port = Box(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


def scheduled(port: int, **smtp: Any) -> dict[str, Any]:
    audit = {
        "letterhead": {"office": "Diskominfo", "place": "Contoh"},
        "schedule": {
            "day": 8,
            "hour": 6,
            "formats": ["json", "xlsx"],
            "mail": [
                {"to": ["kadis@contoh.example", "sekdis@contoh.example"], "formats": ["csv"]},
                {"to": ["noc@serat.example"], "provider": "PT Serat & Kabel", "formats": ["json"],
                 "lang": "en"},
            ],
        },
    }  # fmt: skip
    server = {"host": "127.0.0.1", "port": port, "security": "none",
              "sender": "pantau@contoh.example", **smtp}  # fmt: skip
    return {"audit": audit, "smtp": server}


def monthly(located: Located, now_s: int = NOW_S) -> tuple[list[str], list[Exception]]:
    said: list[str] = []
    with opened(located) as parts:
        failures = schedule.run(Job(parts.desk, located, now_s, said.append))
    return said, failures


def test_a_month_is_due_on_its_day_and_hour() -> None:
    plan = AuditSettings(schedule=schedule.ScheduleSettings(day=8, hour=6)).schedule
    assert plan is not None
    eighth = Zone.WIB.midnight_s(date(2026, 7, 8)) + 6 * 3600
    assert schedule.due(plan, Zone.WIB, eighth - 1) is None
    assert schedule.due(plan, Zone.WIB, eighth) == "2026-06"
    assert schedule.due(plan, Zone.WIB, Zone.WIB.midnight_s(date(2027, 1, 9))) == "2026-12"


def test_a_month_is_issued_written_and_sent_once(
    tmp_path: Path, filled: Path, server: tuple[Box, int]
) -> None:
    box, port = server
    located = read(settings(tmp_path, filled, **scheduled(port)))
    assert monthly(located, JUNE.end_s + 7 * 86_400) == ([], [])
    said, failures = monthly(located)
    assert failures == []
    assert [one.partition(":")[0] for one in said] == [
        "issued", "written", "written", "sent", "sent", "issued", "sent",
    ]  # fmt: skip
    written = {one.name for one in (located.data_dir / "audits").iterdir()}
    assert written == {"pantau-audit-2026-06-r1.json", "pantau-audit-2026-06-r1.id.xlsx"}
    whole, _, theirs = box.mail
    assert box.to == [["kadis@contoh.example"], ["sekdis@contoh.example"], ["noc@serat.example"]]
    assert whole["Subject"] == "[Pantau] Audit 2026-06, Semua tautan: melanggar"
    assert theirs["Subject"] == "[Pantau] Audit 2026-06, Provider PT Serat & Kabel: breached"
    body = whole.get_body(("plain",))
    assert body is not None and "1 melanggar" in body.get_content()
    assert len(list(whole.iter_attachments())) == 8
    (attached,) = theirs.iter_attachments()
    assert attached.get_filename() == ("pantau-audit-2026-06-provider-PT_Serat___Kabel-r1.json")
    kept = attached.get_payload(decode=True)
    with opened(located) as parts:
        (newest,) = [one for one in parts.desk.store.all() if one.scope.startswith("provider")]
        assert parts.desk.store.data(newest.id) == kept
    # Nothing is done twice, whatever comes later.
    assert monthly(located, NOW_S + 3600) == ([], [])
    assert len(box.mail) == 3


def test_mail_that_fails_is_tried_again_and_keeps_nothing_else_back(
    tmp_path: Path, filled: Path
) -> None:
    port = free_port()
    located = read(settings(tmp_path, filled, **scheduled(port)))
    said, failures = monthly(located)
    assert [type(one) for one in failures] == [MailError, MailError]
    assert f"mail by 127.0.0.1:{port}" in str(failures[0])
    assert any(one.startswith("written") for one in said)
    box = Box()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        again, failures = monthly(located)
    finally:
        controller.stop()
    assert (failures, [one.partition(":")[0] for one in again]) == ([], ["sent"] * 3)


def test_mail_by_starttls_with_a_password(tmp_path: Path, filled: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    seen: list[tuple[bytes, bytes]] = []

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        seen.append((data.login, data.password))
        return AuthResult(success=data.password == b"rahasia")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    box, port = Box(), free_port()
    controller = Controller(
        box, hostname="localhost", port=port, tls_context=context, require_starttls=True,
        authenticator=check, auth_required=True,
    )  # fmt: skip
    auth = {"username": "pantau", "password_file": "smtp.password"}
    told = scheduled(port, host="localhost", security="starttls", auth=auth, ca_file=str(cert))
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "smtp.password").write_text("rahasia\n")
    (tmp_path / "etc").rename(tmp_path / "kept")
    file = settings(tmp_path, filled)
    (tmp_path / "kept" / "smtp.password").rename(file.parent / "smtp.password")
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | told))
    controller.start()
    try:
        _, failures = monthly(read(file))
        assert failures == []
        # A certificate that nobody vouches for is no server of ours.
        stranger = SmtpSettings(host="localhost", port=port, sender="a@b.example")
        with pytest.raises(MailError, match="certificate"):
            Mailer(stranger, read(file), SystemClock()).send(Letter("c@d.example", "s", "t"))
    finally:
        controller.stop()
    assert seen == [(b"pantau", b"rahasia")] * 3 and len(box.mail) == 3


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"schedule": {"day": 5}}, "expected a day after freeze_after_days"),
        ({"schedule": {"mail": [{"to": ["a@b.example"]}]}}, "schedule.mail needs smtp"),
        ({"schedule": {"mail": [{"to": ["nobody"]}]}}, "audit.schedule.mail"),
        ({"letterhead": {"logo_file": "logo.bmp"}}, "expected a name that ends in .png"),
        ({"letterhead": {"logo_file": "logo.png"}}, "no file"),
        ({"schedule": {"formats": ["doc"]}}, "audit.schedule.formats"),
    ],
)
def test_wrong_settings_name_their_place(
    tmp_path: Path, filled: Path, told: Any, said: str
) -> None:
    file = settings(tmp_path, filled, audit=told)
    with pytest.raises(SettingsError) as raised:
        read(file)
    assert said in str(raised.value)


async def test_the_service_makes_what_is_due_in_a_process_of_its_own(
    tmp_path: Path, filled: Path, own: June
) -> None:
    told = {"schedule": {"day": 8, "formats": ["json"]}}
    located = read(settings(tmp_path, filled, audit=told))
    clock = FakeClock(boot_ns=SECOND, wall_ns=NOW_S * SECOND)
    one = service.AuditService(located, own.maker, lambda: own.inventory, clock)
    assert await service._child(located.file)
    # The child reads the machine's own clock: what is due is the month before today's.
    assert list((located.data_dir / "audits").glob("pantau-audit-*-r1.json"))
    await one.step()
    with opened(located) as parts:
        assert isinstance(parts.desk, AuditDesk) and len(parts.desk.store.all()) == 1


def test_hours_are_summed_up_as_they_end(tmp_path: Path, filled: Path, own: June) -> None:
    with own.ledger.transaction() as db:
        db.execute("DELETE FROM delay_hour")
        db.execute("DELETE FROM evidence_hour")
    now_s = JUNE.end_s - 86_400
    clock = FakeClock(boot_ns=SECOND, wall_ns=now_s * SECOND)
    located = read(settings(tmp_path / "other", filled))
    one = service.AuditService(located, own.maker, lambda: own.inventory, clock)
    one.sum_up()
    rows = own.ledger.rows("SELECT link, min(hour)*3600, max(hour)*3600 FROM delay_hour GROUP BY 1")
    assert {row[0] for row in rows} == {"utara", "selatan", "bukit"}
    assert all(now_s - 32 * 3600 <= row[1] <= row[2] < now_s - 7200 for row in rows)
    clock.advance(7200 * SECOND)
    one.sum_up()
    (newest,) = own.ledger.rows("SELECT max(hour)*3600 FROM delay_hour")
    assert newest[0] == now_s - 7200


def test_letterheads_are_plain_by_default() -> None:
    assert LetterheadSettings().logo_file is None


def test_an_audit_made_by_hand_is_sent_where_that_is_asked(
    tmp_path: Path, filled: Path, server: tuple[Box, int]
) -> None:
    box, port = server
    file = settings(tmp_path, filled, smtp=scheduled(port)["smtp"])
    done = CliRunner().invoke(
        main,
        ["audit", "--config.file", str(file), "--month", "2026-06", "--format", "json,html",
         "-o", str(tmp_path / "out"), "--mail", "bupati@contoh.example"],
    )  # fmt: skip
    assert done.exit_code == 12, done.output
    assert "sent to bupati@contoh.example" in done.stdout
    (told,) = box.mail
    body = told.get_body(("plain",))
    assert body is not None and "RANCANGAN" in body.get_content()
    sent = {one.get_filename(): one.get_payload(decode=True) for one in told.iter_attachments()}
    assert sent == {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()}
