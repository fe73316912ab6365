from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.evidence import Span
from collector.audit.intervals import Edge, Interval, Outage
from collector.audit.states import Cause, Charge, EvidenceClass, State
from collector.ledger.outages import Lane, OutageStore, Revision
from collector.ledger.sqlite import SqliteLedger

UP = Interval(0, 1000, State.UP)
CUT = Outage(
    link="l1",
    start=Edge(100, 99.5, 100.5),
    end=Edge(160, 159.0, 160.9),
    state=State.DOWN,
    cause=Cause.ACCESS_LINK,
    charge=Charge.PROVIDER,
    witnesses=(EvidenceClass.NODE_PROBES, EvidenceClass.HUB_SIDE),
    why="",
    event=None,
    settled=True,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OutageStore]:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    yield OutageStore(ledger)
    ledger.close()


def test_a_revision_stands_beside_what_was_said_before(store: OutageStore) -> None:
    first = msgspec.structs.replace(CUT, end=None, settled=False)
    (outage_id,) = store.say(Lane.EVIDENCE, [Revision(None, False, first)], made_s=110)
    store.say(Lane.EVIDENCE, [Revision(outage_id, False, CUT)], made_s=300)
    assert [(one.revision, one.made_s, one.outage) for one in store.history(outage_id)] == [
        (1, 110, first),
        (2, 300, CUT),
    ]
    (newest,) = store.newest(Lane.EVIDENCE, "l1", Span(0, 1000))
    assert (newest.revision, newest.outage) == (2, CUT)


def test_outages_are_found_by_the_time_they_touch(store: OutageStore) -> None:
    other = msgspec.structs.replace(CUT, link="l2")
    lasting = msgspec.structs.replace(CUT, start=Edge(500, 499, 500), end=None)
    store.say(
        Lane.EVIDENCE,
        [Revision(None, False, CUT), Revision(None, False, other), Revision(None, True, lasting)],
        made_s=1,
    )
    assert [one.outage for one in store.newest(Lane.EVIDENCE, "l1", Span(0, 120))] == [CUT]
    assert [one.outage.link for one in store.all_newest(Lane.EVIDENCE, Span(0, 450))] == [
        "l1",
        "l2",
    ]
    (found,) = store.newest(Lane.EVIDENCE, "l1", Span(800, 900))
    assert (found.outage, found.withdrawn) == (lasting, True)
    assert store.newest(Lane.EVIDENCE, "l1", Span(200, 450)) == []


def test_intervals_are_replaced_where_evidence_changed_and_nowhere_else(
    store: OutageStore,
) -> None:
    store.keep_intervals("l1", Span(0, 1000), [UP])
    down = Interval(
        300, 330, State.DOWN, Cause.LAN, Charge.UNKNOWN, (EvidenceClass.NODE_LAN,), "w", "e"
    )
    store.keep_intervals(
        "l1",
        Span(200, 400),
        [UP._replace(start_s=200, end_s=300), down, UP._replace(start_s=330, end_s=400)],
    )
    assert store.intervals("l1", Span(0, 1000)) == [
        UP._replace(end_s=300),
        down,
        UP._replace(start_s=330),
    ]
    assert store.intervals("l1", Span(310, 340)) == [
        down._replace(start_s=310),
        UP._replace(start_s=330, end_s=340),
    ]
    assert store.around("l1", 310) == down
    assert store.around("l1", 5000) is None
    assert store.totals("l1") == {
        (State.UP, Cause.NONE, Charge.NONE): 970,
        (State.DOWN, Cause.LAN, Charge.UNKNOWN): 30,
    }


@given(
    st.lists(
        st.tuples(st.integers(0, 99), st.integers(1, 60), st.sampled_from(list(State))),
        max_size=12,
    )
)
def test_any_replacements_leave_every_second_once(
    patches: list[tuple[int, int, State]],
) -> None:
    store = OutageStore(SqliteLedger(Path(":memory:")))
    store.keep_intervals("l", Span(0, 100), [Interval(0, 100, State.UP)])
    seconds = [State.UP] * 160
    for start_s, length, state in patches:
        end_s = start_s + length
        store.keep_intervals("l", Span(start_s, end_s), [Interval(start_s, end_s, state)])
        seconds[start_s:end_s] = [state] * length
    found: dict[int, State] = {}
    for one in store.intervals("l", Span(0, 160)):
        for second in range(one.start_s, one.end_s):
            assert second not in found
            found[second] = one.state
    assert all(found[second] is seconds[second] for second in found)
    assert set(range(100)) <= set(found)


def test_the_latest_of_each_link_is_the_newest_word_of_it(store: OutageStore) -> None:
    def began(link: str, at_s: int) -> Outage:
        edges = {"start": Edge(at_s, at_s, at_s), "end": Edge(at_s + 10, at_s + 10, at_s + 10)}
        return msgspec.structs.replace(CUT, link=link, **edges)

    said = [began(*one) for one in (("l1", 100), ("l1", 300), ("l2", 200), ("l2", 400), ("l3", 50))]
    ids = store.say(Lane.EVIDENCE, [Revision(None, False, one) for one in said], made_s=1)
    # What was withdrawn later is none, and what was revised later is as it was revised.
    later = [Revision(ids[3], True, said[3]), Revision(ids[1], False, began("l1", 310))]
    store.say(Lane.EVIDENCE, later, made_s=2)
    found = {one.outage.link: one for one in store.latest(Lane.EVIDENCE, 100)}
    assert {link: one.outage.start.at_s for link, one in found.items()} == {"l1": 310, "l2": 200}
    assert found["l1"].revision == 2
    assert store.latest(Lane.LIVE, 0) == []
