import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.audit.evidence import Span
from collector.audit.intervals import check_whole
from collector.audit.states import State
from collector.ledger.outages import Lane
from tests.collector.settle.district import T0, District, Site, lost

HOUR = 3600
T0_TO_NOW = Span(0, 2**40)
CUT = (1000, 1090)
Make = Iterator[District]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[object]:
    made: list[District] = []

    def build(*sites: Site, until_s: int = HOUR) -> District:
        made.append(District(tmp_path / f"{len(made)}.db", sites, until_s))
        return made[-1]

    yield build
    for one in made:
        one.close()


def others(count: int, pop: str = "P1") -> list[Site]:
    return [Site(f"peer{k}", pop) for k in range(count)]


def test_a_healthy_hour_is_up_and_nothing_else(make) -> None:
    district = make(Site("a"))
    district.take(district.batches)
    (one,) = district.intervals("a")
    assert (one.start_s, one.end_s, one.state) == (T0, T0 + HOUR - 1, State.UP)
    assert district.outages() == []


def test_a_cut_of_one_link_is_its_access_link(make) -> None:
    cut = lost(CUT)
    district = make(Site("a", hub=cut, anchor=cut), *others(3))
    district.take(district.batches)
    assert district.told("a") == [(1000, 1090, "down", "access_link", "provider")]
    assert [one for one in district.outages() if one.link != "a"] == []
    intervals = district.intervals("a")
    check_whole(tuple(intervals), T0, T0 + HOUR - 1)


def test_a_cut_of_all_links_of_a_pop_is_one_event_of_the_provider(make) -> None:
    cut = lost(CUT)
    hit = [Site(f"s{k}", "P1", hub=cut, anchor=cut) for k in range(4)]
    district = make(*hit, *others(3, "P2"))
    district.take(district.batches)
    assert {one.cause.value for one in district.outages()} == {"provider_core"}
    assert len({one.event for one in district.outages()}) == 1
    assert len(district.outages()) == 4


def test_a_dead_anchor_or_a_dead_hub_is_nobodys_downtime(make) -> None:
    cut = lost(CUT)
    district = make(*(Site(f"s{k}", hub=cut) for k in range(3)))
    district.take(district.batches)
    assert district.outages() == []
    causes = {one.cause.value for one in district.intervals("s0")}
    assert causes == {"none", "hub_or_anchor"}


def test_a_power_cut_of_the_site_is_excluded_with_its_proof(make) -> None:
    off = (1000, 1600)
    district = make(Site("a", off=(off,), cpe_boots=(-1_000_000, 1595)), *others(2))
    district.take(district.batches)
    first = district.told("a")[0]
    assert first[2:] == ("unknown", "site_power", "unknown")
    assert abs(first[0] - 1000) <= 10
    assert abs(first[1] - 1600) <= 1


def test_a_box_that_lost_power_alone_is_known_by_the_cpes_counters(make) -> None:
    district = make(Site("a", off=((1000, 1600),)), *others(2))
    district.take(district.batches)
    assert district.told("a") == []
    assert "resolved_up" in {one.cause.value for one in district.intervals("a")}


def test_a_killed_agent_leaves_its_time_unknown(make) -> None:
    district = make(Site("a", killed=((1000, 1300),), cpe_boots=()), *others(2))
    district.take(district.batches)
    assert [one[2:] for one in district.told("a")] == [("unknown", "agent_crash", "unknown")]


def test_a_lost_gateway_is_not_the_access_link(make) -> None:
    cut = lost(CUT)
    district = make(Site("a", hub=cut, anchor=cut, gateway=cut), *others(2))
    district.take(district.batches)
    assert [one[:2] + one[3:4] for one in district.told("a")] == [(1000, 1090, "lan")]


