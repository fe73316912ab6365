"""The agents' endpoints: POST /v1/enrol, /v1/status, /v1/batch, /v1/slot (docs/wire-v1.md).

Bodies are taken raw, with a limit and a deadline, and are never decompressed by the HTTP layer.
"""

import asyncio
import random
from http import HTTPStatus

from aiohttp import web

from collector.desk import Caller, Desk
from wire.batch import MAX_BATCH_BYTES
from wire.errors import Refusal, WireError
from wire.message import REVISION, REVISION_HEADER

MAX_REQUEST_BYTES = 64 * 1024
"""An enrolment or a status: what is longer than this are policies, and those go the other way."""
MEDIA = {
    "batch": "application/vnd.pantau.receipt",
    "status": "application/vnd.pantau.message",
    "enrol": "application/vnd.pantau.message",
    "slot": "application/vnd.pantau.message",
}
READS = {REVISION_HEADER: str(REVISION)}
STATUS = {
    Refusal.MALFORMED: HTTPStatus.BAD_REQUEST,
    Refusal.UNKNOWN_VERSION: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Refusal.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Refusal.BAD_BODY: HTTPStatus.UNPROCESSABLE_ENTITY,
    Refusal.UNKNOWN_AGENT: HTTPStatus.UNAUTHORIZED,
    Refusal.REVOKED: HTTPStatus.FORBIDDEN,
    Refusal.BAD_SIGNATURE: HTTPStatus.UNAUTHORIZED,
    Refusal.WRONG_CHAIN: HTTPStatus.CONFLICT,
    Refusal.BAD_TOKEN: HTTPStatus.UNAUTHORIZED,
    Refusal.EXPIRED_TOKEN: HTTPStatus.GONE,
    Refusal.USED_TOKEN: HTTPStatus.CONFLICT,
    Refusal.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
}


def refusal(error: WireError) -> web.Response:
    """The answer to a message that is not taken."""
    headers = dict(READS)
    if error.refusal is Refusal.OVERLOADED:
        # Spread, so that those who were sent away do not come back together.
        headers["Retry-After"] = str(random.randint(5, 60))
    return web.json_response(
        {"error": error.refusal, "detail": str(error)},
        status=STATUS[error.refusal],
        headers=headers,
    )


async def _body(request: web.Request, limit: int, deadline_s: float) -> bytes:
    """At most `limit` bytes. Raises WireError: TOO_LARGE, or MALFORMED for one cut short."""
    if (request.content_length or 0) > limit:
        raise WireError(
            Refusal.TOO_LARGE, f"body of {request.content_length} bytes, at most {limit}"
        )
    data = bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            async for chunk in request.content.iter_any():
                data += chunk
                if len(data) > limit:
                    raise WireError(Refusal.TOO_LARGE, f"body of more than {limit} bytes")
    except TimeoutError:
        raise WireError(Refusal.MALFORMED, f"no whole body in {deadline_s:g} s") from None
    except (ConnectionError, web.RequestPayloadError) as error:
        # The link that is being measured is also the one that this came over: a daily event.
        raise WireError(Refusal.MALFORMED, f"cut off after {len(data)} bytes: {error}") from error
    return bytes(data)


def _revision(request: web.Request) -> int:
    """What the sender says that it reads; 1 where it does not say, or nothing sensible."""
    told = request.headers.get(REVISION_HEADER, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 6 else 1


class AgentEndpoints:
    """Routes for agents."""

    def __init__(self, desk: Desk, body_deadline_s: float) -> None:
        self._desk = desk
        self._body_deadline_s = body_deadline_s

    def routes(self) -> list[web.RouteDef]:
        """To be added to the application."""
        return [
            web.post("/v1/enrol", self.enrol),
            web.post("/v1/status", self.status),
            web.post("/v1/batch", self.batch),
            web.post("/v1/slot", self.slot),
        ]

    async def enrol(self, request: web.Request) -> web.Response:
        """Join token and keys in, agent id and policy out."""
        return await self._answer("enrol", request, MAX_REQUEST_BYTES)

    async def status(self, request: web.Request) -> web.Response:
        """Live status in, hub time and orders out."""
        return await self._answer("status", request, MAX_REQUEST_BYTES)

    async def batch(self, request: web.Request) -> web.Response:
        """Evidence in, receipt out, after the commit."""
        return await self._answer("batch", request, MAX_BATCH_BYTES)

    async def slot(self, request: web.Request) -> web.Response:
        """A wish to test in, a slot or a time to wait out."""
        return await self._answer("slot", request, MAX_REQUEST_BYTES)

    async def _answer(self, what: str, request: web.Request, limit: int) -> web.Response:
        caller = Caller(request.remote or "?", _revision(request))
        try:
            data = await _body(request, limit, self._body_deadline_s)
        except WireError as error:
            self._desk.refuse(what, caller.peer, error)
            answer = refusal(error)
            answer.force_close()
            return answer
        try:
            body = await self._desk.exchange(what, caller, data)
            return web.Response(body=body, content_type=MEDIA[what], headers=READS)
        except WireError as error:
            return refusal(error)
