"""Who is let in where, over real HTTP and HTTPS."""

import base64
import hashlib
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import yaml

from collector.access import passwords
from collector.access.roles import Role
from collector.access.store import AccessStore, Account, Deed, Told
from collector.app import Collector
from collector.settings import read
from tests.collector.hub import Hub, Reply, later, serving, settings_in
from tests.collector.kit import Box, reported

PASSWORD = "kata sandi yang panjang"
HASH = passwords.make(PASSWORD)
OTHER_SITE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


def account_in(folder: Path, *roles: Role) -> None:
    """An account of each role, called as the role is."""
    store = AccessStore(folder / "etc" / "data" / "access.db")
    for role in roles:
        told = Told(1, "root", "", "", Deed.ACCOUNT_ADD, role.value)
        store.add(Account(role.value, role, HASH, 1, None), told)
    store.close()


class Browser:
    """Keeps cookies and follows nothing."""

    def __init__(self, hub: Hub) -> None:
        self._url = hub.url
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, **told: Any) -> Reply:
        async with self._session.request(
            method, self._url + path, allow_redirects=False, **told
        ) as answer:
            return Reply(answer.status, dict(answer.headers), await answer.read())

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.ask("GET", path, headers=headers)

    async def form(self, page: str, **fields: str) -> dict[str, str]:
        """Fields, with what the page's form holds hidden."""
        text = (await self.get(page)).body.decode()
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text)
        return {key: value for key, value in hidden if key != "to"} | fields

    async def login(self, name: str, password: str = PASSWORD, **more: str) -> Reply:
        data = await self.form("/login", name=name, password=password, **more)
        return await self.ask("POST", "/login", data=data)


@asynccontextmanager
async def browsing(folder: Path, *roles: Role, **told: Any) -> AsyncIterator[tuple[Hub, Browser]]:
    settings_in(folder)
    account_in(folder, *roles)
    async with serving(folder, Box(), **told) as hub, Browser(hub) as browser:
        yield hub, browser


async def test_without_an_account_this_machine_reads_and_does_nothing(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (_, browser):
        page = await browser.get("/")
        assert page.status == 200
        assert b"pantau-collector account add" in page.body
        assert (await browser.get("/api/v1/links")).status == 200
        assert (await browser.get("/log")).status == 403
        denied = await browser.ask("POST", "/api/v1/orders", json={"node": "n1"})
        assert denied.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8460"},
    ],
)
async def test_a_proxy_or_a_rebound_name_is_not_this_machine(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with browsing(tmp_path) as (_, browser):
        page = await browser.get("/", **headers)
        assert page.status == 403
        assert b"there is no account yet" in page.body
        assert (await browser.get("/api/v1/links", **headers)).status == 401
        assert (await browser.get("/metrics", **headers)).status == 200
        assert (await browser.ask("POST", "/-/reload", headers=headers)).status == 401


async def test_with_an_account_everybody_logs_in(tmp_path: Path) -> None:
    async with browsing(tmp_path, Role.VIEWER) as (_, browser):
        page = await browser.get("/links/l1?x=1")
        assert (page.status, page.headers["Location"]) == (303, "/login?to=/links/l1%3Fx%3D1")
        assert (await browser.get("/api/v1/links")).status == 401
        assert (await browser.get("/metrics")).status == 200
        for path in ("/-/healthy", "/-/ready", "/login", "/runbooks/PantauLinkDown"):
            assert (await browser.get(path)).status == 200, path
        done = await browser.login("viewer", to="/links/l1?x=1")
        assert (done.status, done.headers["Location"]) == (303, "/links/l1?x=1")
        cookie = done.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert (await browser.get("/api/v1/links")).status == 200
        assert (await browser.get("/")).status == 200


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "x"])
async def test_a_login_leads_nowhere_else(tmp_path: Path, to: str) -> None:
    async with browsing(tmp_path, Role.VIEWER) as (_, browser):
        assert (await browser.login("viewer", to=to)).headers["Location"] == "/"


