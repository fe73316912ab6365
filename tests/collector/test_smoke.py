"""The smoke plot's bins, and the reasons in two languages."""

from string import Formatter

import pytest

from collector.audit.calendar import Zone
from collector.audit.evidence import Span
from collector.audit.histogram import of_ns, upper
from collector.audit.phrases import Language
from collector.audit.reasons import INDONESIAN, reason
from collector.audit.why import Clause, clause, join
from collector.ledger.recent import Passage
from collector.smoke import MOST_BINS, SHARES, puffs, step, width_s
from collector.web.render import tz

MS = 1_000_000
T0 = 1_790_000_000 // 3600 * 3600


def passage(
    at_s: int, rtts_ms: list[float], lost: int = 0, ways: tuple[int, int] | None = None
) -> Passage:
    forward, reverse = (None, None) if ways is None else ways
    histogram = of_ns([round(one * MS) for one in rtts_ms], lost)
    return Passage(at_s, histogram, len(rtts_ms) + lost, forward, reverse)


def test_bins_hold_percentiles_of_what_came_back_and_all_losses() -> None:
    told = [passage(T0 + 5, [10] * 50 + [20] * 40, 10), passage(T0 + 65, [30] * 9 + [90], 0)]
    found = puffs(told, Span(T0, T0 + 180))
    assert [one.at_s for one in found] == [T0, T0 + 60, T0 + 120]
    first, second, third = found
    assert first.loss_ratio == 0.1
    assert first.rtts_s is not None
    assert len(first.rtts_s) == len(SHARES)
    median = first.rtts_s[len(SHARES) // 2]
    assert 0.01 <= median < 0.01 * upper(1) ** 1  # within its bucket
    assert second.rtts_s is not None
    assert second.rtts_s[-1] >= 0.09
    assert third.rtts_s is None and third.loss_ratio is None


def test_a_bin_of_nothing_but_loss_has_no_times() -> None:
    (found,) = puffs([passage(T0, [], 60)], Span(T0, T0 + 60))
    assert (found.rtts_s, found.loss_ratio, found.step) == (None, 1.0, 4)


def test_losses_each_way_are_of_batches_that_tell_them() -> None:
    told = [
        passage(T0, [10] * 90, 10, (6, 4)),
        passage(T0 + 10, [10] * 50, 50),  # a reflector that does not count
    ]
    (found,) = puffs(told, Span(T0, T0 + 60))
    assert found.forward_ratio == 0.06
    assert found.reverse_ratio == pytest.approx(4 / 94)
    assert found.loss_ratio == 60 / 200
    (untold,) = puffs(told[1:], Span(T0, T0 + 60))
    assert (untold.forward_ratio, untold.reverse_ratio) == (None, None)


@pytest.mark.parametrize("length_s", [60, 3600, 10_800, 86_400, 7 * 86_400, 31 * 86_400])
def test_every_span_has_few_enough_bins_that_cover_it(length_s: int) -> None:
    for begin in (T0, T0 + 17):
        span = Span(begin, begin + length_s)
        found = puffs([], span)
        assert 1 <= len(found) <= MOST_BINS + 1
        assert found[0].at_s <= span.start_s
        assert found[-1].at_s + width_s(span) >= span.end_s


def test_steps_of_loss() -> None:
    assert [step(loss) for loss in (0, 0.001, 0.005, 0.006, 0.03, 0.1, 0.11, 1)] == [
        0, 1, 1, 2, 3, 3, 4, 4,
    ]  # fmt: skip


# --- words ----------------------------------------------------------------------------------


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_clause_is_told_in_indonesian_with_the_same_facts() -> None:
    assert set(INDONESIAN) == set(Clause)
    for key, text in INDONESIAN.items():
        assert places(text) == places(key.value), key


def test_a_reason_in_both_languages_by_the_links_clock() -> None:
    why = join(
        clause(Clause.BEYOND_LOST, hub=60, anchor=58, length_s=60),
        clause(Clause.CPE_RAN, cpe_at=1_790_000_000),
    )
    english = reason(why, Language.EN, tz(Zone.WITA))
    assert english.startswith("The hub was lost in 60")
    indonesian = reason(why, Language.ID, tz(Zone.WITA))
    assert indonesian == (
        "Hub hilang dalam 60 dan titik acuan dalam 58 dari 60 detik;"
        " CPE berjalan tanpa putus sejak 2026-09-21 22:13:20 WITA."
    )
    assert reason("", Language.ID) == ""
