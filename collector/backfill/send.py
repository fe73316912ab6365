"""One endpoint: requests one after another, each repeated until it is answered for good.

A store refuses a whole request for one bad sample, so what is refused is halved until the bad ones
are alone. Where the reason is age, a lone sample decides about all that are older.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp

from collector.backfill.counters import EndpointCounters
from collector.backfill.remote_write import (
    BY_AGE,
    HEADERS,
    Point,
    Verdict,
    compress,
    encode,
    retry_after_s,
    verdict,
)
from collector.settings import EndpointSettings, Located
from runtime.clock import SECOND, Clock
from runtime.version import VERSION

log = logging.getLogger(__name__)
LEAST_PAUSE_S = 1.0
MOST_PAUSE_S = 300.0
MOST_RETRY_AFTER_S = 3600.0
_MOST_TEXT = 4096


class Unwilling(Exception):
    """The endpoint takes nothing at all now; what was to be sent stays to be sent."""


class Answer(NamedTuple):
    """What an endpoint made of one request."""

    verdict: Verdict
    said: str
    retry_after_s: float | None = None


def _first_line(file: Path) -> str:
    lines = file.read_text().splitlines()
    return lines[0].strip() if lines else ""


def pause_s(failures: int, asked_s: float | None) -> float:
    """How long to wait after so many failures in a row: twice as long each time, spread so that
    many collectors do not come together; as long as was asked for, if that is longer."""
    grown = min(MOST_PAUSE_S, LEAST_PAUSE_S * 2.0 ** min(failures - 1, 16))
    spread = grown * random.uniform(0.5, 1.0)
    return max(spread, min(asked_s or 0.0, MOST_RETRY_AFTER_S))


class Sender:
    """Speaks to one endpoint."""

    def __init__(
        self, located: Located, endpoint: EndpointSettings, counters: EndpointCounters, clock: Clock
    ) -> None:
        self.endpoint, self.counters = endpoint, counters
        self._located, self._clock = located, clock
        self._failures = 0

    def session(self) -> aiohttp.ClientSession:
        """To be used for `deliver`, and closed."""
        context = ssl.create_default_context()
        if self.endpoint.ca_file is not None:
            context.load_verify_locations(self._located.path(self.endpoint.ca_file))
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=1),
            timeout=aiohttp.ClientTimeout(total=self.endpoint.timeout_s),
        )

    def _headers(self) -> dict[str, str]:
        """Secrets are read for every request: they are changed without a restart."""
        headers = {"User-Agent": f"pantau-collector/{VERSION}", **self.endpoint.headers, **HEADERS}
        for name, file in self.endpoint.header_files.items():
            headers[name] = _first_line(self._located.path(file))
        auth = self.endpoint.basic_auth
        if auth is not None:
            password = _first_line(self._located.path(auth.password_file))
            headers["Authorization"] = aiohttp.encode_basic_auth(auth.username, password)
        return headers

    async def _post(self, session: aiohttp.ClientSession, points: Sequence[Point]) -> Answer:
        body = compress(encode(points))
        try:
            async with session.post(
                self.endpoint.url, data=body, headers=self._headers(), allow_redirects=False
            ) as answer:
                text = (await answer.content.read(_MOST_TEXT)).decode(errors="replace").strip()
                waits = retry_after_s(
                    answer.headers.get("Retry-After"), self._clock.wall_ns() / SECOND
                )
                found = verdict(answer.status, text)
                return Answer(found, f"{answer.status} {' '.join(text.split())[:200]}", waits)
        except (OSError, ValueError, aiohttp.ClientError) as error:
            # A file with a password may be missing or no text, as the network may be away.
            return Answer(Verdict.AGAIN, str(error) or type(error).__name__)

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        points: Sequence[Point],
        most_tries: int | None,
    ) -> Answer:
        """Post until the answer is final. Raises Unwilling after `most_tries`."""
        while True:
            answer = await self._post(session, points)
            if answer.verdict is not Verdict.AGAIN:
                return answer
            self._failed(answer)
            if most_tries is not None and self._failures >= most_tries:
                raise Unwilling(answer.said)
            await asyncio.sleep(pause_s(self._failures, answer.retry_after_s))

    def _failed(self, answer: Answer) -> None:
        self._failures += 1
        self.counters.stuck.set(1)
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        log.log(level, "backfill %s: nothing was taken: %s", self.endpoint.name, answer.said)

    def _moved(self) -> None:
        if self._failures:
            log.info("backfill %s: takes samples again", self.endpoint.name)
        self._failures = 0
        self.counters.stuck.set(0)

    async def deliver(
        self,
        session: aiohttp.ClientSession,
        points: Sequence[Point],
        most_tries: int | None = None,
    ) -> None:
        """Have every point taken or refused for good; both are counted.

        Waits and repeats for as long as the endpoint cannot answer. Raises Unwilling where it
        refuses the newest sample too, in words that are not known here, or after `most_tries`.
        """
        left = [sorted(points, key=lambda point: point.at_ms)] if points else []
        whole, aged, aged_ms = True, Verdict.TOO_OLD, -1
        while left:
            part = left.pop()
            kept = [one for one in part if one.at_ms > aged_ms]
            if len(kept) < len(part):
                self.counters.refuse(aged, len(part) - len(kept))
            if not kept:
                continue
            answer = await self._ask(session, kept, most_tries)
            if whole and answer.verdict is Verdict.OTHER:
                await self._probe(session, kept[-1], most_tries)
            whole = False
            if answer.verdict in BY_AGE:
                # If any of these is too old, the oldest is.
                aged, aged_ms = answer.verdict, kept[0].at_ms
            if answer.verdict is Verdict.TAKEN:
                self.counters.take(len(kept))
                self._moved()
            elif len(kept) == 1:
                self._refuse(answer)
                self._moved()
            else:
                left += _parts(kept, answer.verdict)

    async def _probe(
        self, session: aiohttp.ClientSession, newest: Point, most_tries: int | None
    ) -> None:
        """Raises Unwilling where not even the newest sample is taken: then it is not the samples
        that are wrong."""
        answer = await self._ask(session, [newest], most_tries)
        if answer.verdict is Verdict.OTHER:
            self._failed(answer)
            raise Unwilling(answer.said)

    def _refuse(self, answer: Answer) -> None:
        known = answer.verdict if answer.verdict is not Verdict.TOO_LARGE else Verdict.OTHER
        if not self.counters.refused[known]:
            log.warning("backfill %s: samples are refused: %s", self.endpoint.name, answer.said)
        self.counters.refuse(known, 1)

    @property
    def pause_s(self) -> float:
        """How long to wait after `Unwilling`."""
        return pause_s(max(self._failures, 1), None)


def _parts(points: list[Point], found: Verdict) -> list[list[Point]]:
    """What to ask for instead, the last first."""
    middle = len(points) // 2
    older, newer = points[:middle], points[middle:]
    if found is Verdict.TOO_OLD and len(older) > 1:
        # Alone, the older half's newest sample decides about all that are older. This store takes
        # what lies behind it afterwards; any other has to be asked in order of time.
        return [older[:-1], newer, older[-1:]]
    return [newer, older]
