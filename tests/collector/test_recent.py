"""The last day in half hours, the drawing of the map, and the signs of the board's lines."""

import random
from pathlib import Path

import pytest

from collector.ledger.recent import Arrivals, Minute
from collector.ledger.sqlite import SqliteLedger
from collector.recent import BIN_S, BINS, Bin, Day
from collector.web.atlas import MARGIN, WIDTH, Place, atlas, hull
from collector.web.feed import LEVELS, NOTHING, spark
from tests.collector.kit import HUB_NOW, SECOND, Box, anchor, entry, heartbeat, train

NOW = 1_790_000_000
MS = 1_000_000


def minute(ago_s: int, *, sent: int = 60, lost: int = 0, rtt_ms: int = 20) -> Minute:
    return Minute(1, "l1", NOW - ago_s, sent, lost, (sent - lost) * rtt_ms * MS)


def test_half_hours_add_up_and_what_is_not_known_is_none() -> None:
    day = Day()
    day.take([minute(0), minute(1, lost=30, rtt_ms=40), minute(BIN_S)])
    bins = day.bins("l1", NOW)
    assert len(bins) == BINS
    assert bins[-1].loss_ratio == 0.25
    assert bins[-1].rtt_s == pytest.approx((60 * 0.02 + 30 * 0.04) / 90)
    assert bins[-2] == Bin(pytest.approx(0.02), 0.0)
    assert bins[0] == Bin(None, None)
    assert day.bins("l2", NOW) == [Bin(None, None)] * BINS


def test_a_half_hour_of_nothing_but_loss_has_no_round_trip() -> None:
    day = Day()
    day.take([minute(0, lost=60)])
    assert day.bins("l1", NOW)[-1] == Bin(None, 1.0)


def test_late_evidence_fills_its_own_half_hour_and_a_day_forgets() -> None:
    day = Day()
    day.take([minute(0), minute(3 * BIN_S)])
    day.take([minute(2 * BIN_S, lost=60)])
    assert day.bins("l1", NOW)[-3].loss_ratio == 1.0
    day.take([minute(BINS * BIN_S)])  # as old as the ring is long: the place is taken
    assert day.bins("l1", NOW)[-1].loss_ratio == 0.0
    assert day.bins("l1", NOW + BINS * BIN_S) == [Bin(None, None)] * BINS


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_arrival_gives_the_same_day(seed: int) -> None:
    chance = random.Random(seed)
    told = [minute(60 * k, lost=k % 5, rtt_ms=10 + k % 9) for k in range(1300)]
    first, second = Day(), Day()
    first.take(told)
    chance.shuffle(told)
    second.take(told)
    assert first.bins("l1", NOW) == second.bins("l1", NOW)


def test_many_links_grow_the_table() -> None:
    day = Day()
    day.take([Minute(1, f"l{k}", NOW, 60, k % 2 * 60, 0) for k in range(500)])
    assert [day.bins(f"l{k}", NOW)[-1].loss_ratio for k in (0, 63, 64, 499)] == [0, 1, 0, 1]


def test_arrivals_are_read_once_and_found_by_their_time(tmp_path: Path) -> None:
    ledger, box = SqliteLedger(tmp_path / "ledger.db"), Box()
    ledger.add_token(box.token)
    ledger.enrol(box.token.token_id, box.agent)
    arrivals = Arrivals(ledger)
    assert (arrivals.before(HUB_NOW), arrivals.minutes(0, 9)) == (0, [])
    for k in range(20):
        at = 100 + 60 * k
        records = [train([20, None, 30], first_seq=60 * k, boot_s=at), heartbeat(at, anchor(at))]
        ledger.store([entry(box.batch(records), HUB_NOW + k * SECOND)])
    assert [arrivals.before(HUB_NOW + k * SECOND) for k in (0, 1, 7, 20, 99)] == [0, 1, 7, 20, 20]
    found = arrivals.minutes(5, 4)
    assert [one.batch_id for one in found] == [6, 7, 8, 9]
    assert (found[0].link, found[0].sent, found[0].lost) == ("l1", 3, 1)
    assert found[0].rtt_sum_ns == 50 * MS
    assert found[1].at_s - found[0].at_s == 60
    ledger.close()


# --- signs ----------------------------------------------------------------------------------


def test_signs_tell_level_and_loss() -> None:
    told = spark([Bin(None, None), Bin(0.1, 0.0), Bin(0.05, 0.001), Bin(None, 1.0), Bin(0.1, 0.5)])
    assert told[0] == NOTHING
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    read = [divmod(alphabet.index(sign), LEVELS) for sign in told[1:]]
    assert read == [(0, LEVELS - 1), (1, round(0.5 * (LEVELS - 1))), (4, 0), (4, LEVELS - 1)]


# --- map ------------------------------------------------------------------------------------


def test_north_is_up_and_a_kilometre_is_as_long_both_ways() -> None:
    made = atlas({"a": (-7.0, 106.5, "x"), "b": (-6.9, 106.5, "x"), "c": (-7.0, 106.6, "y")})
    assert made is not None
    a, b, c = (made.places[one] for one in "abc")
    assert b.y < a.y
    assert c.x > a.x
    # 0.1 degree is 11.12 km of latitude, and 11.04 km of longitude at 6.95 degrees south.
    assert (c.x - a.x) / (a.y - b.y) == pytest.approx(11.04 / 11.12, abs=0.01)
    assert made.scale / made.scale_km == pytest.approx((a.y - b.y) / 11.12, rel=0.01)
    assert [one.name for one in made.regions] == ["x", "y"]


@pytest.mark.parametrize("seed", range(5))
def test_all_nodes_are_within_the_drawing(seed: int) -> None:
    chance = random.Random(seed)
    wide, high = chance.choice([(3, 0.01), (0.01, 3), (0.5, 0.5), (0, 0)])
    told = {
        f"n{k}": (-7 + high * chance.random(), 106 + wide * chance.random(), "d") for k in range(50)
    }
    made = atlas(told)
    assert made is not None
    for place in made.places.values():
        assert MARGIN - 1 <= place.x <= WIDTH - MARGIN + 1
        assert MARGIN - 1 <= place.y <= made.height - MARGIN + 1


def test_nodes_without_a_place_are_not_drawn() -> None:
    assert atlas({"a": (None, 106.5, "x")}) is None
    made = atlas({"a": (None, None, "x"), "b": (-7, 106, "y")})
    assert made is not None
    assert set(made.places) == {"b"}


def test_the_hull_goes_around() -> None:
    inner = [Place(1, 1), Place(2, 1), Place(1, 2)]
    corners = [Place(0, 0), Place(4, 0), Place(4, 4), Place(0, 4)]
    assert set(hull([*inner, *corners])) == set(corners)
    assert hull([Place(1, 1), Place(1, 1)]) == (Place(1, 1),)
    assert len(hull([Place(0, 0), Place(1, 1), Place(2, 2)])) == 2