async def test_wrong_passwords_are_noted_and_soon_have_to_wait(tmp_path: Path) -> None:
    clock = later()
    async with browsing(tmp_path, Role.AUDITOR, clock=clock) as (hub, browser):
        for _ in range(4):
            assert (await browser.login("auditor", "not the password")).status == 401
        waits = await browser.login("auditor")
        assert waits.status == 429
        assert int(waits.headers["Retry-After"]) >= 1
        clock.advance(2 * 10**9)
        assert (await browser.login("auditor")).status == 303
        log = (await browser.get("/log")).body.decode()
        assert "failed to log in" in log or "gagal masuk" in log
        deeds = [one.deed for one in hub.collector.access.actions(20)]
        assert deeds.count(Deed.LOGIN_FAILED) == 3
        assert deeds.count(Deed.LOGIN_THROTTLED) == 1
        assert deeds[0] is Deed.LOGIN


async def test_a_trusted_proxy_says_who_guesses(tmp_path: Path) -> None:
    here = {"host": "127.0.0.1", "port": 0, "trusted_proxies": ["127.0.0.0/8"]}
    settings_in(tmp_path, http=here)
    async with browsing(tmp_path, Role.VIEWER, clock=later()) as (hub, browser):

        async def tries(asks: str, password: str) -> Reply:
            headers = {"X-Forwarded-For": asks, "X-Forwarded-Proto": "https"}
            data = await browser.form("/login", name="viewer", password=password)
            return await browser.ask("POST", "/login", data=data, headers=headers)

        for _ in range(4):
            # What the guesser writes stands before what the proxy appends, and is not believed.
            assert (await tries("198.51.100.7, 203.0.113.9", "not it")).status == 401
        assert (await tries("203.0.113.9", PASSWORD)).status == 429
        let_in = await tries("203.0.113.9, 198.51.100.7", PASSWORD)
        assert let_in.status == 303
        assert let_in.headers["Set-Cookie"].startswith("__Host-pantau=")
        told = hub.collector.access.actions(20)
        assert [one.address for one in told if one.deed is Deed.LOGIN] == ["198.51.100.7"]
        assert {one.address for one in told if one.deed is Deed.LOGIN_FAILED} == {"203.0.113.9"}


async def test_a_stranger_does_not_say_who_asks(tmp_path: Path) -> None:
    settings_in(tmp_path, http={"host": "127.0.0.1", "port": 0, "trusted_proxies": ["192.0.2.1"]})
    async with browsing(tmp_path, Role.VIEWER, clock=later()) as (hub, browser):
        for k in range(5):
            data = await browser.form("/login", name="viewer", password="not it")
            headers = {"X-Forwarded-For": f"203.0.113.{k}"}
            last = await browser.ask("POST", "/login", data=data, headers=headers)
        assert last.status == 429
        assert {one.address for one in hub.collector.access.actions(9)} <= {"127.0.0.1", ""}


async def test_a_disabled_account_is_out_at_once(tmp_path: Path) -> None:
    async with browsing(tmp_path, Role.VIEWER, Role.OPERATOR) as (hub, browser):
        await browser.login("viewer")
        told = Told(1, "root", "", "", Deed.ACCOUNT_DISABLE, "viewer")
        hub.collector.access.change("viewer", told, disabled_wall_ns=1)
        assert (await browser.get("/")).status == 303
        assert (await browser.login("viewer")).status == 401


async def test_logging_out_ends_the_visit_at_the_collector(tmp_path: Path) -> None:
    async with browsing(tmp_path, Role.VIEWER) as (hub, browser):
        await browser.login("viewer")
        (cookie,) = [one for one in browser._session.cookie_jar if one.key == "pantau"]
        fields = await browser.form("/")
        assert (await browser.ask("POST", "/logout", data=fields)).status == 303
        async with Browser(hub) as thief:
            thief._session.cookie_jar.update_cookies({"pantau": cookie.value})
            assert (await thief.get("/")).status == 303


