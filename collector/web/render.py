"""Pages out of templates: language, numbers and times in local form, and what every page holds.

Templates show and do not compute. Everything that is filled in is escaped; scripts and styles are
files of our own, so the policy that goes with a page allows no others.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web
from babel.dates import format_datetime
from babel.numbers import format_decimal
from markupsafe import Markup

from collector.access.roles import Asker, Right
from collector.audit.calendar import Zone
from collector.audit.phrases import Language
from collector.web.guard import ASKER, Refused
from collector.web.static import StaticFiles
from collector.web.texts import TEXTS
from runtime.clock import Clock
from runtime.version import VERSION

TEMPLATES = Path(__file__).with_name("templates")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
LANGUAGE_COOKIE = "pantau_language"
PACKED_BESIDE_BYTES = 32_768
"""What is longer is compressed in a thread too."""
IANA = {Zone.WIB: "Asia/Jakarta", Zone.WITA: "Asia/Makassar", Zone.WIT: "Asia/Jayapura"}


class Texts:
    """What is said in one language; numbers and times in its form."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._at = list(Language).index(language)

    def __call__(self, key: str, **places: object) -> str:
        """The text of `key`, filled. Raises KeyError for one that there is not."""
        text = TEXTS[key][self._at]
        return text.format(**places) if places else text

    def member(self, kind: str, value: str) -> str:
        """The words for a member of a closed set."""
        return TEXTS[f"{kind}.{value}"][self._at]

    def of(self, *prefixes: str) -> dict[str, str]:
        """All texts whose keys begin so, for a script."""
        return {key: told[self._at] for key, told in TEXTS.items() if key.startswith(prefixes)}

    # --- numbers and times ------------------------------------------------------------------

    def number(self, value: float | None, digits: int = 0) -> str:
        """With the language's signs; a dash for what is not known."""
        if value is None:
            return "–"
        return _decimal(value, digits, self.language.value)

    def share(self, value: float | None, digits: int = 2) -> str:
        """A ratio in percent."""
        return "–" if value is None else f"{self.number(100 * value, digits)} %"

    def milliseconds(self, seconds: float | None) -> str:
        """Of a delay."""
        return "–" if seconds is None else f"{self.number(1000 * seconds, 1)} ms"

    def megabits(self, bits_per_s: float | None) -> str:
        """Of a rate."""
        if bits_per_s is None:
            return "–"
        mbps = bits_per_s / 1e6
        return f"{self.number(mbps, 0 if mbps == int(mbps) else 2)} Mbit/s"

    def length(self, seconds: float | None) -> str:
        """Two units of a length of time, such as 2 h 05 min."""
        if seconds is None:
            return "–"
        sign, whole = ("−" if seconds < 0 else ""), round(abs(seconds))
        for unit, size, part, part_size in (
            ("d", 86_400, "h", 3600),
            ("h", 3600, "min", 60),
            ("min", 60, "s", 1),
        ):
            if whole >= size:
                rest = whole % size // part_size
                words = f"{whole // size} {self(f'unit.{unit}')}"
                return sign + (f"{words} {rest:02} {self(f'unit.{part}')}" if rest else words)
        return f"{sign}{whole} {self('unit.s')}"

    def ago(self, seconds: float) -> str:
        """How long ago."""
        return self("ago", length=self.length(max(0.0, seconds)))

    def moment(self, at_s: float | None, zone: Zone, *, seconds: bool = True) -> str:
        """A moment by the zone's clock, with its name."""
        if at_s is None:
            return "–"
        form = "d MMM yyyy HH:mm:ss" if seconds else "d MMM yyyy HH:mm"
        at = datetime.fromtimestamp(at_s, tz(zone))
        return f"{format_datetime(at, form, locale=self.language.value)} {zone}"

    def month(self, year: int, number: int) -> str:
        """Such as November 2026."""
        at = datetime(year, number, 1, tzinfo=UTC)
        return str(format_datetime(at, "MMMM yyyy", locale=self.language.value))


@lru_cache(maxsize=16_384)
def _decimal(value: float, digits: int, language: str) -> str:
    """Kept, because a month of a thousand links is thousands of numbers, and most are alike."""
    form = "#,##0" + ("." + "0" * digits if digits else "")
    return str(format_decimal(value, form, locale=language))


def tz(zone: Zone) -> timezone:
    """The zone's clock."""
    return timezone(timedelta(seconds=zone.offset_s), zone)


def language_of(request: web.Request) -> Language:
    """As chosen, or as the browser asks for; Indonesian where neither says."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in list(Language):
        return Language(chosen)
    for part in request.headers.get("Accept-Language", "").split(","):
        tag = part.split(";")[0].strip().lower().partition("-")[0]
        if tag in list(Language):
            return Language(tag)
    return Language.ID


def as_script(data: Any) -> Markup:
    """Data for a <script type="application/json">: no text in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


class Renderer:
    """Makes pages."""

    def __init__(self, static: StaticFiles, clock: Clock) -> None:
        self._static, self._clock = static, clock
        self._texts = {language: Texts(language) for language in Language}
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.filters["script"] = as_script
        self._env.globals.update(static=static.path, version=VERSION, Right=Right)

    def texts(self, request: web.Request) -> Texts:
        """What is said to whoever asks."""
        return self._texts[language_of(request)]

    async def page(
        self,
        request: web.Request,
        template: str,
        told: Mapping[str, Any],
        status: int = HTTPStatus.OK,
    ) -> web.Response:
        """A whole page; `told` is what its template shows.

        In a thread: a thousand rows take a while, and the reflector answers from this one.
        """
        who: Asker | None = request.get(ASKER)
        t = self.texts(request)
        render = self._env.get_template(template).render
        now_s = self._clock.wall_ns() / 1e9
        text = await asyncio.to_thread(render, t=t, who=who, path=request.path, now_s=now_s, **told)
        answer = web.Response(
            text=text,
            content_type="text/html",
            charset="utf-8",
            status=status,
            zlib_executor_size=PACKED_BESIDE_BYTES,
        )
        answer.headers.update(
            {
                "Content-Security-Policy": POLICY,
                "Cache-Control": "no-store",
                "Referrer-Policy": "same-origin",
                "Vary": "Cookie, Accept-Language",
            }
        )
        answer.enable_compression()
        return answer

    async def problem(self, request: web.Request, refused: Refused) -> web.Response:
        """A page that says why there is none."""
        told = {"status": int(refused.status), "why": str(refused)}
        return await self.page(request, "problem.html", told, refused.status)
