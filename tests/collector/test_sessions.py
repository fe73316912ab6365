"""The reflector's bookkeeping against tables and against a brute-force oracle."""

import random
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.sessions import (
    MAX_SEGMENTS,
    MAX_STRANGERS,
    WINDOW,
    DropReason,
    Heard,
    RecentForward,
    Session,
    SessionTable,
)
from wire import stamp

KEY = bytes(range(32))
SECOND = 1_000_000_000
OPEN = Session(42, "desa-001/icon", b"a" * 16, None)
SEALED = Session(43, "desa-001/icon", b"a" * 16, KEY)
HOME = ("192.0.2.1", 40_000)
AWAY = ("192.0.2.1", 40_001)
START_S = 1_000


def octets(
    seq: int, *, sent_s: float, ssid: int = OPEN.ssid, key: bytes | None = None, padding: int = 0
) -> bytes:
    timestamp = stamp.ntp64(int((1_700_000_000 + sent_s) * SECOND))
    return stamp.pack_sender(stamp.SenderPacket(seq % 2**32, timestamp, 0x9282, ssid), key, padding)


class Listener:
    """A table, and a clock that goes on one second per packet unless told."""

    def __init__(self) -> None:
        self.table = SessionTable()
        self.table.register(OPEN)
        self.table.register(SEALED)

    def hear(
        self,
        seq: int,
        *,
        at_s: float,
        sent_s: float | None = None,
        source: tuple[str, int] = HOME,
    ) -> int:
        data = octets(seq, sent_s=at_s if sent_s is None else sent_s)
        heard = self.table.hear(data, source, int((START_S + at_s) * SECOND))
        assert isinstance(heard, Heard)
        return heard.counter

    def lost(self) -> int:
        view = self.table.view(OPEN.ssid)
        assert view is not None
        return view.forward_lost

    def recent(self, now_s: float, window_s: int) -> RecentForward | None:
        return self.table.recent(OPEN.ssid, int((START_S + now_s) * SECOND), window_s)


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_nothing_heard_is_no_view_and_not_a_view_of_zeros(listener: Listener) -> None:
    assert listener.table.view(OPEN.ssid) is None
    assert listener.table.view(999) is None
    assert listener.recent(0, 10) is None


def test_a_view_tells_who_spoke_last_and_when(listener: Listener) -> None:
    listener.hear(7, at_s=1)
    listener.hear(8, at_s=2.5, source=AWAY)
    view = listener.table.view(OPEN.ssid)
    assert view is not None
    assert view.last_heard_boot_ns == 1_002_500_000_000
    assert (view.source_address, view.source_port, view.last_sender_seq) == (*AWAY, 8)
    assert (view.packets_received, view.forward_lost, view.sender_restarts) == (2, 0, 0)


def test_methodology_v3_8_splits_loss_by_direction(listener: Listener) -> None:
    arrived = [0, 1, 2, 4, 5, 7, 8, 9]
    counters = {seq: listener.hear(seq, at_s=seq) for seq in arrived}
    replies = [(seq, counters[seq]) for seq in arrived if seq != 5]  # its reply is lost
    assert replies == [(0, 0), (1, 1), (2, 2), (4, 3), (7, 5), (8, 6), (9, 7)]
    s, r = replies[-1]
    assert ((s + 1) - (r + 1), (r + 1) - len(replies)) == (2, 1)
    assert listener.lost() == 2


def test_three_hours_of_cut_are_packets_sent_and_not_arrived(listener: Listener) -> None:
    listener.hear(100, at_s=0)
    listener.hear(100 + 10_801, at_s=10_801)
    assert listener.lost() == 10_800


def test_a_new_source_further_on_is_the_same_sender_behind_another_nat_mapping(
    listener: Listener,
) -> None:
    assert [listener.hear(seq, at_s=seq) for seq in range(3)] == [0, 1, 2]
    assert listener.hear(2 + 10_801, at_s=10_803, source=AWAY) == 0
    view = listener.table.view(OPEN.ssid)
    assert view is not None
    assert (view.forward_lost, view.sender_restarts) == (10_800, 0)