async def test_forms_of_other_sites_and_other_visits_do_nothing(tmp_path: Path) -> None:
    async with browsing(tmp_path, Role.OPERATOR) as (_, browser):
        await browser.login("operator")
        good = await browser.form("/")
        order = {"node": "n1"}
        for headers in (OTHER_SITE, {"Origin": "null"}, {}, {"X-Pantau-CSRF": "guess"}):
            done = await browser.ask("POST", "/api/v1/orders", json=order, headers=headers)
            assert done.status == 403, headers
        done = await browser.ask(
            "POST", "/api/v1/orders", json=order, headers={"X-Pantau-CSRF": good["csrf"]}
        )
        assert done.status == 400  # let in: the link has no throughput tests
        done = await browser.ask("POST", "/logout", data={"csrf": "guess"})
        assert done.status == 403
        done = await browser.ask("POST", "/login", data={"name": "x"}, headers=OTHER_SITE)
        assert done.status == 403
        reload = await browser.ask("POST", "/-/reload", headers=OTHER_SITE)
        assert reload.status == 403


@pytest.mark.parametrize(
    ("role", "log", "order"),
    [(Role.VIEWER, 403, 403), (Role.AUDITOR, 200, 403), (Role.OPERATOR, 200, 400)],
)
async def test_what_each_role_reaches(tmp_path: Path, role: Role, log: int, order: int) -> None:
    async with browsing(tmp_path, role) as (_, browser):
        await browser.login(role.value)
        csrf = {"X-Pantau-CSRF": (await browser.form("/"))["csrf"]}
        assert (await browser.get("/log")).status == log
        assert (await browser.get("/api/v1/links")).status == 200
        done = await browser.ask("POST", "/api/v1/orders", json={"node": "n1"}, headers=csrf)
        assert done.status == order
        reload = await browser.ask("POST", "/-/reload", headers=csrf)
        assert reload.status == (200 if role is Role.OPERATOR else 403)


async def test_this_machine_reloads_and_with_the_flag_anybody(tmp_path: Path) -> None:
    async with browsing(tmp_path, Role.VIEWER) as (hub, browser):
        assert (await browser.ask("POST", "/-/reload")).status == 200
        proxied = {"X-Forwarded-For": "203.0.113.9"}
        assert (await browser.ask("POST", "/-/reload", headers=proxied)).status == 401
        hub.collector.guard._lifecycle = True
        assert (await browser.ask("POST", "/-/reload", headers=proxied)).status == 200


