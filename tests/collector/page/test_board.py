"""The board in Chromium: live, searched, grouped, on a map, on a wall, by ear and by keyboard."""

import pytest
from playwright.sync_api import expect

from tests.collector.page.conftest import NASTY, Visit
from tests.collector.page.kit import District

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(120)]


def test_every_link_with_its_state_figures_and_last_day(visit: Visit) -> None:
    page = visit().go("/")
    rows = page.locator("#stage tr.link")
    expect(rows).to_have_count(4)
    row = rows.filter(has_text="Desa Satu")
    expect(row.locator(".badge")).to_have_text("aktif")
    expect(row.locator("td.rtt")).to_contain_text(" ms")
    assert "," in row.locator("td.rtt").inner_text()  # Indonesian decimals
    expect(page.locator("#live")).to_have_text("langsung")
    # The last outage is of the evidence, in the link's own zone.
    page.reload()
    last = page.locator("#stage tr.link", has_text="Desa Satu").locator("td.last")
    expect(last).to_contain_text("WIB", timeout=40_000)
    expect(last).to_contain_text("7 mnt")


def test_a_days_line_shows_where_packets_were_lost(visit: Visit) -> None:
    page = visit().go("/")
    picture = page.locator("#stage tr.link", has_text="Desa Satu").locator("svg.sparkline")
    expect(picture).to_be_visible()
    # The cut of seven minutes in a half hour of which it took a quarter: the worst step.
    expect(picture.locator("rect.loss4")).not_to_have_count(0)


def test_an_outage_appears_and_goes_without_a_reload(visit: Visit, district: District) -> None:
    page = visit().go("/")
    page.evaluate("window.same = true")
    badge = page.locator("#stage tr.link", has_text="Desa Dua").locator(".badge")
    expect(badge).to_have_text("aktif")
    link = district.sites[1].link
    district.dead.add(link)
    try:
        expect(badge).to_have_text("tidak diketahui", timeout=30_000)
        row = page.locator("#stage tr.link", has_text="Desa Dua")
        expect(row).to_contain_text("diam; diam belum tentu putus")
        expect(row).to_contain_text("sementara")
        expect(page.locator("[data-count=unknown]")).to_have_text("1")
        expect(page.locator("#said")).to_contain_text("Desa Dua: tidak diketahui")
    finally:
        district.dead.discard(link)
    expect(badge).to_have_text("aktif", timeout=30_000)
    assert page.evaluate("window.same")


def test_filter_search_and_groups_are_in_the_address(visit: Visit) -> None:
    visitor = visit()
    page = visitor.go("/")
    page.fill("#search", "DUA penyedia")
    expect(page.locator("#stage tr.link")).to_have_count(1)
    page.fill("#search", "")
    page.select_option("#group", "kind")
    expect(page.locator("#stage tr.group")).to_contain_text(["desa", "OPD"])
    page.click("[data-state=down]")
    expect(page.locator("#empty")).to_be_visible()
    page.click("[data-view=tiles]")
    assert page.url.endswith("?view=tiles&group=kind&state=down")
    page.click("[data-state=all]")
    expect(page.locator(".tile")).to_have_count(4)
    again = visitor.go("/?view=tiles&group=provider&q=dinas")
    expect(again.locator(".tile")).to_have_count(1)
    for bad in ("view=x", "group=__proto__", "state=<script>", "q=%00%ff"):
        visitor.go(f"/?{bad}")
        expect(page.locator("[data-count=all]")).to_have_text("4")


def test_the_map_is_drawn_from_coordinates_alone(visit: Visit) -> None:
    visitor = visit()
    asked: list[str] = []
    visitor.page.on("request", lambda one: asked.append(one.url))
    page = visitor.go("/?view=map")
    expect(page.locator("svg.map a.node")).to_have_count(4)
    expect(page.locator("svg.map .scalebar text")).to_contain_text("km")
    places = page.evaluate(
        "[...document.querySelectorAll('a.node')].map((a) => a.getBoundingClientRect())"
        ".map((r) => [r.x, r.y])"
    )
    (one_x, one_y), (two_x, two_y), (three_x, _), _ = places
    assert one_x < two_x < three_x  # east is right
    assert one_y < two_y  # north is up
    assert all(url.startswith(visitor.url) for url in asked)
    page.click("svg.map a.node >> nth=0")
    page.wait_for_url("**/links/desa-satu-1")


def test_a_wall_shows_what_matters_and_esc_leaves_it(visit: Visit) -> None:
    page = visit().go("/?wall=")
    expect(page.locator("#clock")).to_contain_text("WIB")
    expect(page.locator("header.top")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("header.top")).to_be_visible()


def test_names_are_shown_and_never_run(visit: Visit) -> None:
    visitor = visit()
    for view in ("list", "tiles", "map"):
        page = visitor.go(f"/?view={view}&group=provider")
        expect(page.locator("#stage")).to_contain_text("<img src=x onerror=alert(1)>")
        assert page.locator("#stage img, #stage script").count() == 0
    assert NASTY in page.locator("#data").text_content().encode().decode("unicode_escape")  # type: ignore[union-attr]


def test_nothing_serious_for_those_who_do_not_see(visit: Visit) -> None:
    visitor = visit(bypass_csp=True)
    for view in ("list", "tiles", "map"):
        visitor.go(f"/?view={view}")
        expect(visitor.page.locator("#live")).to_have_text("langsung")
        assert visitor.serious() == []


def test_everything_is_reached_by_keyboard(visit: Visit) -> None:
    page = visit().go("/")
    page.keyboard.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("dua")
    expect(page.locator("#stage tr.link")).to_have_count(1)
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.id || document.activeElement.textContent")
        )
    assert {"group", "wall", "Desa Dua"} <= reached


def test_a_phone_needs_no_sideways_scrolling(visit: Visit) -> None:
    page = visit(viewport={"width": 360, "height": 740}).go("/")
    expect(page.locator("#stage tr.link")).to_have_count(4)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360


def test_english(visit: Visit) -> None:
    page = visit(locale="en-GB").go("/")
    row = page.locator("#stage tr.link", has_text="Desa Satu")
    expect(row.locator(".badge")).to_have_text("up")
    assert "." in row.locator("td.rtt").inner_text()
    page.click("button[lang=id]")
    expect(row.locator(".badge")).to_have_text("aktif")