def test_what_comes_late_settles_what_was_not_known(make) -> None:
    """The newest batch comes first when a link returns; nothing is judged before the rest is."""
    cut = lost((900, 2700))
    district = make(Site("a", hub=cut, anchor=cut), *others(3))
    own = [one for one in district.batches if one.header.agent_id[-1] == 1]
    rest = [one for one in district.batches if one.header.agent_id[-1] != 1]
    district.take(rest)
    district.take(own[:15])
    assert district.told("a") == []
    district.take(own[50:])
    assert district.told("a") == []
    district.take(own[15:50])
    assert district.told("a") == [(900, 2700, "down", "access_link", "provider")]


@pytest.mark.parametrize("seed", range(4))
def test_any_order_and_repetition_of_arrival_gives_the_same_judgement(make, seed: int) -> None:
    cut, core, flap = (
        lost((1000, 1090), (3000, 3300)),
        lost((2000, 2100)),
        lost(*((k, k + 15) for k in range(400, 900, 100))),
    )
    sites = [
        Site("a", hub=cut, anchor=cut),
        Site("b", hub=flap, anchor=flap),
        Site("c", off=((1500, 1900),), cpe_boots=(-1_000_000, 1890)),
        *(Site(f"d{k}", "P2", hub=core, anchor=core) for k in range(4)),
        Site("e", "P2", killed=((700, 800),)),
    ]
    straight, shuffled = make(*sites), make(*sites)
    straight.take(straight.batches)
    rng = random.Random(seed)
    order = [*shuffled.batches, *rng.sample(shuffled.batches, 40)]
    rng.shuffle(order)
    rest = iter(order)
    while part := list(itertools.islice(rest, rng.randrange(1, 120))):
        shuffled.take(part)
    for site in sites:
        assert shuffled.intervals(site.name) == straight.intervals(site.name), site.name
    assert shuffled.outages() == straight.outages()
    assert len(straight.outages("b")) == 5


def test_what_was_said_is_never_edited(make) -> None:
    cut = lost(CUT)
    hit = [Site(f"s{k}", "P1", hub=cut, anchor=cut) for k in range(4)]
    district = make(*hit, *others(2))
    by_agent = [
        [one for one in district.batches if one.header.agent_id[-1] == k + 1] for k in range(6)
    ]
    district.take([*by_agent[0], *by_agent[4], *by_agent[5]])
    assert district.told("s0") == [(1000, 1090, "down", "access_link", "provider")]
    for own in by_agent[1:4]:
        district.take(own)
    assert district.told("s0") == [(1000, 1090, "down", "provider_core", "provider")]
    (newest,) = [
        one for one in district.kept.newest(Lane.EVIDENCE, "s0", T0_TO_NOW) if not one.withdrawn
    ]
    history = district.kept.history(newest.id)
    assert history[0].outage.cause.value == "access_link"
    assert len(history) >= 2


def test_late_evidence_reaches_what_a_peer_was_not_judged_for_since(make) -> None:
    """s0 is judged at its newest minutes as its peers' older ones arrive: its old outage is too."""
    cut = lost(CUT)
    district = make(*(Site(f"s{k}", "P1", hub=cut, anchor=cut) for k in range(4)))
    own = [[b for b in district.batches if b.header.agent_id[-1] == k + 1] for k in range(4)]
    district.take(own[0][:50])
    (before,) = district.outages("s0")
    assert before.event is None
    district.take([*own[0][50:], *own[1], *own[2], *own[3]])
    assert {one.cause.value for one in district.outages("s0")} == {"provider_core"}


def test_a_hub_that_others_lost_too_is_told_of_alike_whoever_reports_first(make) -> None:
    """No outage comes of it, yet what is said of it names how many lost it."""
    cut = lost(CUT)
    sites = [Site(f"s{k}", hub=cut) for k in range(5)]
    district, straight = make(*sites), make(*sites)
    straight.take(straight.batches)
    for k in range(5):
        district.take(b for b in district.batches if b.header.agent_id[-1] == k + 1)
    for one in sites:
        assert district.intervals(one.name) == straight.intervals(one.name)
    assert "members=5" in next(i.why for i in district.intervals("s0") if i.why)
