"""An endpoint's way through settled evidence, over a district on paper."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.audit.states import State
from collector.backfill.remote_write import encode
from collector.backfill.service import Portion, Source, Walk
from collector.backfill.store import BackfillStore
from collector.inventory import Inventory
from collector.settings import EndpointSettings
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.collector.backfill.test_remote_write import WriteRequest
from tests.collector.settle.district import T0, District, Site, lost

END_S = 3600
DAY_S = 86_400
Samples = dict[tuple[str, str, str], dict[int, float]]
"""(name, link, target or state) to value by millisecond after T0."""


class Scene:
    """A district, and what a store would hold that takes everything."""

    def __init__(self, folder: Path, *sites: Site, now_s: int = END_S) -> None:
        self.district = District(folder / "ledger.db", sites, END_S)
        district = self.district
        self.store = BackfillStore(district.ledger, district.derived, district.kept)
        self.clock = FakeClock(wall_ns=(T0 + now_s) * SECOND)
        self.held: Samples = {}

    def walk(self, **changes: Any) -> Walk:
        fields = {"name": "e", "url": "http://e/", "max_age_s": 1e9, **changes}
        endpoint = EndpointSettings(**fields)
        source = Source(self.store, lambda: self.district.inventory, {})
        walk = Walk(self.store, source, endpoint, self.clock)
        walk.begin()
        return walk

    def take(self, portion: Portion) -> None:
        for one in WriteRequest.FromString(encode(portion.points)).timeseries:
            told = {label.name: label.value for label in one.labels}
            which = told.get("target") or told["state"]
            key = told["__name__"].removeprefix("pantau_settled_"), told["link"], which
            for sample in one.samples:
                at = sample.timestamp - T0 * 1000
                kept = self.held.setdefault(key, {})
                assert kept.setdefault(at, sample.value) == sample.value, (key, at)

    def go(self, walk: Walk) -> int:
        """Send all that is due; the number of portions."""
        count = 0
        assert walk.late() == []
        while (portion := walk.next()) is not None:
            self.take(portion)
            walk.sent(portion)
            count += 1
        return count

    def seconds(self, link: str, state: State) -> float:
        return sum(self.held["state_seconds", link, state].values())

    def sent(self, link: str, name: str = "packets_sent") -> float:
        return sum(self.held[name, link, "hub"].values())


@pytest.fixture
def scenes(tmp_path: Path) -> Iterator[Any]:
    made: list[Scene] = []

    def make(*sites: Site, **changes: Any) -> Scene:
        made.append(Scene(tmp_path / str(len(made)), *sites, **changes))
        return made[-1]

    yield make
    for one in made:
        one.district.close()


def test_every_settled_minute_is_sent_once_and_the_last_is_kept_back(scenes: Any) -> None:
    scene = scenes(Site("a", hub=lost((600, 900)), anchor=lost((600, 900))), Site("b"))
    scene.district.take(scene.district.batches)
    walk = scene.walk()
    assert scene.go(walk) >= 1
    assert walk.next() is None
    for link, down_s in (("a", 300), ("b", 0)):
        intervals = scene.district.intervals(link)
        settled_s = intervals[-1].end_s - 90
        settled_s -= settled_s % 60
        first_s = intervals[0].start_s
        assert sum(scene.seconds(link, state) for state in State) == settled_s - first_s
        assert scene.seconds(link, State.DOWN) == down_s
        times = scene.held["packets_sent", link, "hub"]
        assert max(times) < (settled_s - T0) * 1000 <= max(times) + 60_000
        assert scene.sent(link) == 60 * len(times)
    assert scene.sent("a", "packets_lost") == 300


@pytest.mark.parametrize("missing", [3, 20, 40])
def test_nothing_goes_beyond_the_first_hole(scenes: Any, missing: int) -> None:
    scene = scenes(Site("a"))
    batches = list(scene.district.batches)
    late = batches.pop(missing)
    scene.district.take(batches)
    walk = scene.walk()
    scene.go(walk)
    sent = scene.held.get(("packets_sent", "a", "hub"), {})
    assert all(at < missing * 60_000 for at in sent)
    assert scene.seconds("a", State.UNKNOWN) == 0
    scene.district.take([late])
    assert walk.late() == []
    scene.go(walk)
    assert walk.late() == []
    assert scene.sent("a") == 60 * len(scene.held["packets_sent", "a", "hub"])
    assert max(scene.held["packets_sent", "a", "hub"]) > (END_S - 240) * 1000
    assert scene.seconds("a", State.UNKNOWN) == 0


def test_what_came_after_it_was_given_up_is_sent_behind(scenes: Any) -> None:
    scene = scenes(Site("a", cpe_boots=()), Site("b"), now_s=END_S + 9 * DAY_S)
    batches = list(scene.district.batches)
    late = batches.pop(30)
    scene.district.take(batches, at_s=END_S + 8 * DAY_S)
    walk = scene.walk()
    scene.go(walk)
    unknown = scene.seconds("a", State.UNKNOWN)
    assert 50 <= unknown <= 60
    missing = {at for at in range(30 * 60, 31 * 60)}
    assert not any(at // 1000 in missing for at in scene.held["packets_sent", "a", "hub"])
    assert walk.late() == []
    scene.district.take([late], at_s=END_S + 8 * DAY_S)
    assert walk.next() is None
    found = walk.late()
    assert {link for link, _ in found} == {"a"}
    covered = {second for _, span in found for second in range(span.start_s - T0, span.end_s - T0)}
    assert missing <= covered
    assert len(covered) <= 240
    scene.held.clear()
    for link, span in found:
        scene.take(Portion(walk.points(link, span), {}, 0))
    assert scene.seconds("a", State.UNKNOWN) == 0
    assert any(at // 1000 in missing for at in scene.held["packets_sent", "a", "hub"])
    # Until it is known to be sent, it is found again; afterwards never.
    assert walk.late() == found
    walk.sent_again(found)
    assert walk.late() == []


def test_revisions_that_all_endpoints_have_are_forgotten(scenes: Any) -> None:
    scene = scenes(Site("a", cpe_boots=()), now_s=END_S + 9 * DAY_S)
    batches = list(scene.district.batches)
    late = batches.pop(30)
    scene.district.take(batches, at_s=END_S + 8 * DAY_S)
    one, other = scene.walk(), scene.walk(name="other")
    scene.go(one)
    scene.held.clear()
    scene.go(other)
    scene.district.take([late], at_s=END_S + 8 * DAY_S)

    def kept() -> int:
        return int(scene.district.ledger.rows("SELECT count(*) FROM interval_revision")[0][0])

    assert kept() > 0
    assert one.late() != []
    scene.store.forget(["e", "other"])
    assert kept() > 0
    assert other.late() != []
    scene.store.forget(["e", "other"])
    assert kept() == 0
    newer = scene.walk(name="newer")
    assert newer.late() == []


def test_without_endpoints_no_revision_is_kept(scenes: Any) -> None:
    scene = scenes(Site("a", cpe_boots=()), now_s=END_S + 9 * DAY_S)
    batches = list(scene.district.batches)
    late = batches.pop(30)
    scene.district.take(batches, at_s=END_S + 8 * DAY_S)
    scene.district.take([late], at_s=END_S + 8 * DAY_S)
    scene.store.forget([])
    assert scene.district.ledger.rows("SELECT * FROM interval_revision") == []


def test_what_is_ahead_of_the_hubs_clock_waits(scenes: Any) -> None:
    scene = scenes(Site("a"), now_s=1800)
    scene.district.take(scene.district.batches)
    walk = scene.walk()
    scene.go(walk)
    assert max(max(times) for times in scene.held.values()) < 1800 * 1000
    scene.clock.advance(END_S * SECOND)
    scene.go(walk)
    assert max(scene.held["packets_sent", "a", "hub"]) > (END_S - 240) * 1000


def test_a_new_endpoint_begins_where_the_store_can_take_it(scenes: Any) -> None:
    scene = scenes(Site("a"))
    scene.district.take(scene.district.batches)
    walk = scene.walk(max_age_s=1800.0)
    scene.go(walk)
    oldest = min(min(times) for times in scene.held.values())
    assert (END_S - 1800) * 1000 < oldest <= (END_S - 1800 + 240) * 1000


def test_too_old_is_told_by_the_clock(scenes: Any) -> None:
    scene = scenes(Site("a"))
    scene.district.take(scene.district.batches)
    walk = scene.walk(max_age_s=1800.0)
    portion = walk.next()
    assert portion is not None
    assert walk.split(portion.points) == (portion.points, 0)
    scene.clock.advance(1800 * SECOND)
    assert walk.split(portion.points)[1] == len(portion.points)


def test_endpoints_have_cursors_of_their_own_which_outlive_the_process(scenes: Any) -> None:
    scene = scenes(Site("a"), Site("b"))
    scene.district.take(scene.district.batches)
    one = scene.walk(batch_samples=10)
    portion = one.next()
    assert portion is not None and len(portion.sent_s) == 1
    one.sent(portion)
    (other,) = set("ab") - portion.sent_s.keys()
    again = scene.walk(batch_samples=10)
    following = again.next()
    assert following is not None and following.sent_s.keys() == {other}
    fresh = scene.walk(name="other").next()
    assert fresh is not None and fresh.sent_s.keys() == {"a", "b"}


def test_a_portion_that_was_not_answered_comes_again(scenes: Any) -> None:
    scene = scenes(Site("a"))
    scene.district.take(scene.district.batches)
    walk = scene.walk()
    assert walk.next() == walk.next()


def test_a_link_that_left_the_inventory_is_sent_no_more(scenes: Any) -> None:
    scene = scenes(Site("a"), Site("b"))
    scene.district.take(scene.district.batches)
    before = scene.district.inventory
    scene.district.inventory = Inventory(
        tuple(before.nodes.values()),
        tuple(link for link in before.links.values() if link.id == "a"),
    )
    scene.go(scene.walk())
    assert {link for _, link, _ in scene.held} == {"a"}
