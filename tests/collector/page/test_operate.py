"""What operators do on the page, what others see of it, and the months."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from collector.access.store import Deed
from tests.collector.page.conftest import NASTY, Visit
from tests.collector.page.kit import District
from wire import token
from wire.message import End, Figures, OrderState
from wire.slot import Direction

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(120)]
FORM = "form[action='/operate/maintenance']"


def local(hours: float) -> str:
    """By WIB, so many hours from now, as the browser's field wants it."""
    at = datetime.now(UTC) + timedelta(hours=7 + hours)
    return at.strftime("%Y-%m-%dT%H:%M")


def deeds(district: District) -> list[tuple[str, Deed]]:
    return [(one.actor, one.deed) for one in district.collector.access.actions(50)]


def fill(page: Page, **fields: str) -> None:
    page.click("summary:has-text('Catat jendela')")
    for name, value in fields.items():
        place = page.locator(f"{FORM} [name={name}]")
        if place.evaluate("(one) => one.tagName") == "SELECT":
            place.select_option(value)
        else:
            place.fill(value)
    page.click(f"{FORM} button")


def test_a_window_is_entered_and_cancelled_and_noted(visit: Visit, district: District) -> None:
    visitor = visit("operator")
    page = visitor.go("/operate")
    times = {"from": local(30), "to": local(34), "announced": local(-2)}
    fill(page, pop="POP-1", reason=NASTY, approved_by="Kabid", document="Surat 1", **times)
    expect(page.locator(".good")).to_have_text("Jendela sudah dicatat.")
    row = page.locator("table.grid tbody tr").first
    expect(row).to_contain_text("pop POP-1")
    expect(row).to_contain_text("2 tautan")
    expect(row).to_contain_text("<img src=x onerror=alert(1)>")
    expect(row).to_contain_text("akan datang")
    expect(row).to_contain_text("dicatat oleh operator")
    (entry,) = district.collector.ledger.registers.maintenance()
    assert entry.recorded.by == "operator"
    assert entry.notice.end_s - entry.notice.start_s == 4 * 3600
    row.locator("summary").click()
    row.locator("input[name=reason]").fill("ditunda")
    row.locator("button.danger").click()
    expect(page.locator("table.grid tbody tr").first).to_contain_text("dibatalkan oleh operator")
    assert deeds(district)[:2] == [
        ("operator", Deed.MAINTENANCE_CANCEL),
        ("operator", Deed.MAINTENANCE_ADD),
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"pop": "POP-1", "to": local(29)}, "is not after from"),
        ({}, "whose? expected link, pop, provider or district"),
        ({"pop": "POP-1", "announced": local(3)}, "is in the future"),
        ({"pop": "POP-2", "provider": "Penyedia B"}, "no link fits all of"),
    ],
)
def test_a_wrong_window_is_told_and_what_was_typed_stays(
    visit: Visit, fields: dict[str, str], said: str
) -> None:
    visitor = visit("operator")
    page = visitor.go("/operate")
    whole = {"from": local(30), "to": local(34), "announced": local(-2), "reason": "kabel"}
    fill(page, **{**whole, **fields})
    expect(page.locator(".alert[role=alert]").first).to_contain_text(said)
    expect(page.locator(f"{FORM} [name=reason]")).to_have_value("kabel")
    # The browser logs the status of the answer, which is as it should be.
    visitor.problems[:] = [one for one in visitor.problems if "400" not in one]


def test_a_test_is_ordered_followed_and_finished(visit: Visit, district: District) -> None:
    visitor = visit("operator")
    page = visitor.go("/operate")
    link = "desa-dua-1"
    page.locator("#order [name=link]").select_option(link)
    page.locator("#order [name=direction]").select_option("down")
    page.click("#order button")
    order = page.locator("article.order").first
    expect(order).to_contain_text("antre di hub")
    for state, words in ((OrderState.GATE, "menunggu pengguna"), (OrderState.RUNNING, "berjalan")):
        district.progress(link, state)
        expect(order).to_contain_text(words, timeout=15_000)
        expect(order.locator("progress")).to_be_visible()
    figures = Figures(
        direction=Direction.DOWN,
        end=End.DONE,
        bits_per_s=18_640_000,
        offered_bits_per_s=19_600_000,
        lost_ratio=0.0125,
        rtt_ns=23_400_000,
    )
    district.progress(link, OrderState.DONE, figures)
    expect(order.locator(".badge")).to_have_text("selesai", timeout=15_000)
    expect(order).to_contain_text("18,64 Mbit/s dari 19,60 Mbit/s · hilang 1,25 % · RTT 23,4 ms")
    expect(order.locator("progress")).to_have_count(0)
    page.locator("#order [name=link]").select_option(link)
    page.click("#order button")
    again = page.locator("article.order").first
    again.locator("button.danger").click()
    expect(again.locator(".badge")).to_have_text("ditarik", timeout=15_000)
    assert {("operator", Deed.ORDER_ADD), ("operator", Deed.ORDER_CANCEL)} <= set(deeds(district))


