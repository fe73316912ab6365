"""Before every answer: who asks, and whether they may. The one place where access is decided.

Agents' endpoints and health are for anybody: agents sign what they say. What Prometheus fetches is
open until the web configuration guards it, as with any exporter. Everything else asks for somebody;
as long as there is no account, this machine itself is enough, for reading.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

from aiohttp import web

from collector.access import webconfig
from collector.access.roles import Asker, Right, Role, Way
from collector.access.store import AccessStore, Deed, Told
from collector.access.webconfig import Passwords, WebConfig
from runtime.clock import Clock

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ASKER = web.RequestKey("asker", Asker)
CSRF_HEADER = "X-Pantau-CSRF"
CSRF_FIELD = "csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


class Area(Enum):
    """What is asked for, by its path."""

    OPEN = auto()
    SCRAPE = auto()
    RELOAD = auto()
    API = auto()
    PAGE = auto()


_OPEN = (
    "/v1/",
    "/ndt/",
    "/-/healthy",
    "/-/ready",
    "/static/",
    "/login",
    "/language",
    "/runbooks/",
    "/api/v1/heads",
)
"""Tree heads are for witnesses: whether the ledger was altered is nobody's secret."""


def area(path: str) -> Area:
    """Which rules a path is under."""
    if path.startswith(_OPEN):
        return Area.OPEN
    if path in ("/metrics", "/api/v1/sd"):
        return Area.SCRAPE
    if path == "/-/reload":
        return Area.RELOAD
    return Area.API if path.startswith("/api/") else Area.PAGE


def asker(request: web.Request) -> Asker:
    """Who asks; the guard has let them in."""
    return request[ASKER]


def loopback(request: web.Request) -> bool:
    """Whether this machine itself asks: its own address, no proxy between, and called by a name
    of its own, so that no page from elsewhere can ask through a browser here (DNS rebinding)."""
    try:
        peer = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return False
    if not peer.is_loopback or any(name in request.headers for name in _FORWARDED):
        return False
    return (urlsplit(f"//{request.host}").hostname or "") in _HERE


