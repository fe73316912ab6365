"""What counts as one event now: the audit's numbers, asked of the links that are lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.together import Look, at_hub, is_event, most_within, pages

MOMENTS = st.lists(st.integers(0, 300), max_size=12)


def looks(up: int, *lost_since_s: float, pop: str = "A") -> list[Look]:
    return [Look(pop, "P", None)] * up + [Look(pop, "P", at_s) for at_s in lost_since_s]


@given(MOMENTS, st.integers(0, 100))
def test_the_most_within_a_span_is_what_trying_every_start_finds(
    starts: list[int], within: int
) -> None:
    tried = [sum(first <= one <= first + within for one in starts) for first in starts]
    assert most_within(starts, within) == max(tried, default=0)


@pytest.mark.parametrize(
    ("up", "lost", "event"),
    [
        (0, (), False),
        (0, (0, 0), False),  # a PoP of two links
        (0, (0, 30, 60), True),
        (0, (0, 30, 61), False),  # not together
        (7, (0, 0, 0), True),
        (8, (0, 0, 0), False),  # 3 of 11 are less than 30 %
        (41, (0,) * 18, True),  # a PoP of sixty, one short of too few
        (43, (0,) * 18, False),
        (7, (-9_000, -8_000, -7_000, 0, 0, 0), True),  # what was dark before does not count
    ],
)
def test_a_pop_is_lost_by_the_audits_rule(up: int, lost: tuple[float, ...], event: bool) -> None:
    assert is_event(looks(up, *lost), 60, 0.3) is event


def test_nearly_all_links_of_two_pops_within_ten_seconds_are_the_hubs() -> None:
    others = looks(0, 3, 5, pop="B")
    assert at_hub(looks(0, 0, 1) + others)
    assert not at_hub(looks(1, 0, 1) + others), "one of five is still heard"
    assert at_hub(looks(1, *[0] * 20) + others), "one straggler of 23"
    assert not at_hub(looks(0, 0, 1, 2, 3)), "a single PoP explains that itself"
    assert not at_hub(looks(0, 0, 1, 20) + others), "not at once"
    assert not at_hub([])


def test_every_pop_has_its_numbers_by_provider() -> None:
    shown = [*looks(1, 0, 10, 70), Look("A", 'Q"', None)]
    lines = "".join(line for _, its in pages(shown) for line in its)
    assert lines == (
        'pantau_pop_links{pop="A",provider="P"} 4\n'
        'pantau_pop_links{pop="A",provider="Q\\""} 1\n'
        'pantau_pop_links_lost{pop="A",provider="P"} 3\n'
        'pantau_pop_links_lost{pop="A",provider="Q\\""} 0\n'
        'pantau_pop_links_lost_together{pop="A",provider="P"} 2\n'
        'pantau_pop_links_lost_together{pop="A",provider="Q\\""} 0\n'
        'pantau_pop_event{pop="A",provider="P"} 0\n'
        'pantau_pop_event{pop="A",provider="Q\\""} 0\n'
        "pantau_hub_event 0\n"
    )