@pytest.mark.parametrize("source", [HOME, AWAY])
@pytest.mark.parametrize("lived", [3, 500, 5_000_000])
def test_a_restart_opens_a_new_segment_and_books_no_loss(
    listener: Listener, source: tuple[str, int], lived: int
) -> None:
    listener.hear(lived - 1, at_s=0)
    listener.hear(lived, at_s=1)
    counters = [listener.hear(seq, at_s=10 + seq, source=source) for seq in range(5)]
    assert counters == [0, 1, 2, 3, 4]
    view = listener.table.view(OPEN.ssid)
    assert view is not None
    assert (view.forward_lost, view.sender_restarts, view.duplicates) == (0, 1, 0)
    assert view.last_sender_seq == 4


def test_a_restart_with_a_clock_of_1970_is_seen_by_its_source(listener: Listener) -> None:
    listener.hear(500, at_s=0)
    assert listener.hear(0, at_s=60, sent_s=-1_700_000_000, source=AWAY) == 0
    assert listener.hear(1, at_s=61, sent_s=-1_699_999_999, source=AWAY) == 1
    view = listener.table.view(OPEN.ssid)
    assert view is not None
    assert (view.sender_restarts, view.duplicates, view.forward_lost) == (1, 0, 0)


def test_a_late_packet_of_a_former_life_does_not_disturb_the_present_one(
    listener: Listener,
) -> None:
    for seq in (10, 12):
        listener.hear(seq, at_s=seq)
    listener.hear(0, at_s=20, source=AWAY)
    listener.hear(11, at_s=20.1, sent_s=11)
    listener.hear(1, at_s=21, source=AWAY)
    view = listener.table.view(OPEN.ssid)
    assert view is not None
    assert (view.forward_lost, view.reordered, view.sender_restarts) == (0, 1, 1)


@pytest.mark.parametrize("seq", [2**31 - 1, 2**31, 2**31 + 5, 2**32 - 1, 100_000])
def test_a_number_that_no_sender_can_have_reached_is_a_restart_not_a_loss(
    listener: Listener, seq: int
) -> None:
    listener.hear(0, at_s=0)
    listener.hear(seq, at_s=1)
    listener.hear(seq + 1, at_s=2)
    view = listener.table.view(OPEN.ssid)
    assert view is not None
    assert (view.forward_lost, view.sender_restarts) == (0, 1)


def test_sequence_numbers_wrap_at_32_bits(listener: Listener) -> None:
    for k, seq in enumerate([2**32 - 3, 2**32 - 1, 1, 0, 3]):
        listener.hear(seq, at_s=k if seq else 1.5, sent_s=seq + 4 if seq < 9 else seq - 2**32)
    view = listener.table.view(OPEN.ssid)
    assert view is not None
    assert (view.forward_lost, view.reordered, view.sender_restarts) == (2, 1, 0)


def test_a_duplicate_is_answered_and_counted_and_is_no_sign_of_life(listener: Listener) -> None:
    listener.hear(5, at_s=5)
    assert listener.hear(5, at_s=9, sent_s=5) == 0, "counted twice, it would hide a loss"
    view = listener.table.view(OPEN.ssid)
    assert view is not None
    assert (view.duplicates, view.packets_received, view.forward_lost) == (1, 2, 0)
    assert view.last_heard_boot_ns == (START_S + 5) * SECOND


def test_a_packet_from_before_the_first_heard_widens_the_span(listener: Listener) -> None:
    listener.hear(10, at_s=10)
    listener.hear(7, at_s=10.1, sent_s=7)
    assert listener.lost() == 2
    listener.hear(8, at_s=10.2, sent_s=8)
    assert listener.lost() == 1


def test_the_counter_is_per_source_and_the_loss_per_session(listener: Listener) -> None:
    assert [listener.hear(k, at_s=k) for k in range(3)] == [0, 1, 2]
    assert [listener.hear(k, at_s=k, source=AWAY) for k in range(4, 6)] == [0, 1]
    assert listener.hear(6, at_s=6) == 3
    assert listener.lost() == 1