def foreign(request: web.Request) -> bool:
    """Whether another site's page sends this, by what every browser of today says."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    # Over plain HTTP browsers say only where a page is from.
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != request.host


class Refused(Exception):
    """Not let in, or not so far; the text goes to whoever asked."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Guard:
    """Decides, and keeps the web configuration as its file is now."""

    def __init__(
        self,
        store: AccessStore,
        clock: Clock,
        operator_token: str,
        config_file: Path | None,
        *,
        lifecycle: bool = False,
    ) -> None:
        """Reads the web configuration. Raises SettingsError."""
        self._store, self._clock, self._token = store, clock, operator_token.encode()
        self._file, self._lifecycle = config_file, lifecycle
        self.config = WebConfig() if config_file is None else webconfig.read(config_file)
        self.tls = None if config_file is None else webconfig.context(self.config, config_file)
        self._passwords = Passwords()
        # One at a time: passwords are made to take long, and this machine has links to measure.
        self._checking = asyncio.Semaphore(1)
        self.problem: Callable[[web.Request, Refused], Awaitable[web.Response]] = _plainly

    def reload(self) -> None:
        """Read the web configuration and its certificates anew. Raises SettingsError, and goes on
        with the former ones."""
        if self._file is None:
            return
        config = webconfig.read(self._file)
        fresh = webconfig.context(config, self._file)
        if (fresh is None) != (self.tls is None):
            log.warning("%s: HTTPS begins or ends with a restart only", self._file)
        elif self.tls is not None and config.tls_server_config is not None:
            tls, folder = config.tls_server_config, self._file.parent
            self.tls.load_cert_chain(folder / tls.cert_file, folder / tls.key_file)
        self.config = config

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """For the application."""
        where = area(request.path)
        try:
            if where is not Area.OPEN:
                found = await self._let_in(request, where)
                if found is not None:
                    request[ASKER] = found
            answer = await handler(request)
        except Refused as refused:
            answer = await self._refusal(request, where, refused)
        except web.HTTPException as problem:
            self._dress(problem)
            raise
        if not answer.prepared:
            self._dress(answer)
        return answer

    def _dress(self, answer: web.StreamResponse) -> None:
        for name, value in self.config.http_server_config.headers.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")

    async def _let_in(self, request: web.Request, where: Area) -> Asker | None:
        """Who asks; None where anybody may. Raises Refused."""
        found = await self._who(request)
        if request.method not in _SAFE:
            await self._check_sender(request, found)
        if where is Area.RELOAD:
            return self._may_reload(request, found)
        if found is None and where is Area.SCRAPE and not self.config.guards:
            return None
        if found is None and where is not Area.SCRAPE and self._own_house(request):
            found = Asker("loopback", Role.VIEWER, Way.LOOPBACK)
        if found is None:
            raise self._stranger(request, where)
        needed = Right.READ if request.method in _SAFE else Right.OPERATE
        if request.path == "/logout":
            needed = Right.READ
        if not found.may(needed):
            if found.way is Way.LOOPBACK:
                raise self._stranger(request, where)
            raise Refused(HTTPStatus.FORBIDDEN, f"{found.name}: {needed} is not for {found.role}")
        return found

    def _own_house(self, request: web.Request) -> bool:
        return loopback(request) and not self.config.guards and not self._store.any_account()

    def still_allowed(self, request: web.Request) -> bool:
        """Whether who asked long ago, and is still being answered, may still read."""
        who = asker(request)
        if who.way is not Way.VISIT:
            return who.way is not Way.LOOPBACK or not self._store.any_account()
        secure = request.cookies.get(cookie_name(True)), request.cookies.get(cookie_name(False))
        secret = secure[0] or secure[1]
        return secret is not None and self._store.visitor(secret, self._clock.wall_ns()) is not None

    def _may_reload(self, request: web.Request, found: Asker | None) -> Asker | None:
        if self._lifecycle or (found is not None and found.may(Right.OPERATE)):
            return found
        if found is None and loopback(request):
            return Asker("loopback", Role.OPERATOR, Way.LOOPBACK)
        if found is not None:
            raise Refused(HTTPStatus.FORBIDDEN, f"{found.name}: reload is not for {found.role}")
        raise self._stranger(request, Area.RELOAD)

    def _stranger(self, request: web.Request, where: Area) -> Refused:
        if where is Area.PAGE and not self._store.any_account():
            return Refused(
                HTTPStatus.FORBIDDEN,
                "there is no account yet. At the hub:"
                " pantau-collector account add NAME --role operator",
            )
        if self.config.certificate_needed:
            return Refused(HTTPStatus.UNAUTHORIZED, "a client certificate is needed for this")
        return Refused(
            HTTPStatus.UNAUTHORIZED,
            "log in, or show a name and password, a token or a certificate (docs/access.md)",
        )

    # --- who --------------------------------------------------------------------------------

    async def _who(self, request: web.Request) -> Asker | None:
        """Raises Refused for what is shown and wrong: whoever shows it must hear of it."""
        shown = None if request.transport is None else request.transport.get_extra_info("peercert")
        certified = self.config.certificate(shown)
        if self.config.certificate_needed and certified is None and not self._is_operator(request):
            raise Refused(HTTPStatus.UNAUTHORIZED, "a client certificate is needed for this")
        if "Authorization" in request.headers:
            return await self._authorised(request)
        secret = request.cookies.get(cookie_name(request.secure)) or request.cookies.get(
            cookie_name(True)
        )
        visitor = None
        if secret is not None:
            visitor = self._store.visitor(secret, self._clock.wall_ns())
        return visitor or certified

    def _is_operator(self, request: web.Request) -> bool:
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        # Compared as bytes: a header may hold anything.
        return kind.lower() == "bearer" and hmac.compare_digest(
            shown.strip().encode("utf-8", "surrogateescape"), self._token
        )

    async def _authorised(self, request: web.Request) -> Asker:
        kind, _, shown = request.headers["Authorization"].partition(" ")
        if self._is_operator(request):
            return Asker("operator.token", Role.OPERATOR, Way.OPERATOR_TOKEN)
        found = None
        if kind.lower() == "bearer":
            found = self.config.bearer(shown.strip())
        elif kind.lower() == "basic" and self.config.basic_auth_users:
            name, password = _name_and_password(shown)
            async with self._checking:
                found = await asyncio.to_thread(self._passwords.basic, self.config, name, password)
        if found is None:
            text = f"these {kind.lower()[:20]} credentials are nobody's: no such user or token"
            raise Refused(HTTPStatus.UNAUTHORIZED, text)
        return found

    async def _check_sender(self, request: web.Request, found: Asker | None) -> None:
        """Raises Refused for what a page from elsewhere makes a browser send."""
        if foreign(request):
            raise Refused(HTTPStatus.FORBIDDEN, "sent by a page of another site")
        if found is None or found.way is not Way.VISIT:
            return
        shown = request.headers.get(CSRF_HEADER, "")
        form = ("application/x-www-form-urlencoded", "multipart/form-data")
        if not shown and request.content_type in form:
            shown = str((await request.post()).get(CSRF_FIELD, ""))
        if not hmac.compare_digest(shown.encode(), found.csrf.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "the form is of another visit: load the page anew")

    # --- refusals -----------------------------------------------------------------------------

    async def _refusal(self, request: web.Request, where: Area, refused: Refused) -> web.Response:
        if where in (Area.PAGE, Area.OPEN):
            if refused.status is HTTPStatus.UNAUTHORIZED and request.method in _SAFE:
                to = quote(request.rel_url.raw_path_qs, safe="/")
                there = "/login" if to == "/" else f"/login?to={to}"
                return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": there})
            return await self.problem(request, refused)
        answer = _plain(request, refused)
        if refused.status is HTTPStatus.UNAUTHORIZED:
            kind = "Basic" if self.config.basic_auth_users else "Bearer"
            answer.headers["WWW-Authenticate"] = f'{kind} realm="pantau"'
        return answer

    # --- the log --------------------------------------------------------------------------------

    async def note(
        self, request: web.Request, deed: Deed, subject: str = "", detail: str = ""
    ) -> None:
        """Append to the log of actions what somebody has done."""
        await asyncio.to_thread(self._store.note, self.told(request, deed, subject, detail))

    def told(self, request: web.Request, deed: Deed, subject: str = "", detail: str = "") -> Told:
        """A line of the log, by who asks."""
        who = request.get(ASKER)
        return Told(
            self._clock.wall_ns(),
            "" if who is None else who.name,
            "" if who is None else who.role.value,
            request.remote or "",
            deed,
            subject,
            detail,
        )


def cookie_name(secure: bool) -> str:
    """Of a visit's cookie. With the prefix a browser takes it over HTTPS only, for this host only
    (RFC 6265bis section 4.1.3)."""
    return "__Host-pantau" if secure else "pantau"


def _plain(request: web.Request, refused: Refused) -> web.Response:
    return web.json_response({"error": str(refused)}, status=refused.status)


async def _plainly(request: web.Request, refused: Refused) -> web.Response:
    return _plain(request, refused)


def _name_and_password(shown: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(shown, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, password
