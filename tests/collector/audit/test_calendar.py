from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.calendar import DAY_S, Month, Zone
from collector.audit.evidence import Span


def at(text: str) -> int:
    """UTC seconds of a time with its offset."""
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        (Zone.WIB, "2026-11-01T00:00:00+07:00"),
        (Zone.WITA, "2026-11-01T00:00:00+08:00"),
        (Zone.WIT, "2026-11-01T00:00:00+09:00"),
    ],
)
def test_a_month_begins_at_its_own_midnight(zone: Zone, midnight: str) -> None:
    span = Month(2026, 11, zone).span
    assert span.start_s == at(midnight)
    assert span.length_s == 30 * DAY_S
    assert Month.of(span.start_s, zone) == Month(2026, 11, zone)
    assert Month.of(span.start_s - 1, zone) == Month(2026, 10, zone)


@pytest.mark.parametrize(
    ("text", "days"), [("2026-12", 31), ("2026-02", 28), ("2028-02", 29), ("2026-11", 30)]
)
def test_months_have_their_days(text: str, days: int) -> None:
    month = Month.parse(text, Zone.WIB)
    assert str(month) == text
    assert month.span.length_s == days * DAY_S
    assert month.span.end_s == month.next.span.start_s


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "26-01", "0000-01", "2026-01-01"])
def test_anything_else_is_no_month(text: str) -> None:
    with pytest.raises(ValueError, match=f"month '{text}': expected the form 2026-11"):
        Month.parse(text, Zone.WIB)


@given(st.integers(0, 4_000_000_000), st.sampled_from(Zone))
def test_every_second_has_its_day_and_month(second: int, zone: Zone) -> None:
    here = datetime.fromtimestamp(second + zone.offset_s, UTC)
    assert zone.day_of(second) == here.date()
    assert zone.midnight_s(here.date()) <= second < zone.midnight_s(here.date()) + DAY_S
    span = Month.of(second, zone).span
    assert span.start_s <= second < span.end_s


def test_days_are_cut_at_the_midnights_here() -> None:
    noon = at("2026-11-24T12:00:00+07:00")
    midnights = [Zone.WIB.midnight_s(date(2026, 11, day)) for day in (25, 26)]
    assert Zone.WIB.days(Span(noon, noon + 2 * DAY_S)) == (
        Span(noon, midnights[0]),
        Span(midnights[0], midnights[1]),
        Span(midnights[1], noon + 2 * DAY_S),
    )
    assert Zone.WIB.days(Span(noon, noon)) == ()
