"""What is known of a quiet link without judging it is what judging it would say."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.correlation import observe
from collector.audit.evidence import Evidence, Span
from collector.audit.rules import UnavailabilityRule
from collector.audit.strip import Mark, Strip, View, pack
from collector.audit.timeline import runs
from collector.ledger.derived_schema import HOUR_S
from collector.settle.calm import QUARTER_S, Calms

H0 = 497_000
T0 = H0 * HOUR_S
OK, LOST, NONE, UNSENT = Mark.OK, Mark.LOST, Mark.NONE, Mark.UNSENT
RULE = UnavailabilityRule()


class Hours:
    """A store of one link's strip."""

    def __init__(self, strip: Strip) -> None:
        self.strip = strip

    def strips(self, link: str, start_s: int, end_s: int) -> list[Strip]:
        low, high = start_s // HOUR_S, -(-end_s // HOUR_S)
        return [self.strip.slice(hour * HOUR_S, (hour + 1) * HOUR_S) for hour in range(low, high)]


Fault = tuple[int, int, Mark, Mark]


@st.composite
def strips(draw: st.DrawFn) -> Strip:
    """Two hours: hub once a second, anchors every few, and faults, many at the edges of hours."""
    every = draw(st.sampled_from((1, 5, 10)))
    hub = np.full(2 * HOUR_S, OK, np.uint16)
    anchor = np.where(np.arange(2 * HOUR_S) % every == 0, OK, NONE).astype(np.uint16)
    places = st.one_of(
        st.integers(0, 2 * HOUR_S - 1), st.integers(HOUR_S - 80, HOUR_S + 20), st.just(QUARTER_S)
    )
    marks = st.sampled_from(list(Mark))
    for at in draw(st.lists(places, max_size=8)):
        length = draw(st.one_of(st.integers(1, 3), st.integers(8, 14), st.just(200)))
        here = slice(at, min(at + length, 2 * HOUR_S))
        if draw(st.booleans()):
            hub[here] = draw(marks)
        if draw(st.booleans()):
            anchor[here][anchor[here] != NONE] = draw(marks)
    return Strip.of_seconds(
        T0, hub << np.uint16(2 * View.HUB) | anchor << np.uint16(2 * View.ANCHOR)
    )


@given(strips(), st.integers(0, 7), st.integers(1, 8), st.integers(0, 899))
def test_a_quiet_window_is_told_as_it_would_be_judged(
    strip: Strip, first: int, quarters: int, less_s: int
) -> None:
    start_s = T0 + first * QUARTER_S
    end_s = min(start_s + quarters * QUARTER_S - less_s, T0 + 2 * HOUR_S)
    window = Span(start_s, end_s)
    told = Calms(Hours(strip)).observed("a", "p", window, RULE)  # type: ignore[arg-type]
    part = strip.slice(*window)
    plain = observe(Evidence(link="a", pop="p", strip=part), runs(part, RULE))
    assert told is None or told == plain


def whole(hub: Mark = OK, anchor: Mark = OK) -> Strip:
    code = pack({View.HUB: hub, View.ANCHOR: anchor})
    return Strip.of_seconds(T0, np.full(2 * HOUR_S, code, np.uint16))


def test_single_losses_leave_a_link_quiet() -> None:
    seconds = whole().seconds()
    seconds[100::300] = pack({View.HUB: LOST, View.ANCHOR: LOST})
    calms = Calms(Hours(Strip.of_seconds(T0, seconds)))  # type: ignore[arg-type]
    assert calms.observed("a", "p", Span(T0, T0 + HOUR_S), RULE) is not None


def test_a_rule_that_a_short_loss_can_trip_is_judged() -> None:
    calms = Calms(Hours(whole()))  # type: ignore[arg-type]
    window = Span(T0, T0 + QUARTER_S)
    assert calms.observed("a", "p", window, UnavailabilityRule(bins_in=2)) is None
    assert calms.observed("a", "p", window, UnavailabilityRule(bin_s=10)) is None


def test_an_hour_is_remembered_until_it_changes() -> None:
    hours = Hours(whole())
    calms = Calms(hours)  # type: ignore[arg-type]
    window = Span(T0, T0 + QUARTER_S)
    assert calms.observed("a", "p", window, RULE) is not None
    hours.strip = whole(hub=LOST)
    assert calms.observed("a", "p", window, RULE) is not None
    calms.forget([("a", H0)])
    assert calms.observed("a", "p", window, RULE) is None
