"""How the documents write numbers, moments and words in one language. Pure.

Nothing is computed here: a value gets its unit, its decimal sign and its place in a sentence.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from fractions import Fraction

from collector.audit.calendar import Zone
from collector.audit.phrases import Language
from collector.audit.words import Words
from collector.report.phrases import PHRASES
from collector.report.record import Range
from collector.report.sentences import sentence

NOTHING = "–"
_MONTHS: Mapping[Language, tuple[str, ...]] = {
    Language.ID: (
        "Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli", "Agustus", "September",
        "Oktober", "November", "Desember",
    ),
    Language.EN: (
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ),
}  # fmt: skip
_UNITS: Mapping[Language, tuple[str, str, str, str]] = {
    Language.ID: ("hari", "jam", "mnt", "dtk"),
    Language.EN: ("d", "h", "min", "s"),
}
_NAME = re.compile(r"[a-z_]{3,}")


class Speech:
    """One language, in one time zone."""

    def __init__(self, language: Language, zone: Zone) -> None:
        self.language, self.zone = language, zone
        self._at = 0 if language is Language.ID else 1
        self._local = timezone(timedelta(seconds=zone.offset_s), zone.value)
        self._words = Words(language)

    def say(self, key: str, **places: object) -> str:
        """A sentence. Raises KeyError for one that there is not, or a place without a value."""
        return PHRASES[key][self._at].format_map(places)

    def word(self, kind: str, one: StrEnum | str | None) -> str:
        """A member of a closed set; `kind.none` for None."""
        return self.say(f"{kind}.{'none' if one is None else str(one)}")

    def why(self, clauses: str) -> str:
        """The reason of an interval as a sentence."""
        return sentence(clauses, self.language, self._local)

    def test_reason(self, told: str) -> str:
        """Why a throughput test does not count."""
        return self.say(f"test.{told}") if f"test.{told}" in PHRASES else self._words.reason(told)

    # --- numbers --------------------------------------------------------------------------

    def _signs(self, text: str) -> str:
        """Decimal comma and thousands' dots in Indonesian."""
        return text.translate(str.maketrans(",.", ".,")) if self.language is Language.ID else text

    def whole(self, value: int | None) -> str:
        """Such as 12.500."""
        return NOTHING if value is None else self._signs(f"{value:,}")

    def number(self, value: float | None, digits: int = 2) -> str:
        """With so many decimals."""
        return NOTHING if value is None else self._signs(f"{value:,.{digits}f}")

    def percent(self, share: float | None, digits: int = 4) -> str:
        """Cut and not rounded: 99.49999 % must not read as a target of 99.5 % that was met."""
        if share is None:
            return NOTHING
        cut = (100 * Decimal(str(share))).quantize(Decimal(1).scaleb(-digits), ROUND_DOWN)
        return f"{self._signs(f'{cut:,}')} %"

    def rupiah(self, value: int | None) -> str:
        """Such as Rp12.500.000."""
        return NOTHING if value is None else f"Rp{self.whole(value)}"

    def exact(self, name: str, value: str) -> str:
        """A value of a restitution's arithmetic."""
        number = Fraction(value)
        if name.endswith("_rupiah"):
            return self.rupiah(int(number)) if number.denominator == 1 else self.cents(value)
        if name.endswith("_s"):
            unit = _UNITS[self.language][3]
            return f"{self.whole(int(number))} {unit}"
        return self.percent(float(number))

    def cents(self, value: str | None) -> str:
        """An exact amount to the hundredth, cut."""
        if value is None:
            return NOTHING
        cut = Fraction(value) * 100 // 1
        return f"Rp{self.whole(cut // 100)}{self._signs('.')}{cut % 100:02}"

    def formula(self, formula: str) -> str:
        """A formula with its names as words."""
        signs = formula.replace("*", "×").replace("/", "÷").replace(" - ", " − ")
        return _NAME.sub(
            lambda found: (
                self.say(f"name.{found[0]}") if f"name.{found[0]}" in PHRASES else found[0]
            ),
            signs,
        )

    def milliseconds(self, found: Range | None) -> str:
        """A round trip by the upper bound of its bucket."""
        if found is None:
            return NOTHING
        return self.say("lost") if found.high_s is None else self.ms(found.high_s)

    def ms(self, seconds: float | None) -> str:
        """Such as 12,4 ms."""
        return NOTHING if seconds is None else f"{self.number(seconds * 1000, 1)} ms"

    def mbps(self, value: float | None) -> str:
        """Such as 9,52 Mbit/s."""
        return NOTHING if value is None else f"{self.number(value)} Mbit/s"

    def bps(self, value: float | None) -> str:
        """Bits per second in Mbit/s, without the unit."""
        return NOTHING if value is None else self._signs(f"{value / 1e6:,g}")

    # --- times ----------------------------------------------------------------------------

    def length(self, seconds: float | None) -> str:
        """Such as 2 jam 30 mnt; seconds are said as long as they are not all zero."""
        if seconds is None:
            return NOTHING
        days, hours, minutes, rest = _split(abs(round(seconds)))
        units = _UNITS[self.language]
        said = [
            f"{value} {unit}"
            for value, unit in zip((days, hours, minutes, rest), units, strict=True)
            if value
        ]
        return ("−" if seconds < 0 else "") + (" ".join(said) or f"0 {units[3]}")

    def signed(self, seconds: int | None) -> str:
        """A difference, with its sign."""
        if seconds is None:
            return NOTHING
        return self.length(seconds) if seconds <= 0 else f"+{self.length(seconds)}"

    def moment(self, at_s: float | None) -> str:
        """Local date and time, to the second."""
        if at_s is None:
            return self.say("lasts")
        local = datetime.fromtimestamp(at_s, UTC).astimezone(self._local)
        return f"{local:%d-%m-%Y %H:%M:%S}"

    def clock(self, at_s: float | None) -> str:
        """Local time with tenths: the bounds of an edge."""
        if at_s is None:
            return NOTHING
        local = datetime.fromtimestamp(at_s, UTC).astimezone(self._local)
        return self._signs(f"{local:%H:%M:%S}.{local.microsecond // 100_000}")

    def day_at(self, at_s: float) -> str:
        """Such as 3 Juni 2026."""
        return self.day(self.zone.day_of(at_s))

    def day(self, one: date) -> str:
        """The same of a local day."""
        return f"{one.day} {_MONTHS[self.language][one.month - 1]} {one.year}"

    def day_text(self, text: str) -> str:
        """The same of a day such as 2026-06-03."""
        return self.day(date.fromisoformat(text))

    def month(self, text: str) -> str:
        """Of 2026-06: Juni 2026."""
        year, number = text.split("-")
        return f"{_MONTHS[self.language][int(number) - 1]} {year}"


def _split(seconds: int) -> tuple[int, int, int, int]:
    return seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60
