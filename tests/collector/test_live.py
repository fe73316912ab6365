"""What is known now: a table of signs, and newest wins."""

import msgspec
import pytest

from collector.inventory import Link
from collector.live import Known, LinkState, Live, Reason, Signs, judge
from collector.sessions import RecentForward, SessionView
from tests.collector.kit import SECOND, Box, reported
from wire.message import TargetStatus


def link(interval_s: float = 1.0) -> Link:
    return Link(id="l1", node="n1", provider="P", medium="fibre", pop="X", interval_s=interval_s)


UP = Known(LinkState.UP, Reason.HEARD)
ALL = RecentForward(10, 10)
FEW = RecentForward(10, 4)
HALF = RecentForward(10, 5)
FINE = reported(lost=0)
LOSS = reported(lost=6)


@pytest.mark.parametrize(
    ("heard_ago_s", "forward", "told", "expected"),
    [
        (0.5, ALL, None, UP),
        (0.5, ALL, FINE, UP),
        (0.5, None, None, UP),
        (5.0, ALL, FINE, UP),
        (0.5, HALF, reported(lost=5), UP),
        (0.5, RecentForward(4, 0), reported(sent=4, lost=4), UP),
        (0.5, FEW, FINE, Known(LinkState.DOWN, Reason.FORWARD_LOSS)),
        (0.5, FEW, LOSS, Known(LinkState.DOWN, Reason.FORWARD_LOSS)),
        (0.5, ALL, LOSS, Known(LinkState.DOWN, Reason.ROUND_TRIP_LOSS)),
        (0.5, None, LOSS, Known(LinkState.DOWN, Reason.ROUND_TRIP_LOSS)),
        (5.1, ALL, None, Known(LinkState.UNKNOWN, Reason.SILENT)),
        (5.1, FEW, FINE, Known(LinkState.UNKNOWN, Reason.SILENT)),
        (5.1, None, LOSS, Known(LinkState.DOWN, Reason.NODE_REPORTS_LOSS)),
        (None, None, None, Known(LinkState.UNKNOWN, Reason.NEVER_HEARD)),
        (None, None, FINE, Known(LinkState.UNKNOWN, Reason.NEVER_HEARD)),
        (None, None, LOSS, Known(LinkState.DOWN, Reason.NODE_REPORTS_LOSS)),
    ],
)
def test_the_state_that_follows_from_the_signs(
    heard_ago_s: float | None,
    forward: RecentForward | None,
    told: TargetStatus | None,
    expected: Known,
) -> None:
    signs = Signs(heard_ago_s=heard_ago_s, forward=forward, reported=told)
    assert judge(signs, 5.0) == expected


@pytest.mark.parametrize(
    ("interval_s", "heard_ago_s", "expected"),
    [(1, 5, "up"), (1, 6, "unknown"), (10, 29, "up"), (10, 31, "unknown")],
)
def test_a_link_that_is_probed_rarely_is_not_silent_between_two_packets(
    interval_s: float, heard_ago_s: int, expected: str
) -> None:
    view = SessionView(1000 * SECOND, 9, 0, 0, 0, 0, "192.0.2.1", 4000, 8)
    now = (1000 + heard_ago_s) * SECOND
    known = Live(5.0).state(link(interval_s), view, lambda _: None, now)
    assert known.state == expected


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (None, Known(LinkState.DOWN, Reason.ROUND_TRIP_LOSS)),
        (RecentForward(20, 20), Known(LinkState.DOWN, Reason.ROUND_TRIP_LOSS)),
        (RecentForward(20, 18), Known(LinkState.DOWN, Reason.ROUND_TRIP_LOSS)),
        (RecentForward(20, 15), UP),
        (RecentForward(40, 8), UP),
    ],
)
def test_what_did_not_come_to_the_hub_was_not_lost_on_the_way_back(
    since: RecentForward | None, expected: Known
) -> None:
    told = reported(lost=9)
    signs = Signs(heard_ago_s=0.5, forward=ALL, reported=told, since=since)
    assert judge(signs, 5.0) == expected


def test_a_status_that_waited_for_the_link_tells_of_the_time_in_which_it_was_made() -> None:
    live, box = Live(5.0), Box()

    def say(made_s: float, came_s: float, told: TargetStatus) -> None:
        made_ns = int(made_s * SECOND)
        status = box.status(boot_ns=made_ns, targets=(told,))
        assert live.hear(box.agent, status, int((1000 + came_s) * SECOND), 0)

    def state_at(now_s: int, cut_s: range) -> tuple[Known, list[int]]:
        """Packets of `cut_s` did not come to the hub."""
        asked: list[int] = []

        def recent(window_s: int) -> RecentForward:
            asked.append(window_s)
            sent = range(now_s - window_s, now_s)
            return RecentForward(len(sent), len([at for at in sent if at not in cut_s]))

        view = SessionView((1000 + now_s) * SECOND, 9, 0, 0, 0, 0, "192.0.2.1", 4000, 8)
        known = live.state(link(), view, recent, (1000 + now_s) * SECOND)
        return known, asked

    say(10, 10.05, FINE)
    say(30, 43.05, reported(lost=10))
    # It began 13 s ago and tells of 10 s that ended 2 s before.
    known, asked = state_at(44, range(18, 33))
    assert known == UP
    assert asked == [10, 27]
    # The same word about a link that brought everything to the hub: it loses on the way back.
    assert state_at(44, range(0))[0] == Known(LinkState.DOWN, Reason.ROUND_TRIP_LOSS)
    # It is news for 25 s after it was made, not after it came.
    assert live.reported("l1", "hub", 1055 * SECOND) == reported(lost=10)
    assert live.reported("l1", "hub", 1056 * SECOND) is None
    # Another boot has its own time: this one is at hand.
    box.begin(boot_id=b"c" * 16)
    say(5, 60, reported(lost=10))
    assert state_at(61, range(0))[1] == [10, 14]


