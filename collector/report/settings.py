"""Settings of the audit documents: whose they are, when they are issued, to whom they are sent."""

from enum import StrEnum
from pathlib import PurePath
from typing import Annotated

import msgspec

from collector.audit.phrases import Language
from collector.sections import Section

FREEZE_AFTER_DAYS = 7
"""So long after its end a month waits for late evidence before it is issued (methodology 1.3)."""
TOLERANCE_S = 300
"""Edges may differ by so much; a help desk writes whole minutes, and late."""
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Address = Annotated[str, msgspec.Meta(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+\Z", max_length=254)]
LOGOS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}
"""Kinds of pictures that a letterhead takes, by the end of the file's name."""


class Form(StrEnum):
    """In which an audit is written."""

    HTML = "html"
    PDF = "pdf"
    XLSX = "xlsx"
    CSV = "csv"
    JSON = "json"


class Signer(Section, frozen=True, kw_only=True):
    """Who signs."""

    name: Text
    title: Text
    number: Text | None = None
    """Employee number (NIP)."""


class LetterheadSettings(Section, frozen=True, kw_only=True):
    """Head of the first page, and the block of signatures."""

    government: Text | None = None
    """Such as Pemerintah Kabupaten Contoh."""
    office: Text | None = None
    """Such as Dinas Komunikasi dan Informatika."""
    address: Text | None = None
    contact: Text | None = None
    logo_file: str | None = None
    """PNG, JPEG or SVG; relative to the settings file."""
    place: Text | None = None
    """Where it is signed."""
    made_by: Signer | None = None
    approved_by: Signer | None = None

    def __post_init__(self) -> None:
        name = self.logo_file
        if name is not None and PurePath(name).suffix.lower() not in LOGOS:
            raise ValueError(f"logo_file {name!r}: expected a name that ends in {', '.join(LOGOS)}")


class Recipients(Section, frozen=True, kw_only=True):
    """Who gets what: of a provider's links where one is named, else of all."""

    to: Annotated[tuple[Address, ...], msgspec.Meta(min_length=1)]
    provider: Text | None = None
    formats: Annotated[tuple[Form, ...], msgspec.Meta(min_length=1)] = (Form.PDF,)
    lang: Language = Language.ID


class ScheduleSettings(Section, frozen=True, kw_only=True):
    """Each month's audit of all links, issued by the collector itself."""

    day: Annotated[int, msgspec.Meta(ge=1, le=28)] = 8
    """Of the month after, by the contracts' clock; not before `freeze_after_days`."""
    hour: Annotated[int, msgspec.Meta(ge=0, le=23)] = 6
    formats: Annotated[tuple[Form, ...], msgspec.Meta(min_length=1)] = (Form.PDF, Form.JSON)
    lang: Annotated[tuple[Language, ...], msgspec.Meta(min_length=1)] = (Language.ID,)
    output_dir: str = "audits"
    """Where the files go; relative to data_dir."""
    mail: tuple[Recipients, ...] = ()


class AuditSettings(Section, frozen=True, kw_only=True):
    """docs/audit-document.md"""

    letterhead: LetterheadSettings = LetterheadSettings()
    ticket_tolerance_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = TOLERANCE_S
    """Edges of an outage and its ticket may differ by so much."""
    freeze_after_days: Annotated[int, msgspec.Meta(ge=0, le=60)] = FREEZE_AFTER_DAYS
    """A month waits so long for late evidence before it is issued."""
    schedule: ScheduleSettings | None = None
    """Without it, nothing is issued by itself."""

    def __post_init__(self) -> None:
        schedule = self.schedule
        if schedule is not None and schedule.day <= self.freeze_after_days:
            raise ValueError(
                f"schedule.day {schedule.day}: expected a day after freeze_after_days"
                f" ({self.freeze_after_days})"
            )

    @property
    def files(self) -> tuple[str, ...]:
        """All files that it names."""
        logo = self.letterhead.logo_file
        return () if logo is None else (logo,)