async def test_pages_allow_no_script_but_ours(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (_, browser):
        for path in ("/", "/login", "/nothing"):
            page = await browser.get(path)
            if page.status != 404:
                policy = page.headers["Content-Security-Policy"]
                assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
                assert b"<script>" not in page.body
                assert b"style=" not in page.body
                assert not re.search(rb"\son\w+=", page.body)
            assert page.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_language_is_kept_and_as_the_browser_asks(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (_, browser):
        assert b'<html lang="id"' in (await browser.get("/login")).body
        english = await browser.get("/login", **{"Accept-Language": "en-GB,en;q=0.9"})
        assert b'<html lang="en"' in english.body
        chosen = await browser.ask("POST", "/language", data={"language": "en", "to": "/login"})
        assert (chosen.status, chosen.headers["Location"]) == (303, "/login")
        assert b'<html lang="en"' in (await browser.get("/login")).body
        assert (await browser.ask("POST", "/language", data={"language": "xx"})).status == 400


async def test_our_own_files_are_served_packed_and_kept(tmp_path: Path) -> None:
    async with browsing(tmp_path) as (_, browser):
        (path,) = re.findall(r'href="(/static/[^"]+\.css)"', (await browser.get("/")).body.decode())
        sheet = await browser.get(path)
        assert sheet.headers["Content-Type"] == "text/css; charset=utf-8"
        assert "immutable" in sheet.headers["Cache-Control"]
        old = await browser.get(re.sub(r"/static/\w+/", "/static/0123456789abcdef/", path))
        assert old.headers["Cache-Control"] == "no-cache"
        for name in ("../guard.py", "%2e%2e/guard.py", "none.css", "vendor/"):
            assert (await browser.get(f"/static/x/{name}")).status == 404


# --- programs ---------------------------------------------------------------------------------

HTTP = {"host": "127.0.0.1", "port": 0, "web_config_file": "web.yaml"}
TOKEN = "t0ken"
WEB = {
    "basic_auth_users": {"prometheus": bcrypt.hashpw(b"rahasia", bcrypt.gensalt(4)).decode()},
    "bearer_tokens": {"grafana": hashlib.sha256(TOKEN.encode()).hexdigest()},
}


def web_in(folder: Path, **told: Any) -> None:
    settings_in(folder)
    (folder / "etc" / "web.yaml").write_text(yaml.safe_dump({**WEB, **told}))


def basic(password: str) -> dict[str, str]:
    shown = base64.b64encode(f"prometheus:{password}".encode()).decode()
    return {"Authorization": f"Basic {shown}"}


async def test_programs_show_a_password_or_a_token(tmp_path: Path) -> None:
    web_in(tmp_path)
    token = {"Authorization": f"Bearer {TOKEN}"}
    async with browsing(tmp_path, http=HTTP) as (hub, browser):
        for path in ("/metrics", "/api/v1/sd", "/api/v1/links"):
            denied = await browser.get(path)
            assert denied.status == 401
            assert denied.headers["WWW-Authenticate"] == 'Basic realm="pantau"'
            assert (await browser.get(path, **basic("rahasia"))).status == 200
            assert (await browser.get(path, **basic("rahasia"))).status == 200
            assert (await browser.get(path, **basic("wrong"))).status == 401
            assert (await browser.get(path, **token)).status == 200
            assert (await browser.get(path, Authorization="Bearer wrong")).status == 401
            for strange in ("Basic ??", "Basic", "Digest x", "Bearer", "\xff"):
                assert (await browser.get(path, Authorization=strange)).status == 401
        done = await browser.ask("POST", "/api/v1/orders", json={"node": "n1"}, headers=token)
        assert done.status == 403  # a viewer
        own = (tmp_path / "etc" / "data" / "operator.token").read_text().strip()
        mine = {"Authorization": f"Bearer {own}"}
        done = await browser.ask("POST", "/api/v1/orders", json={"node": "n1"}, headers=mine)
        assert done.status == 400  # let in
        box = Box()
        await hub.tell(box, box.status(targets=(reported(),)))


async def test_a_new_web_configuration_is_taken_by_reload_and_a_wrong_one_is_not(
    tmp_path: Path,
) -> None:
    web_in(tmp_path)
    file = tmp_path / "etc" / "web.yaml"
    async with browsing(tmp_path, http=HTTP) as (_, browser):
        file.write_text("bearer_tokens: {x: y}\n")
        wrong = await browser.ask("POST", "/-/reload")
        assert wrong.status == 500
        assert b"bearer_tokens" in wrong.body
        assert (await browser.get("/metrics", **basic("rahasia"))).status == 200
        other = hashlib.sha256(b"other").hexdigest()
        file.write_text(yaml.safe_dump({"bearer_tokens": {"x": other}}))
        assert (await browser.ask("POST", "/-/reload")).status == 200
        assert (await browser.get("/metrics", **basic("rahasia"))).status == 401
        assert (await browser.get("/metrics", Authorization="Bearer other")).status == 200


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> None:
    """A CA, a server's certificate and a client's, and a client's of nobody's CA."""
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for ca in ("ca", "stranger"):
        openssl(
            folder,
            "req",
            "-x509",
            *ec,
            "-subj",
            f"/CN={ca}",
            "-keyout",
            f"{ca}.key",
            "-out",
            f"{ca}.pem",
        )
    for name, ca, san in (
        ("server", "ca", "IP:127.0.0.1"),
        ("prom", "ca", "DNS:prom.example"),
        ("other", "ca", "DNS:other.example"),
        ("fake", "stranger", "DNS:prom.example"),
    ):
        signed = ("-addext", f"subjectAltName={san}", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key")
        made = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        openssl(folder, "req", "-x509", *ec, "-subj", f"/CN={name}", *signed, *made)


def trust(folder: Path, client: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    # OpenSSL 3.x asks for key usages in a CA that `openssl req -x509` does not write.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if client is not None:
        context.load_cert_chain(folder / f"{client}.pem", folder / f"{client}.key")
    return context


async def fetched(hub: Hub, path: str, context: ssl.SSLContext, **headers: str) -> int:
    url = f"https://127.0.0.1:{hub.collector.port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, ssl=context, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status


@pytest.mark.parametrize("kind", ["RequireAndVerifyClientCert", "VerifyClientCertIfGiven"])
async def test_clients_certificates(tmp_path: Path, kind: str) -> None:
    settings_in(tmp_path)
    etc = tmp_path / "etc"
    certificates(etc)
    tls = {
        "cert_file": "server.pem",
        "key_file": "server.key",
        "client_auth_type": kind,
        "client_ca_file": "ca.pem",
        "client_allowed_sans": ["prom.example"],
    }
    headers = {"Strict-Transport-Security": "max-age=31536000"}
    web_in(tmp_path, tls_server_config=tls, http_server_config={"headers": headers})
    strict = kind.startswith("Require")
    async with serving(tmp_path, Box(), http=HTTP) as hub:
        assert await fetched(hub, "/metrics", trust(etc, "prom")) == 200
        assert await fetched(hub, "/api/v1/links", trust(etc, "prom")) == 200
        assert await fetched(hub, "/metrics", trust(etc, "other")) == 401
        assert await fetched(hub, "/metrics", trust(etc)) == 401
        by_password = await fetched(hub, "/metrics", trust(etc), **basic("rahasia"))
        assert by_password == (401 if strict else 200)
        assert await fetched(hub, "/-/healthy", trust(etc)) == 200
        with pytest.raises(aiohttp.ClientError):
            await fetched(hub, "/metrics", trust(etc, "fake"))


async def test_two_certificates_for_one_port_are_refused(tmp_path: Path) -> None:
    settings_in(tmp_path)
    certificates(tmp_path / "etc")
    web_in(tmp_path, tls_server_config={"cert_file": "server.pem", "key_file": "server.key"})
    http = {"web_config_file": "web.yaml", "cert_file": "server.pem", "key_file": "server.key"}
    with pytest.raises(ValueError, match="has a tls_server_config too"):
        read(settings_in(tmp_path, http=http))
    file = settings_in(tmp_path, http={"host": "127.0.0.1", "port": 0})
    collector = Collector(read(file, tmp_path / "etc" / "web.yaml"), later())
    assert collector.guard.tls is not None
    collector.access.close()
    collector.slots.close()
    collector.ledger.close()


async def test_over_https_the_cookie_is_for_https_and_this_host_only(tmp_path: Path) -> None:
    settings_in(tmp_path)
    account_in(tmp_path, Role.VIEWER)
    etc = tmp_path / "etc"
    certificates(etc)
    tls = {"tls_server_config": {"cert_file": "server.pem", "key_file": "server.key"}}
    (etc / "web.yaml").write_text(yaml.safe_dump(tls))
    async with serving(tmp_path, Box(), http=HTTP) as hub, Browser(hub) as browser:
        browser._url = browser._url.replace("http:", "https:")
        page = await browser.ask("GET", "/login", ssl=trust(etc))
        assert page.status == 200
        hidden = re.findall(
            r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.body.decode()
        )
        data = {**dict(hidden), "to": "/", "name": "viewer", "password": PASSWORD}
        done = await browser.ask("POST", "/login", data=data, ssl=trust(etc))
        assert done.status == 303
        cookie = done.headers["Set-Cookie"]
        assert cookie.startswith("__Host-pantau=")
        assert "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie
        assert (await browser.ask("GET", "/", ssl=trust(etc))).status == 200