def test_registering_again_keeps_what_was_heard_and_another_agent_begins_anew(
    listener: Listener,
) -> None:
    listener.hear(1, at_s=1)
    listener.table.register(Session(OPEN.ssid, OPEN.link, OPEN.agent_id, None))
    assert listener.table.view(OPEN.ssid) is not None
    listener.table.register(Session(OPEN.ssid, OPEN.link, b"b" * 16, None))
    assert listener.table.view(OPEN.ssid) is None


def test_an_unregistered_session_is_unknown(listener: Listener) -> None:
    listener.hear(1, at_s=1)
    listener.table.unregister(OPEN.ssid)
    listener.table.unregister(OPEN.ssid)
    assert listener.table.hear(octets(2, sent_s=2), HOME, 0) is DropReason.UNKNOWN_SESSION
    assert listener.table.view(OPEN.ssid) is None


@pytest.mark.parametrize("ssid", [0, -1, 65_536])
def test_a_session_id_that_the_packet_cannot_carry_is_refused(ssid: int) -> None:
    with pytest.raises(ValueError, match=r"is not 1\.\.65535"):
        SessionTable().register(Session(ssid, "l", b"", None))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DropReason.MALFORMED),
        (octets(1, sent_s=1)[:43], DropReason.MALFORMED),
        (octets(1, sent_s=1, ssid=SEALED.ssid, key=KEY)[:111], DropReason.MALFORMED),
        (octets(1, sent_s=1, ssid=99), DropReason.UNKNOWN_SESSION),
        (octets(1, sent_s=1, ssid=99, key=KEY), DropReason.UNKNOWN_SESSION),
        (octets(1, sent_s=1, ssid=0), DropReason.UNKNOWN_SESSION),
        (octets(1, sent_s=1, ssid=OPEN.ssid, key=KEY), DropReason.UNKNOWN_SESSION),
        (octets(1, sent_s=1, ssid=SEALED.ssid), DropReason.NOT_AUTHENTICATED),
        (octets(1, sent_s=1, ssid=SEALED.ssid, padding=68), DropReason.NOT_AUTHENTICATED),
        (octets(1, sent_s=1, ssid=SEALED.ssid, key=bytes(32)), DropReason.WRONG_HMAC),
    ],
)
def test_a_packet_that_may_not_be_answered_is_dropped_and_counted(
    listener: Listener, data: bytes, reason: DropReason
) -> None:
    assert listener.table.hear(data, HOME, 0) is reason
    assert listener.table.dropped == dict.fromkeys(DropReason, 0) | {reason: 1}
    assert listener.table.view(OPEN.ssid) is None
    assert listener.table.view(SEALED.ssid) is None


def test_an_authenticated_packet_is_heard_with_the_key_to_answer_with(listener: Listener) -> None:
    data = octets(9, sent_s=1, ssid=SEALED.ssid, key=KEY)
    heard = listener.table.hear(data, HOME, 0)
    assert isinstance(heard, Heard)
    assert (heard.packet.seq, heard.counter, heard.key) == (9, 0, KEY)


def test_strangers_are_served_only_when_asked_and_only_so_many_are_remembered() -> None:
    table = SessionTable()
    data = octets(1, sent_s=1, ssid=7)
    assert table.hear(data, HOME, 0) is DropReason.UNKNOWN_SESSION
    for port in range(MAX_STRANGERS + 1):
        heard = table.hear(data, ("192.0.2.9", port), 0, strangers=True)
        assert isinstance(heard, Heard)
        assert (heard.counter, heard.key) == (0, None)
    kept = table.hear(data, ("192.0.2.9", 5), 0, strangers=True)
    forgotten = table.hear(data, ("192.0.2.9", 0), 0, strangers=True)
    assert isinstance(kept, Heard)
    assert isinstance(forgotten, Heard)
    assert (kept.counter, forgotten.counter) == (1, 0)
    assert len(table._strangers) == MAX_STRANGERS


def test_a_session_heard_from_many_addresses_keeps_the_newest_few(listener: Listener) -> None:
    for port in range(1, 100):
        listener.hear(port, at_s=port, source=("192.0.2.1", port))
    assert list(listener.table._hearings[OPEN.ssid].segments) == [
        ("192.0.2.1", port) for port in range(100 - MAX_SEGMENTS, 100)
    ]
    assert listener.lost() == 0


