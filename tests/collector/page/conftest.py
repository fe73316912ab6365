"""A district, started once, and Debian's own Chromium, once for each file, for the page's tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.collector.page.kit import PASSWORD, Cut, District, Site

AXE = Path(__file__).parents[2] / "npm" / "node_modules" / "axe-core" / "axe.min.js"
NASTY = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'`${alert(3)}{{7*7}}"
"""As a name: nothing of it may run, and all of it must be shown."""
HOUR = 3600
SITES = (
    Site(
        "desa-satu",
        "Desa Satu",
        latitude=-6.9,
        longitude=106.8,
        rtt_ms=12,
        loss_up=0.004,
        loss_down=0.002,
        history_s=6 * HOUR,
        tested=True,
        cuts=(Cut(4 * HOUR, 420),),
    ),
    Site(
        "desa-dua",
        "Desa Dua",
        latitude=-6.95,
        longitude=106.85,
        provider="Penyedia B",
        history_s=2 * HOUR,
    ),
    Site(
        "opd-tiga",
        "Dinas Tiga",
        kind="opd",
        district="Kota",
        latitude=-6.92,
        longitude=106.93,
        pop="POP-2",
        zone="WITA",
    ),
    Site(
        "desa-jahat",
        NASTY,
        district=NASTY,
        provider=NASTY,
        medium=NASTY,
        pop=NASTY,
        latitude=-7.0,
        longitude=106.9,
    ),
)


# Not for the whole session: Playwright keeps an event loop in this thread; others want theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if shutil.which("chromium") is None:
        pytest.skip("needs the Debian package chromium")
    with sync_playwright() as playwright:
        # The sandbox needs what a container does not have; the pages are our own.
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    made = District(tmp_path_factory.mktemp("district"), SITES)
    yield made
    made.close()


class Visitor:
    """A browser of its own: whatever its pages throw, log as an error or run is kept."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.page: Page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.problems.append("alert"), dialog.dismiss()))
        self.page.on(
            "console",
            lambda said: self.problems.append(said.text) if said.type == "error" else None,
        )

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def login(self, name: str) -> Page:
        page = self.go("/login")
        page.fill("[name=name]", name)
        page.fill("[name=password]", PASSWORD)
        page.click("form.stack button")
        page.wait_for_url(self.url + "/")
        return page

    def serious(self) -> list[str]:
        """What axe finds that is serious or worse on the page as it is now, light and dark."""
        if not AXE.exists():
            pytest.skip("needs `npm ci` in tests/npm (make test does it where npm is)")
        self.page.evaluate(AXE.read_text())
        told = []
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            told += [
                f"{scheme}: {one['id']}: {node['html'][:120]}"
                for one in found["violations"]
                if one["impact"] in ("serious", "critical")
                for node in one["nodes"][:3]
            ]
        return told


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(chromium: Browser, district: District) -> Iterator[Visit]:
    """Makes visitors; at the end none of their pages may have failed."""
    made: list[Visitor] = []

    def make(name: str | None = "viewer", **told: object) -> Visitor:
        told.setdefault("locale", "id-ID")
        context = chromium.new_context(**told)  # type: ignore[arg-type]
        one = Visitor(context, district.url)
        made.append(one)
        if name in district.cookies:
            context.add_cookies(district.cookies[name])
        elif name is not None:
            one.login(name)
            district.cookies[name] = [c for c in context.cookies() if c["name"] == "pantau"]
        return one

    yield make
    for one in made:
        one.context.close()
        assert one.problems == []
