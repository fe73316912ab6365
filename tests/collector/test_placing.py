"""Which witness of the time is believed."""

from typing import Any

import pytest

from collector.ledger import PlacedBy, Placement
from collector.placing import believable, by_anchor, nearest, place
from tests.collector.kit import HUB_NOW, MS, SECOND, WALL_AT_BOOT, Box, anchor, train
from wire.batch import Header
from wire.instant import ClockClass
from wire.journal import Anchor

DAY = 86_400 * SECOND


def header(**changes: Any) -> Header:
    """Ends at boot 110 s, is sealed at 111 s."""
    return Box().draft([train([20] * 11)], **changes).header


@pytest.mark.parametrize(
    ("clock", "error_ns"),
    [(ClockClass.A, 10 * MS), (ClockClass.B, 100 * MS), (ClockClass.C, SECOND)],
)
def test_a_synchronised_agent_is_believed_within_its_class(
    clock: ClockClass, error_ns: int
) -> None:
    placement = place(header(clock=clock), HUB_NOW, None)
    assert placement == Placement(WALL_AT_BOOT, error_ns, PlacedBy.AGENT)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"clock": ClockClass.D}, "nobody synchronises it"),
        ({"sealed_wall_ns": HUB_NOW + 20 * MS}, "it claims to be from the future"),
        ({"clock": ClockClass.D, "sealed_wall_ns": 111 * SECOND}, "1970"),
    ],
)
def test_without_a_believable_clock_a_batch_was_sealed_before_it_arrived(
    changes: dict[str, Any], why: str
) -> None:
    placement = place(header(**changes), HUB_NOW, None)
    assert placement == Placement(HUB_NOW - 111 * SECOND, None, PlacedBy.RECEIVED), why


def test_an_anchor_beats_a_synchronised_agent() -> None:
    placement = place(header(clock=ClockClass.A), HUB_NOW, anchor(110, wrong_s=3))
    assert placement == Placement(WALL_AT_BOOT + 3 * SECOND, 5 * MS, PlacedBy.ANCHOR)


@pytest.mark.parametrize("boot_s", [10, 210])
def test_an_anchors_error_grows_by_100_ppm_of_the_distance_on_both_sides(boot_s: float) -> None:
    assert place(header(), HUB_NOW, anchor(boot_s)).error_ns == 5 * MS + 10 * MS


@pytest.mark.parametrize(
    ("hub_wall_ns", "expected"),
    [
        (HUB_NOW, True),
        (HUB_NOW + SECOND, True),
        (HUB_NOW + SECOND + 1, False),
        (0, True),
        (-1, False),
    ],
)
def test_an_anchor_names_a_moment_of_the_hubs_past(hub_wall_ns: int, expected: bool) -> None:
    assert believable(Anchor(0, hub_wall_ns, 0), HUB_NOW) is expected


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (anchor(110, wrong_s=2 * 86_400), "the anchor itself is in the future"),
        (Anchor(0, HUB_NOW, 5 * MS), "it would have been sealed after it arrived"),
    ],
)
def test_an_anchor_that_leads_into_the_future_leaves_the_word_to_the_agent(
    lie: Anchor, why: str
) -> None:
    assert place(header(), HUB_NOW, lie).placed_by is PlacedBy.AGENT, why
    unsure = place(header(clock=ClockClass.D), HUB_NOW, lie)
    assert unsure.placed_by is PlacedBy.RECEIVED, why


def test_of_two_anchors_the_one_with_less_error_at_that_moment_is_nearest() -> None:
    vague_and_near, sharp_and_far = anchor(110, error_ms=500), anchor(10, error_ms=1)
    assert nearest([vague_and_near, sharp_and_far], 110 * SECOND) == sharp_and_far
    assert nearest([], 0) is None


def test_an_anchor_places_the_whole_boot() -> None:
    assert by_anchor(anchor(100), 100 * SECOND + DAY).offset_ns == WALL_AT_BOOT
