"""An audit as one HTML file: templates fill in what the record holds, and compute nothing.

The file needs nothing from outside: style, logo and plots are in it. Every text is escaped.
"""

import base64
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from collector.audit.calendar import Zone
from collector.audit.phrases import Language
from collector.report.issue import Made
from collector.report.plots import calendar, hours, smoke, timeline, trend
from collector.report.record import LinkPart, PeriodPart, ThroughputPart, TrendMonth
from collector.report.settings import LOGOS, LetterheadSettings, Signer
from collector.report.speech import Speech

MOST_LOGO_BYTES = 1_000_000
SHOWN_CHANGES = 60


class Letterhead(NamedTuple):
    """Whose document it is."""

    settings: LetterheadSettings = LetterheadSettings()
    logo: str | None = None
    """As a data URI."""


def letterhead(settings: LetterheadSettings, folder: Path) -> Letterhead:
    """With the logo read, its path relative to `folder`. Raises OSError or ValueError."""
    if settings.logo_file is None:
        return Letterhead(settings)
    file = folder / settings.logo_file
    data = file.read_bytes()
    if len(data) > MOST_LOGO_BYTES:
        raise ValueError(f"{file}: {len(data)} bytes, a logo has {MOST_LOGO_BYTES} at most")
    kind = LOGOS[file.suffix.lower()]
    return Letterhead(settings, f"data:{kind};base64,{base64.b64encode(data).decode()}")


class _Plots:
    """The pictures, as safe markup: their own code escapes what is written in them."""

    @staticmethod
    def calendar(part: PeriodPart, speech: Speech) -> Markup:
        return Markup(calendar.calendar(part, speech))

    @staticmethod
    def timeline(part: PeriodPart, speech: Speech) -> Markup:
        return Markup(timeline.timeline(part, speech))

    @staticmethod
    def smoke(part: PeriodPart, speech: Speech) -> Markup:
        return Markup(smoke.smoke(part, speech))

    @staticmethod
    def hours(part: ThroughputPart, speech: Speech) -> Markup:
        return Markup(hours.hours(part, speech))

    @staticmethod
    def trend(months: Sequence[TrendMonth], speech: Speech) -> Markup:
        return Markup(trend.trend(months, speech))


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Escapes everything; an unknown name is an error and no empty place."""
    return Environment(
        loader=PackageLoader("collector.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class Pages(NamedTuple):
    """What of an audit is rendered."""

    cover: bool
    """Summary, comparison and changes."""
    links: Sequence[LinkPart]


def whole(made: Made) -> Pages:
    """All in one document."""
    return Pages(True, made.document.audit.links)


def render(made: Made, pages: Pages, language: Language, head: Letterhead) -> str:
    """The document in one language."""
    doc, audit = made.document, made.document.audit
    speech = Speech(language, Zone(audit.zone))
    letter = head.settings
    issued_s = None if made.issued is None else made.issued.issued_s
    signed_on = "" if issued_s is None else speech.day_at(issued_s)
    context: dict[str, Any] = {
        "s": speech,
        "speech_in": lambda zone: Speech(language, Zone(zone)),
        "doc": doc,
        "audit": audit,
        "links": pages.links,
        "cover": pages.cover,
        "issued": made.issued is not None,
        "status": _status(made, speech),
        "letter": letter,
        "logo": head.logo,
        "margins": _margins(
            f"{letter.office or 'Pantau'} – {audit.month} – SHA-256 {made.sha256[:16]}", speech
        ),
        "signed_on": signed_on or "........................",
        "signers": _signers(letter, speech),
        "more_changes": max(0, len(doc.changes) - SHOWN_CHANGES) + doc.changes_left_out,
        "sha256": made.sha256,
        "plots": _Plots,
        "style": Markup(_style()),
    }
    return environment().get_template("document.html").render(context)


def _margins(foot: str, speech: Speech) -> Markup:
    """What stands in the margins of every printed page."""
    page, of = (_css(speech.say(key)) for key in ("page", "page.of"))
    small = "font-size: 7.5pt; color: #555;"
    rules = (
        f'@page {{ @bottom-left {{ content: "{_css(foot)}"; {small} }}'
        f' @bottom-right {{ content: "{page} " counter(page) " {of} " counter(pages); {small} }} }}'
    )
    return Markup(rules)


def _css(text: str) -> str:
    """In a CSS string: all but letters, digits and spaces by their code points."""
    return "".join(
        one if one.isascii() and (one.isalnum() or one == " ") else f"\\{ord(one):06x} "
        for one in text
    )


def _status(made: Made, speech: Speech) -> str:
    one = made.issued
    if one is None:
        return speech.say("draft")
    return speech.say(
        "issued",
        when=speech.day_at(one.issued_s),
        by=one.issued_by,
        revision=speech.whole(one.revision),
    )


def _signers(letter: LetterheadSettings, speech: Speech) -> list[tuple[str, Signer | None]]:
    return [
        (speech.say("sign.made"), letter.made_by),
        (speech.say("sign.approved"), letter.approved_by),
        (speech.say("sign.provider"), None),
    ]


@lru_cache(maxsize=1)
def _style() -> str:
    return (Path(__file__).with_name("templates") / "style.css").read_text()