def test_an_address_not_heard_for_an_hour_is_forgotten_when_another_speaks(
    listener: Listener,
) -> None:
    listener.hear(0, at_s=0)
    listener.hear(1, at_s=1, source=AWAY)
    listener.hear(4_000, at_s=4_000, source=("192.0.2.2", 1))
    assert list(listener.table._hearings[OPEN.ssid].segments) == [("192.0.2.2", 1)]


def answers(arrivals: Sequence[int]) -> list[int]:
    """The reflector's counter in each answer: a packet that was doubled on the way counts once."""
    told: list[int] = []
    seen: set[int] = set()
    for arrival in arrivals:
        told.append(len(seen) - (arrival in seen))
        seen.add(arrival)
    return told


class Phase(NamedTuple):
    """A stretch of one life of a sender behind one source: which packets arrive, in what order."""

    restart: bool
    arrivals: list[int]
    """Indices of sent packets, in arrival order, duplicates included."""
    sent: int


@st.composite
def phases(draw: st.DrawFn) -> list[Phase]:
    told = []
    for k in range(draw(st.integers(1, 5))):
        sent = draw(st.integers(1, 60))
        arrived = [i for i in range(sent) if draw(st.integers(0, 3))]
        doubled = draw(st.lists(st.sampled_from(arrived), max_size=5)) if arrived else []
        delays = random.Random(draw(st.integers(0, 2**32)))
        order = sorted(arrived + doubled, key=lambda i: i + delays.choice([0, 0, 0, 2.5, 9.5]))
        told.append(Phase(k > 0 and draw(st.booleans()), order, sent))
    return told


class Life:
    """The oracle's memory of one life: nothing but the set of numbers that arrived."""

    def __init__(self) -> None:
        self.arrived: set[int] = set()
        self.duplicates = self.reordered = 0

    def take(self, seq: int) -> None:
        if seq in self.arrived:
            self.duplicates += 1
            return
        self.reordered += bool(self.arrived) and seq < max(self.arrived)
        self.arrived.add(seq)

    @property
    def lost(self) -> int:
        span = max(self.arrived) - min(self.arrived) + 1 if self.arrived else 0
        return span - len(self.arrived)


@given(phases(), st.sampled_from([0, 1_000, 2**32 - 20, 2**31 - 20]))
def test_the_table_agrees_with_a_brute_force_oracle(told: list[Phase], start: int) -> None:
    """Loss, duplication, reordering, restarts, NAT rebindings and the wrap of sequence numbers."""
    listener = Listener()
    lives = [Life()]
    restarts = 0
    base, now_s, first_of_life = start, 0.0, False
    counters: list[list[int]] = []
    for k, phase in enumerate(told):
        if phase.restart:
            # A life that counted on from the former's last number would be taken for it.
            base -= 1_000 + base % 7
        first_of_life |= phase.restart
        counters.append([])
        for index in phase.arrivals:
            if first_of_life and lives[-1].arrived:
                lives.append(Life())
                restarts += 1
            first_of_life = False
            source = ("192.0.2.1", 40_000 + k)
            seq = base + index
            now_s += 0.01
            counters[-1].append(
                listener.hear(seq, at_s=now_s, sent_s=k * 100 + index, source=source)
            )
            lives[-1].take(seq)
        base += phase.sent
    assert counters == [answers(phase.arrivals) for phase in told]
    view = listener.table.view(OPEN.ssid)
    if view is None:
        assert not any(phase.arrivals for phase in told)
        return
    assert view.packets_received == sum(len(phase.arrivals) for phase in told)
    assert view.forward_lost == sum(life.lost for life in lives)
    assert view.duplicates == sum(life.duplicates for life in lives)
    assert view.reordered == sum(life.reordered for life in lives)
    assert view.sender_restarts == restarts


