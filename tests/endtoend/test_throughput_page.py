"""A test ordered on the page: browser, collector, agent and emulated link are real."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.endtoend import test_throughput
from tests.endtoend.test_throughput import MBPS, Site
from wire.slot import Direction
from wire.transfer import MADE

pytestmark = [pytest.mark.lab, pytest.mark.chromium, pytest.mark.timeout(180)]
PASSWORD = "kata sandi yang panjang"
net, make_site = test_throughput.net, test_throughput.make_site


@pytest.fixture
def page() -> Iterator[Page]:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("needs the Debian package chromium")
    with sync_playwright() as playwright:
        # The sandbox needs what a container does not have; the page is our own.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser.new_page(locale="id-ID")
        browser.close()


def login(page: Page, site: Site) -> None:
    (site.folder / "password").write_text(PASSWORD)
    argv = [sys.executable, "-m", "collector", "account", "add", "sri", "--role", "operator"]
    argv += ["--password-file", "password", "--config.file", "collector.yaml"]
    done = subprocess.run(argv, cwd=site.folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    page.goto(f"{site.url}/login?to=/operate")
    page.fill("[name=name]", "sri")
    page.fill("[name=password]", PASSWORD)
    page.click("form.stack button")


def test_it_is_followed_to_the_figures_that_the_ledger_holds(
    make_site: Callable[..., Site], page: Page
) -> None:
    site = make_site(share=0.9)
    site.begin()
    login(page, site)
    page.locator("#order [name=direction]").select_option("down")
    page.locator("#order [name=duration_s]").fill("4")
    page.click("#order button")
    order = page.locator("article.order").first
    expect(order.locator("progress")).to_be_visible(timeout=15_000)
    expect(order.locator(".badge")).to_have_text("berjalan", timeout=60_000)
    expect(order.locator(".badge")).to_have_text("selesai", timeout=60_000)
    told = order.locator(".figures").inner_text()
    shown = re.search(r"([\d,]+) Mbit/s dari ([\d,]+) Mbit/s", told)
    assert shown is not None, told
    rate, offered = (float(one.replace(",", ".")) for one in shown.groups())
    (transfer,) = site.transfers()
    assert transfer.outcome in MADE and transfer.direction is Direction.DOWN
    assert offered == pytest.approx(0.9 * MBPS, abs=0.01)
    assert rate == pytest.approx(test_throughput.capacity.achieved(transfer) / 1e6, abs=0.006)