def test_a_node_is_invited_by_a_token_and_its_code(visit: Visit, district: District) -> None:
    page = visit("operator").go("/fleet")
    row = page.locator("tbody tr", has_text="Desa Satu").first
    expect(row).to_contain_text("terdengar")
    expect(row).to_contain_text("0.1.0")
    expect(row).to_contain_text("45 dtk")  # the oldest evidence that waits
    row.locator("a").click()
    expect(page.locator("main")).to_contain_text("terdengar")
    page.locator("button:has-text('Undang')").click()
    text = page.locator("#token").inner_text()
    made = token.parse(text)
    kept = district.collector.ledger.token(made.token_id)
    assert kept is not None
    assert (kept.node, kept.used_by) == ("desa-satu", None)
    expect(page.locator("figure svg path").first).to_be_visible()
    expect(page.locator("main")).to_contain_text("pantau-agent enrol http://127.0.0.1:")
    assert ("operator", Deed.INVITE) in deeds(district)
    (log,) = [one for one in district.collector.access.actions(50) if one.deed is Deed.INVITE]
    assert text.split(".")[2] not in repr(log)  # the secret is noted nowhere


def test_an_invitation_that_others_saw_is_withdrawn(visit: Visit, district: District) -> None:
    page = visit("operator").go("/fleet/desa-dua")
    page.locator("button:has-text('Undang')").click()
    made = token.parse(page.locator("#token").inner_text())
    page.click("main a:has-text('Desa Dua')")
    row = page.locator("li", has_text=made.token_id.hex())
    expect(row).to_contain_text("berlaku")
    row.locator("button").click()
    expect(page.locator(".good")).to_contain_text("Ditarik: desa-dua")
    assert page.locator("li", has_text=made.token_id.hex()).count() == 0
    kept = district.collector.ledger.token(made.token_id)
    assert kept is not None and kept.expires_wall_ns < district.clock.wall_ns()
    assert ("operator", Deed.WITHDRAW) in deeds(district)


def test_an_agent_is_revoked_once(visit: Visit, district: District) -> None:
    visitor = visit("operator")
    page = visitor.go("/fleet/desa-jahat")
    page.locator(".box summary").click()
    page.locator(".box button.danger").click()
    expect(page.locator(".good")).to_contain_text("Dicabut: desa-jahat")
    expect(page.locator(".box .badge")).to_have_text("dicabut")
    assert page.locator(".box button").count() == 0
    page = visitor.go("/fleet?only=none")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("desa-jahat")
    agent = district.boxes["desa-jahat"].agent_id
    kept = {one.agent_id: one for one in district.collector.ledger.agents()}
    assert kept[agent].revoked_wall_ns is not None
    assert agent not in {one.agent_id for one in district.collector.roster.active()}
    district.dead.add("desa-jahat-1")


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_others_see_and_do_nothing(visit: Visit, district: District, role: str) -> None:
    visitor = visit(role)
    page = visitor.go("/operate")
    expect(page.locator("h2").first).to_be_visible()
    assert page.locator("main form, main button").count() == 0
    for path in ("/fleet", "/fleet/desa-satu"):
        page = visitor.go(path)
        expect(page.locator("h1")).to_be_visible()
        assert page.locator("main form, main button").count() == 0
    log = page.locator("nav a[href='/log']")
    assert log.count() == (1 if role == "auditor" else 0)
    # What the page does not offer, the collector does not take either.
    csrf = page.evaluate("document.body.dataset.csrf")
    before = len(district.collector.access.actions(1000))
    for path in (
        "/operate/maintenance",
        "/operate/maintenance/cancel",
        "/fleet/invite",
        "/fleet/withdraw",
        "/fleet/approve",
        "/fleet/revoke",
        "/api/v1/orders",
        "/api/v1/experiments",
    ):
        answer = page.request.post(visitor.url + path, form={"csrf": csrf, "node": "desa-satu"})
        assert answer.status == 403, path
    assert len(district.collector.access.actions(1000)) == before


def test_the_log_names_who_and_shows_hostile_words_as_words(
    visit: Visit, district: District
) -> None:
    stranger = visit(None)
    page = stranger.go("/login")
    page.fill("[name=name]", NASTY[:64])
    page.fill("[name=password]", "not the password")
    page.click("form.stack button")
    expect(page.locator(".alert")).to_contain_text("tidak cocok")
    stranger.problems[:] = [one for one in stranger.problems if "401" not in one]
    page = visit("auditor").go("/log")
    expect(page.locator("tbody")).to_contain_text("gagal masuk")
    expect(page.locator("tbody")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("main img").count() == 0


def test_a_month_is_met_breached_or_undecided(visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/months")
    expect(page.locator(".total.indeterminate b")).to_have_text(re.compile(r"[1-4]"))
    expect(page.locator("tbody tr")).to_have_count(4)
    expect(page.locator("tbody")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("tbody")).to_contain_text("99,50 %")
    page.click(".total.breached")
    expect(page.locator("main")).to_contain_text("Tidak ada kontrak")
    page.click("nav.views a")
    expect(page.locator("h1")).not_to_have_text("")
    hrefs = page.locator("main a").evaluate_all("(all) => all.map((a) => a.href)")
    for href in set(hrefs):  # no link leads nowhere
        assert page.request.get(href).status == 200, href
    missing = visitor.page.request.get(visitor.url + "/months/2026-13")
    assert missing.status == 404


def test_nothing_serious_by_ear(visit: Visit) -> None:
    visitor = visit("operator", bypass_csp=True)
    for path in ("/operate", "/fleet", "/fleet/desa-satu", "/months", "/audits", "/log", "/login"):
        page = visitor.go(path)
        for closed in page.locator("main > section > details > summary").all():
            closed.click()
        assert visitor.serious() == [], path


def test_a_phone_needs_no_sideways_scrolling(visit: Visit) -> None:
    visitor = visit("operator", viewport={"width": 360, "height": 740})
    for path in ("/operate", "/fleet", "/fleet/desa-satu", "/months", "/audits", "/log"):
        page = visitor.go(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