@given(
    st.lists(st.booleans(), min_size=1, max_size=200),
    st.integers(1, 60),
    st.integers(0, 20),
)
def test_recent_loss_agrees_with_a_brute_force_oracle(
    arrives: list[bool], window_s: int, silent_s: int
) -> None:
    """One packet a second: what was numbered after the window's edge, up to the newest heard."""
    listener = Listener()
    for second, arrived in enumerate(arrives):
        if arrived:
            listener.hear(second, at_s=second + 0.3)
    now_s = len(arrives) - 1 + silent_s + 0.9
    heard = [second for second, arrived in enumerate(arrives) if arrived]
    edge = int(now_s) - window_s
    if not heard or heard[-1] <= edge:
        assert listener.recent(now_s, window_s) is None
        return
    expected = heard[-1] - max(edge, heard[0] - 1)
    received = sum(second > edge for second in heard)
    assert listener.recent(now_s, window_s) == RecentForward(expected, received)


def test_a_long_cut_that_ended_in_the_window_is_not_all_booked_on_the_window(
    listener: Listener,
) -> None:
    listener.hear(0, at_s=0.5)
    for second in range(10_800, 10_810):
        listener.hear(second, at_s=second + 0.5)
    assert listener.recent(10_809.9, 60) == RecentForward(60, 10)
    assert listener.recent(10_809.9, 5) == RecentForward(5, 5)


def test_a_fast_sender_is_judged_by_its_last_numbers(listener: Listener) -> None:
    for k in range(6_000):
        if k % 10:
            listener.hear(k, at_s=k / 100)
    recent = listener.recent(59.99, 60)
    assert recent is not None
    assert recent.expected == WINDOW
    assert recent.received == pytest.approx(WINDOW * 0.9, abs=1)


def test_a_restart_in_the_window_begins_a_new_count(listener: Listener) -> None:
    for second in range(20):
        listener.hear(second, at_s=second)
    for second in range(5):
        listener.hear(second, at_s=25 + second, source=AWAY)
    assert listener.recent(29.9, 60) == RecentForward(5, 5)


@pytest.mark.parametrize("window_s", [0, 61, -1])
def test_a_window_that_is_not_kept_is_a_mistake_of_the_caller(
    listener: Listener, window_s: int
) -> None:
    with pytest.raises(ValueError, match=r"expected 1\.\.60"):
        listener.recent(0, window_s)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1) | st.integers(0, 50),
            st.integers(0, 2**64 - 1),
            st.integers(0, 6),
            st.integers(0, 10**14),
        ),
        max_size=60,
    )
)
def test_whatever_a_hostile_sender_numbers_the_counts_stay_sane(
    packets: list[tuple[int, int, int, int]],
) -> None:
    table = SessionTable()
    table.register(OPEN)
    now_ns = 0
    first_ns: int | None = None
    for seq, timestamp, port, pause_ns in packets:
        now_ns += pause_ns
        first_ns = now_ns if first_ns is None else first_ns
        data = stamp.pack_sender(stamp.SenderPacket(seq, timestamp, 1, OPEN.ssid))
        heard = table.hear(data, ("192.0.2.1", port), now_ns)
        assert isinstance(heard, Heard)
        view = table.view(OPEN.ssid)
        assert view is not None
        possible = (now_ns - first_ns) // 10_000_000 + WINDOW
        assert 0 <= view.forward_lost <= len(packets) * possible
        recent = table.recent(OPEN.ssid, now_ns, 60)
        assert recent is None or 0 < recent.expected <= WINDOW
        assert recent is None or 0 <= recent.received <= recent.expected
    assert len(table._hearings[OPEN.ssid].segments if packets else OrderedDict()) <= MAX_SEGMENTS


def test_memory_of_five_thousand_sessions_is_bounded() -> None:
    import tracemalloc

    tracemalloc.start()
    table = SessionTable()
    for ssid in range(1, 5_001):
        table.register(Session(ssid, f"link-{ssid}", b"a" * 16, None))
    for second in range(3):
        for ssid in range(1, 5_001):
            table.hear(
                octets(second, sent_s=second, ssid=ssid), ("10.0.0.1", ssid), second * SECOND
            )
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < 5_000 * 4_096
