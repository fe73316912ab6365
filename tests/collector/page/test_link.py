"""The page of one link in Chromium."""

import re

import pytest
from playwright.sync_api import expect

from tests.collector.page.conftest import Visit
from tests.collector.page.kit import District

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(120)]


def ready(visit: Visit, link: str = "desa-satu-1", **told: object):
    visitor = visit(**told)
    page = visitor.go(f"/links/{link}")
    return visitor, page


def test_smoke_losses_states_and_hours(visit: Visit, district: District) -> None:
    _, page = ready(visit)
    expect(page.locator("#smoke canvas")).to_be_visible()
    expect(page.locator("#loss canvas")).to_be_visible()
    # The cut is in the states once the evidence is judged; the page itself asks once a minute.
    for _ in range(20):
        if page.locator("#states rect.st-down").count():
            break
        page.wait_for_timeout(1000)
        page.click("[data-span='24h']")
    expect(page.locator("#states rect.st-down")).to_have_count(1)
    expect(page.locator("#states rect.st-down title")).to_contain_text("putus")
    painted = page.evaluate(
        "() => { const c = document.querySelector('#smoke canvas');"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " let n = 0; for (let i = 0; i < d.length; i += 4)"
        " if (d[i] > 150 && d[i + 1] < 40 && d[i + 2] < 60 && d[i + 3] > 200) n += 1; return n; }"
    )
    assert painted > 5  # loss above 10 %, in its colour: one bin is 6 by 3 pixels
    page.click("[data-span='3h']")
    expect(page.locator("[data-span='3h']")).to_have_attribute("aria-pressed", "true")
    figures = page.locator("#hours figure")
    expect(figures).to_have_count(2)
    expect(figures.nth(0).locator("circle").first).to_be_visible()
    expect(figures.nth(0).locator("line.promise")).to_have_count(1)
    # Up to 93 % of 20 Mbit/s on the way down, and less on the way up.
    label = figures.nth(0).locator("svg").get_attribute("aria-label") or ""
    assert re.search(r"\d+:00 1\d,\d Mbit/s", label), label


def test_tests_with_what_the_load_did(visit: Visit) -> None:
    _, page = ready(visit)
    rows = page.locator("table.tests tbody tr")
    assert 10 < rows.count() <= 30
    for text in (
        "unduh · udp",
        "dari 20 Mbit/s",
        "10,0 ms → 30,0 ms",
        "bufferbloat A",
        "4,0 ms",
        "ya",
    ):
        expect(rows.filter(has_text="unduh").first).to_contain_text(text)
    moments = rows.locator("td:first-child").all_inner_texts()
    assert len(set(moments)) > 5


def test_outages_with_cause_charge_and_evidence_in_the_links_zone(visit: Visit) -> None:
    _, page = ready(visit)
    row = page.locator("table.outages tbody tr").first
    # It comes by itself, once the evidence is judged.
    expect(row).to_be_visible(timeout=45_000)
    expect(row).to_contain_text("WIB")
    expect(row).to_contain_text("7 mnt")
    expect(row).to_contain_text("Hub hilang dalam 4")
    expect(row).to_contain_text("rekaman")
    expect(page.locator(".card", has_text="Ketersediaan, bulan berjalan")).to_contain_text(
        "belum pasti"
    )


def test_contract_terms_and_what_the_month_leaves(visit: Visit) -> None:
    _, page = ready(visit)
    contract = page.locator("section.card", has=page.get_by_role("heading", name="Kontrak"))
    for text in ("027/001/SPK/2026", "99,50 %", "20 Mbit/s", "Rp 4.500.000", "≤ 50,0 ms"):
        expect(contract).to_contain_text(text)
    expect(page.locator("svg.bounds")).to_have_attribute(
        "aria-label", re.compile("target 99,5000 %")
    )
    expect(page.get_by_text("Sisa anggaran gangguan")).to_be_visible()
    expect(page.get_by_text("Belum ada putusan")).to_be_visible()


def test_now_follows_the_link(visit: Visit, district: District) -> None:
    _, page = ready(visit, "desa-dua-1")
    expect(page.locator("#now-state")).to_have_text("aktif")
    district.dead.add("desa-dua-1")
    try:
        expect(page.locator("#now-state")).to_have_text("tidak diketahui", timeout=30_000)
        expect(page.locator("#now-since")).to_contain_text("WIB")
    finally:
        district.dead.discard("desa-dua-1")
    expect(page.locator("#now-state")).to_have_text("aktif", timeout=30_000)


def test_another_zone_and_a_link_without_evidence(visit: Visit) -> None:
    _, page = ready(visit, "opd-tiga-1")
    expect(page.locator("#smoke")).to_contain_text("Tidak ada bukti")
    expect(page.get_by_text("(WITA)")).to_be_visible()


def test_hostile_names_are_shown_and_never_run(visit: Visit) -> None:
    _, page = ready(visit, "desa-jahat-1")
    expect(page.locator("h1")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("main img").count() == 0


def test_nothing_serious_by_ear(visit: Visit) -> None:
    visitor, page = ready(visit, bypass_csp=True)
    expect(page.locator("#smoke canvas")).to_be_visible()
    assert visitor.serious() == []


def test_a_phone_needs_no_sideways_scrolling(visit: Visit) -> None:
    _, page = ready(visit, viewport={"width": 360, "height": 740})
    expect(page.locator("#smoke canvas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
