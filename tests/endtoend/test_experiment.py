"""Experiment G by whole programs: a line that was sold twice is found out, two lines are not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endtoend.sharing import OWN, SHARED, Province, played, staged

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]
PAIRS = 5
"""As few as can make an exact p-value below 0.05: 2^-5. A finding in words needs ten."""


@pytest.fixture
def province(tmp_path: Path) -> Iterator[Province]:
    with staged(tmp_path, 2) as made:
        yield made


def test_sites_that_share_a_line_have_less_together_and_others_do_not(province: Province) -> None:
    wanted = {SHARED: PAIRS, OWN: 2}
    found = played(province, wanted, 1.0)
    if "failed" in {one["state"] for one in found.values()}:
        # This machine was too busy to measure too many of the pairs, and they say so.
        found = played(province, wanted, 1.0)
    shared, own = found[SHARED], found[OWN]
    assert shared["state"] == own["state"] == "done", found
    result = shared["result"]
    assert (result["repeats"], result["wins"], result["p"]) == (PAIRS, PAIRS, 2.0**-PAIRS)
    assert result["solo_ratio"] > 0.90
    # Both lines together carry what one of them was sold for; but of a load of a second a part
    # may be over before the other site's begins.
    assert 0.45 < result["ratio"] < 0.8
    assert result["contention"] == pytest.approx(1 / result["ratio"])
    # What the sites had there alone and together is the same: nothing that ten pairs would find.
    assert own["result"]["solo_ratio"] > 0.90 and own["result"]["ratio"] > 0.90