def cpe(lost: int, *, sent: int = 10, ever: bool = True) -> TargetStatus:
    return msgspec.structs.replace(
        reported(sent=sent, lost=lost), target="cpe", last_reply_boot_ns=1 if ever else None
    )


@pytest.mark.parametrize(
    ("heard_ago_s", "told", "outside", "expected"),
    [
        (5.1, None, cpe(10), Known(LinkState.DOWN, Reason.OUTSIDE_LOSS)),
        (5.1, None, cpe(5), Known(LinkState.UNKNOWN, Reason.CPE_ANSWERS)),
        (5.1, None, cpe(10, ever=False), Known(LinkState.UNKNOWN, Reason.SILENT)),
        (5.1, None, cpe(4, sent=4), Known(LinkState.UNKNOWN, Reason.SILENT)),
        (5.1, LOSS, cpe(0), Known(LinkState.DOWN, Reason.NODE_REPORTS_LOSS)),
        (0.5, None, cpe(10), UP),
        (None, None, cpe(10), Known(LinkState.UNKNOWN, Reason.NEVER_HEARD)),
    ],
)
def test_the_prober_beside_the_hub_is_a_witness_of_a_silence_only(
    heard_ago_s: float | None,
    told: TargetStatus | None,
    outside: TargetStatus,
    expected: Known,
) -> None:
    signs = Signs(heard_ago_s=heard_ago_s, forward=None, reported=told, outside=outside)
    assert judge(signs, 5.0) == expected


@pytest.fixture
def live() -> Live:
    return Live(5.0)


def test_the_newest_status_of_an_epoch_wins(live: Live) -> None:
    box = Box()
    assert live.hear(box.agent, box.status(counter=5, targets=(LOSS,)), 0, 0)
    assert not live.hear(box.agent, box.status(counter=5, targets=(FINE,)), 1, 1)
    assert not live.hear(box.agent, box.status(counter=4, targets=(FINE,)), 1, 1)
    assert live.reported("l1", "hub", 0) == LOSS
    assert live.hear(box.agent, box.status(counter=6, targets=(FINE,)), 2, 2)
    assert live.reported("l1", "hub", 0) == FINE


def test_a_new_epoch_begins_anew_and_a_former_one_never_speaks_again(live: Live) -> None:
    box = Box()
    old = box.status(counter=900)
    live.hear(box.agent, old, 0, 0)
    box.begin()
    assert live.hear(box.agent, box.status(counter=0, targets=(FINE,)), 1, 1)
    replayed = Box().status(counter=901, epoch=old.epoch, targets=(LOSS,))
    assert not live.hear(box.agent, replayed, 2, 2)
    assert live.reported("l1", "hub", 2) == FINE


def test_a_status_is_news_for_25_seconds(live: Live) -> None:
    box = Box()
    live.hear(box.agent, box.status(targets=(FINE,)), 0, 0)
    assert live.reported("l1", "hub", 25 * SECOND) == FINE
    assert live.reported("l1", "hub", 25 * SECOND + 1) is None
    assert live.reported("l1", "gateway", 0) is None
    assert live.reported("l9", "hub", 0) is None


def test_a_revoked_agents_word_is_forgotten(live: Live) -> None:
    one, other = Box(1), Box(2)
    live.hear(one.agent, one.status(targets=(FINE,)), 0, 0)
    live.hear(other.agent, other.status(targets=(reported("l2"),)), 0, 0)
    live.keep({other.agent_id})
    assert [now.agent for now in live.agents()] == [other.agent]
    assert live.reported("l1", "hub", 0) is None
    assert live.reported("l2", "hub", 0) is not None


def test_node_and_prober_speak_of_one_link_and_neither_hides_the_other(live: Live) -> None:
    node, prober = Box(1), Box(2)
    live.hear(node.agent, node.status(targets=(FINE,)), 0, 0)
    live.hear(prober.agent, prober.status(counter=1, targets=(cpe(9), cpe_of("l2"))), 0, 0)
    assert live.reported("l1", "hub", 0) == FINE
    assert live.reported("l1", "cpe", 0) == cpe(9)
    # A prober names those with the most loss: whom it no longer names has recovered.
    live.hear(prober.agent, prober.status(counter=2, targets=(cpe_of("l2"),)), 1, 1)
    assert live.reported("l1", "cpe", 1) is None
    assert live.reported("l1", "hub", 1) == FINE


def cpe_of(link: str) -> TargetStatus:
    return msgspec.structs.replace(cpe(9), link=link)
