import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.strip import Mark, Strip, View, join, mark, pack

SECONDS = st.lists(st.sampled_from([0, 1, 2, 0x155]), max_size=60)


def strip(seconds: list[int], start_s: int = 1_000) -> Strip:
    return Strip.of_seconds(start_s, np.array(seconds, np.uint16))


def test_a_code_holds_one_mark_per_view() -> None:
    code = pack({View.HUB: Mark.LOST, View.GATEWAY: Mark.OK, View.JOURNAL: Mark.OK})
    assert [mark(code, view) for view in View] == [
        Mark.LOST,
        Mark.NONE,
        Mark.NONE,
        Mark.OK,
        Mark.NONE,
        Mark.OK,
    ]


@given(SECONDS)
def test_runs_are_maximal_and_hold_every_second(seconds: list[int]) -> None:
    one = strip(seconds)
    assert one.seconds().tolist() == seconds
    assert one.end_s == 1_000 + len(seconds)
    runs = list(one.runs())
    assert all(a[1] == b[0] and a[2] != b[2] for a, b in itertools.pairwise(runs))


@given(SECONDS)
def test_bytes_give_the_same_strip(seconds: list[int]) -> None:
    one = strip(seconds)
    assert Strip.from_bytes(1_000, one.to_bytes()) == one


@given(SECONDS, st.integers(990, 1_080), st.integers(0, 80))
def test_a_slice_shows_nothing_where_nothing_is_known(
    seconds: list[int], start_s: int, length: int
) -> None:
    part = strip(seconds).slice(start_s, start_s + length)
    known = dict(enumerate(seconds, 1_000))
    assert part.seconds().tolist() == [known.get(start_s + k, 0) for k in range(length)]


@given(st.lists(st.one_of(SECONDS, st.just([1] * 5), st.just([])), min_size=1, max_size=8))
def test_joined_strips_are_one(parts: list[list[int]]) -> None:
    starts = itertools.accumulate((len(part) for part in parts), initial=1_000)
    one = join([strip(*told) for told in zip(parts, starts, strict=False)])
    assert one == strip(list(itertools.chain(*parts)))


def test_strips_that_do_not_meet_are_not_joined() -> None:
    with pytest.raises(ValueError, match="ends at 1002, the next begins at 1003"):
        join([strip([1, 1]), strip([1], 1_003)])


def test_bytes_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="strip of 7 bytes, expected 6 for each run"):
        Strip.from_bytes(0, b"1234567")
