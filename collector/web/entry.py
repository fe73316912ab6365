"""Logging in and out, the language, and the log of actions."""

import asyncio
import math
import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from collector.access import passwords
from collector.access.roles import Right
from collector.access.store import NAME, AccessStore, Account, Deed, Told
from collector.access.throttle import Throttle
from collector.audit.calendar import Zone
from collector.audit.phrases import Language
from collector.web.guard import Guard, Refused, asker, cookie_name, foreign
from collector.web.render import LANGUAGE_COOKIE, Renderer
from runtime.clock import SECOND, Clock

YEAR_S = 365 * 86_400
LOG_PAGE = 100
_ENTRY_COOKIE = "pantau_entry"
"""Of a browser that has not logged in: its form has to hold the same."""


class House(NamedTuple):
    """Where this program stands."""

    secure: bool
    """Browsers come over HTTPS, if only to a proxy before this program."""
    zone: Callable[[], Zone]
    """Whose clock is shown where no link's is."""


class EntryPages:
    """Routes for whoever comes and goes."""

    def __init__(
        self, store: AccessStore, guard: Guard, renderer: Renderer, clock: Clock, house: House
    ) -> None:
        self._store, self._guard, self._renderer = store, guard, renderer
        self._clock, self._house = clock, house
        self._throttle = Throttle()
        # One at a time: argon2 takes 64 MiB and all cores, and this machine has links to measure.
        self._checking = asyncio.Semaphore(1)

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.get("/login", self.form),
            web.post("/login", self.login),
            web.post("/logout", self.logout),
            web.post("/language", self.language),
            web.get("/log", self.log),
        ]

    async def form(self, request: web.Request) -> web.Response:
        """The form."""
        return await self._form(request, "", HTTPStatus.OK)

    async def _form(self, request: web.Request, problem: str, status: HTTPStatus) -> web.Response:
        token = request.cookies.get(_ENTRY_COOKIE) or secrets.token_urlsafe(24)
        told = {
            "problem": problem,
            "entry": token,
            "to": _own_path(request.query.get("to", "/")),
            "accounts": self._store.any_account(),
        }
        answer = await self._renderer.page(request, "login.html", told, status)
        answer.set_cookie(
            _ENTRY_COOKIE,
            token,
            httponly=True,
            samesite="Strict",
            path="/",
            secure=self._over_tls(request),
        )
        return answer

    def _over_tls(self, request: web.Request) -> bool:
        return self._house.secure or request.secure

    async def login(self, request: web.Request) -> web.Response:
        """Name and password for a visit."""
        form = await request.post()
        name, password = str(form.get("name", ""))[:100], str(form.get("password", ""))
        shown, kept = str(form.get("entry", "")), request.cookies.get(_ENTRY_COOKIE, "")
        if (
            foreign(request)
            or not kept
            or not secrets.compare_digest(shown.encode(), kept.encode())
        ):
            raise Refused(HTTPStatus.FORBIDDEN, "the form is too old: load the page anew")
        t, address = self._renderer.texts(request), request.remote or ""
        now_s = self._clock.boot_ns() / SECOND
        wait_s = self._throttle.wait_s(name, address, now_s)
        if wait_s > 0:
            # Not noted each time: a machine that guesses would fill the disk.
            problem = t("login.wait", seconds=math.ceil(wait_s))
            answer = await self._form(request, problem, HTTPStatus.TOO_MANY_REQUESTS)
            answer.headers["Retry-After"] = str(math.ceil(wait_s))
            return answer
        self._throttle.failed(name, address, now_s)
        account = await self._account(name, password)
        if account is None:
            throttled = self._throttle.wait_s(name, address, now_s) > 0
            deed = Deed.LOGIN_THROTTLED if throttled else Deed.LOGIN_FAILED
            await self._guard.note(request, deed, name)
            return await self._form(request, t("login.wrong"), HTTPStatus.UNAUTHORIZED)
        self._throttle.succeeded(name, address)
        told = Told(self._clock.wall_ns(), account.name, account.role, address, Deed.LOGIN)
        secret = await asyncio.to_thread(self._store.begin, account.name, told)
        answer = _see(_own_path(str(form.get("to", "/"))))
        secure = self._over_tls(request)
        answer.set_cookie(
            cookie_name(secure),
            secret,
            max_age=YEAR_S,
            httponly=True,
            samesite="Lax",
            secure=secure,
            path="/",
        )
        answer.del_cookie(_ENTRY_COOKIE, path="/")
        return answer

    async def _account(self, name: str, password: str) -> Account | None:
        """The account, if this is its password."""
        account = self._store.account(name) if NAME.fullmatch(name) else None
        if account is not None and account.disabled_wall_ns is not None:
            account = None
        kept = None if account is None else account.password
        async with self._checking:
            if not await asyncio.to_thread(passwords.right, kept, password):
                return None
            assert account is not None
            if passwords.outdated(account.password):
                fresh = await asyncio.to_thread(passwords.make, password)
                await asyncio.to_thread(self._store.rehash, account.name, fresh)
        return account

    async def logout(self, request: web.Request) -> web.Response:
        """The visit ends here, whatever the browser keeps."""
        told = self._guard.told(request, Deed.LOGOUT)
        await asyncio.to_thread(self._store.end, asker(request).visit, told)
        answer = _see("/login")
        for secure in (True, False):
            answer.del_cookie(cookie_name(secure), path="/", secure=secure)
        return answer

    async def language(self, request: web.Request) -> web.Response:
        """Another language from now on, on this browser."""
        form = await request.post()
        if foreign(request) or str(form.get("language")) not in list(Language):
            raise Refused(HTTPStatus.BAD_REQUEST, f"language: expected {' or '.join(Language)}")
        answer = _see(_own_path(str(form.get("to", "/"))))
        answer.set_cookie(
            LANGUAGE_COOKIE,
            str(form.get("language")),
            max_age=YEAR_S,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return answer

    async def log(self, request: web.Request) -> web.Response:
        """Who did what."""
        if not asker(request).may(Right.LOG):
            raise Refused(HTTPStatus.FORBIDDEN, f"the log is not for {asker(request).role}")
        text = request.query.get("before", "")
        before = int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None
        rows = await asyncio.to_thread(self._store.actions, LOG_PAGE, before)
        more = rows[-1].id if len(rows) == LOG_PAGE else None
        return await self._renderer.page(
            request, "log.html", {"rows": rows, "more": more, "zone": self._house.zone()}
        )


def _own_path(text: str) -> str:
    """A path of this site, whatever was asked for: nobody is led elsewhere after logging in."""
    parts = urlsplit(text)
    own = text.startswith("/") and not text.startswith(("//", "/\\")) and not parts.netloc
    return text if own and text.isprintable() and "\\" not in text else "/"


def _see(path: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": path})
