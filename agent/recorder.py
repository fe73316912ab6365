"""What became of every packet: open until a reply or the timeout, then settled, then a Train.

Nothing here reads a clock, a socket or a file. A fate is settled once; what comes after it (late
replies, duplicates) is counted and changes nothing. Rows leave in sequence order, and when nobody
fetches them for hours the oldest become a Gap, because memory is bounded and silence is not an
option.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from statistics import median

from agent.stamps import Arrival, Sent, held_ns, round_trip, without_residence
from wire.journal import Gap, GapReason
from wire.message import TargetStatus, mostly_lost
from wire.observation import Outcome, StampSource, Train
from wire.policy import Target

MAX_HELD = 50_000
"""Settled rows kept in memory for all targets together, about 15 MB."""
_MIN_HELD = 64
UNFINISHED_ROWS = 1000
"""Rows told before they are settled: more than the spool's tail holds, and little work, for a
prober of thousands of targets would spend as much on them as on those that are."""
MAX_ROWS = 120
"""Rows in one train."""
_SWEEP = 16
"""Open packets of a target beyond which it settles what it can at its next send."""
WINDOW_NS = 30_000_000_000
"""How far back `status` can look."""
_Recent = tuple[int, int | None, Outcome]
"""Send time, RTT and outcome: all that `status` needs, and it keeps 30 s of these."""

# Python 3.11 looks an enum's member up by a call; these are needed for every packet.
_OK, _TIMEOUT, _HELD = Outcome.OK, Outcome.TIMEOUT, Outcome.HELD
_ABORTED = Outcome.ABORTED
_NO_STAMP, _KERNEL = StampSource.NONE, StampSource.KERNEL
_UNSENT = (Outcome.NOT_SENT, Outcome.LOCAL_ERROR, Outcome.DNS_ERROR)
"""Slots that used a number and sent nothing; an ABORTED packet did leave."""

_HELD_NS = 500_000_000
"""A packet that left so long after its slot says nothing of that slot's second (wire time, RFC 2330
section 10.2): a link that comes back would be called up from when packets began to wait for it."""
_FAR = 4
"""How many times the packets under way a train's end is sought back, and rows wait for it."""
_NONE_LOWER = 2**64
"""Above every counter of a reflector."""

Settled = Train | Gap


class Flight(Sent):
    """One packet, from before it leaves; later one row."""

    __slots__ = (
        "duplicates",
        "forward_us",
        "outcome",
        "reflector_seq",
        "reordered",
        "rtt_ns",
        "seq",
        "stamp",
        "suspect",
        "token",
        "ttl",
    )

    def __init__(self, seq: int, token: int = 0) -> None:
        # Not by super(): one is made for every packet.
        self.boot_ns = self.wall_ns = self.call_ns = 0
        self.kernel_ns = None
        self.seq = seq
        self.token = token
        """What a reply must name besides `seq`."""
        self.outcome: Outcome | None = None
        self.rtt_ns: int | None = None
        self.stamp = _NO_STAMP
        self.reflector_seq: int | None = None
        self.ttl: int | None = None
        self.forward_us: int | None = None
        self.duplicates = 0
        self.reordered = False
        """Its reply came after that of a later packet (RFC 4737 section 3.3)."""
        self.suspect = _TIMEOUT
        """What it is if no valid reply comes."""


class Oddities:
    """What came that changed no fate, and what memory could not hold: counters since start."""

    __slots__ = ("dropped", "duplicates", "foreign", "late")

    def __init__(self) -> None:
        self.duplicates = 0
        self.late = 0
        self.foreign = 0
        """Packets that no open observation asked for."""
        self.dropped = 0
        """Settled rows that were given up because nobody fetched them."""


class Room:
    """Settled rows that memory has for all targets, in equal shares."""

    __slots__ = ("_most", "each")

    def __init__(self, most: int) -> None:
        self._most = self.each = most

    def share(self, streams: int) -> None:
        """Divide it by so many."""
        self.each = max(_MIN_HELD, self._most // max(1, streams))


class Stream:
    """The packets of one target, from one policy to the next."""

    def __init__(
        self, target: Target, index: int, first_seq: int, oddities: Oddities, room: Room
    ) -> None:
        self.target = target
        self.key = target.link, target.name
        """What names the target on this node, whatever its settings."""
        self.index = index
        """Unique in this process: what packets carry to name their stream."""
        self.next_seq = first_seq
        self.retired = False
        self.heard: Callable[[int], None] | None = None
        """Told when a packet was sent that was answered."""
        self.last_reply_boot_ns: int | None = None
        self._oddities = oddities
        self._room = room
        self._timeout_ns = int(target.timeout_s * 1_000_000_000)
        self._under_way = self._timeout_ns // int(target.interval_s * 1_000_000_000) + 1
        """Packets that can be without a fate at once."""
        self._open: dict[int, Flight | Gap] = {}
        self._settled: deque[Flight | Gap] = deque()
        self._window: deque[_Recent] = deque()
        self._prior: tuple[int, int] | None = None
        self._next_expected = 0

    @property
    def open(self) -> bool:
        """Whether any packet's fate is still to be settled."""
        return bool(self._open)

    def launch(self, flight: Flight) -> None:
        """A packet has left, or has its local outcome already."""
        seq = flight.seq
        self._open[seq] = flight
        self.next_seq = seq + 1
        if len(self._open) > _SWEEP:
            self.advance(flight.boot_ns)

    def ground(self, flight: Flight, outcome: Outcome) -> None:
        """A packet did not leave: `outcome` is a local one."""
        flight.outcome = outcome
        self.launch(flight)

    def skip(self, gap: Gap) -> None:
        """Slots passed unused."""
        assert gap.first_seq is not None and gap.last_seq is not None
        self._open[gap.first_seq] = gap
        self.next_seq = gap.last_seq + 1

    def find(self, seq: int) -> Flight | None:
        """The packet `seq`, unless its fate has been handed on."""
        flight = self._open.get(seq)
        return flight if isinstance(flight, Flight) else None

    def whole_seq(self, low: int, bits: int) -> int:
        """The newest number used so far that ends in these `bits` bits: packets carry no more."""
        return self.next_seq - ((self.next_seq - low) & ((1 << bits) - 1))

    def waiting(self) -> Iterator[Flight]:
        """Packets without a fate, oldest first."""
        for flight in self._open.values():
            if isinstance(flight, Flight) and flight.outcome is None:
                yield flight

    def stray(self) -> None:
        """A reply to this target came for a packet whose fate has been handed on."""
        self._oddities.late += 1

    def reply(
        self,
        flight: Flight,
        arrival: Arrival,
        *,
        residence_ns: int = 0,
        reflector_seq: int | None = None,
    ) -> None:
        """`arrival` is a valid reply to `flight`, which the reflector kept for `residence_ns`."""
        if flight.outcome is not None:
            if flight.outcome is _OK or flight.outcome is _HELD:
                self._oddities.duplicates += 1
                flight.duplicates += 1
            else:
                self._oddities.late += 1
            return
        away_ns, stamp = round_trip(flight, arrival)
        kept_ns = held_ns(flight) if stamp is _KERNEL else 0
        self.last_reply_boot_ns = flight.boot_ns + kept_ns + away_ns
        if away_ns > self._timeout_ns:
            flight.outcome = _TIMEOUT
            self._oddities.late += 1
            return
        flight.reflector_seq = reflector_seq
        flight.ttl = arrival.ttl
        if flight.seq < self._next_expected:
            flight.reordered = True
        else:
            self._next_expected = flight.seq + 1
        if kept_ns > _HELD_NS:
            flight.outcome = _HELD
            return
        flight.outcome = _OK
        flight.rtt_ns = without_residence(away_ns, residence_ns) if residence_ns else away_ns
        flight.stamp = stamp
        if self.heard is not None:
            self.heard(flight.boot_ns)

    def refused(self, flight: Flight, away_ns: int) -> None:
        """The target itself said no, `away_ns` after the packet had left: the way is there."""
        if flight.outcome is None and away_ns <= self._timeout_ns:
            flight.outcome = Outcome.REFUSED
            flight.rtt_ns = away_ns
            flight.stamp = StampSource.USER
            self.last_reply_boot_ns = flight.boot_ns + away_ns
            if self.heard is not None:
                self.heard(flight.boot_ns)

    def refuse(self, flight: Flight, outcome: Outcome) -> None:
        """The network said that `flight` did not arrive."""
        if flight.outcome is None:
            flight.outcome = outcome

    def advance(self, now_ns: int) -> None:
        """Settle what can be settled at `now_ns`, in order."""
        ready: list[int] = []
        timeout_ns = self._timeout_ns
        for first_seq, flight in self._open.items():
            if isinstance(flight, Flight):
                # An answered packet waits as well: what else comes for it is a duplicate.
                age_ns = now_ns - flight.boot_ns
                if age_ns < timeout_ns:
                    break
                outcome = flight.outcome
                if outcome is None:
                    if age_ns == timeout_ns:
                        break
                    outcome = flight.outcome = flight.suspect
                self._window.append((flight.boot_ns, flight.rtt_ns, outcome))
            ready.append(first_seq)
        if not ready:
            return
        self._settled += map(self._open.pop, ready)
        self._forget_window()
        if len(self._settled) > self._room.each:
            self._forget_oldest()

    def abort(self) -> None:
        """Settle everything now: what is under way is ABORTED."""
        for flight in self._open.values():
            if isinstance(flight, Flight) and flight.outcome is None:
                flight.outcome = Outcome.ABORTED
        self._settled.extend(self._open.values())
        self._open.clear()

    def take(self, *, last: bool = False) -> list[Settled]:
        """What is settled since the last call, as trains and gaps in sequence order.

        Rows at the end may stay for the next call, unless this is the `last`: a train ends where
        no packet overtook another, as far as replies have shown, or losses could be told on the
        wrong direction.
        """
        taken: list[Settled] = []
        rows: list[Flight] = []
        settled, self._settled = self._settled, deque()
        while settled:
            flight = settled.popleft()
            if isinstance(flight, Gap):
                self._close(rows, taken)
                rows.clear()
                self._count_on([flight])
                taken.append(flight)
                continue
            if len(rows) == MAX_ROWS:
                behind = [flight, *islice(settled, self._under_way)]
                leaving = self._uncrossed(rows, behind) or MAX_ROWS
                self._close(rows[:leaving], taken)
                del rows[:leaving]
            rows.append(flight)
        ahead = islice(self._open.values(), self._under_way)
        leaving = len(rows) if last else self._uncrossed(rows, ahead)
        self._close(rows[:leaving], taken)
        self._settled.extend(rows[leaving:])
        return taken

    def unfinished(self) -> list[Settled]:
        """What `abort` and `take` would give now; nothing is settled or taken by it."""
        settled, prior = self._settled, self._prior
        self._settled = deque((*settled, *self._open.values()))
        told = self.take(last=True)
        self._settled, self._prior = settled, prior
        return told

    def status(self, now_ns: int, window_ns: int) -> TargetStatus:
        """The last `window_ns` of this target of which every packet is settled."""
        end_ns = now_ns - self._timeout_ns
        begin_ns = end_ns - window_ns
        rows = [row for row in self._window if begin_ns < row[0] <= end_ns]
        times = [rtt_ns for _, rtt_ns, _ in rows if rtt_ns is not None]
        local = sum(outcome.local for _, _, outcome in rows)
        return TargetStatus(
            link=self.target.link,
            target=self.target.name,
            sent=len(rows) - local,
            lost=sum(outcome.lost for _, _, outcome in rows),
            not_sent=local,
            rtt_median_ns=int(median(times)) if times else None,
            rtt_max_ns=max(times, default=None),
            last_reply_boot_ns=self.last_reply_boot_ns,
        )

    def losing(self, now_ns: int, window_ns: int) -> bool:
        """Whether such a status says that most is lost; asked every second, and cheaper."""
        end_ns = now_ns - self._timeout_ns
        begin_ns = end_ns - window_ns
        sent = lost = 0
        for sent_ns, _, outcome in reversed(self._window):
            if begin_ns < sent_ns <= end_ns and not outcome.local:
                sent += 1
                lost += outcome.lost
            elif sent_ns <= begin_ns:
                break
        return mostly_lost(lost, sent, window_ns / 1e9)

    def _forget_window(self) -> None:
        window = self._window
        if window:
            oldest_ns = window[-1][0] - WINDOW_NS - self._timeout_ns
            while window[0][0] < oldest_ns:
                window.popleft()

    def _forget_oldest(self) -> None:
        """Turn the older half of the settled rows into one gap, which then leads."""
        lost = [self._settled.popleft() for _ in range(len(self._settled) // 2 + 1)]
        first, last = _first_seq(lost[0]), _last_seq(lost[-1])
        newest = self._settled[0] if self._settled else lost[-1]
        self._count_on(lost)
        self._oddities.dropped += sum(isinstance(row, Flight) for row in lost)
        self._settled.appendleft(
            Gap(
                boot_ns=newest.boot_ns,
                wall_ns=newest.wall_ns,
                reason=GapReason.WRITE_FAILED,
                link=self.target.link,
                target=self.target.name,
                first_seq=first,
                last_seq=last,
                count=last - first + 1,
                detail="nobody fetched them and memory could not hold them",
            )
        )

    def _uncrossed(self, rows: Sequence[Flight], ahead: Iterable[Flight | Gap]) -> int:
        """How many of the rows can be a train such that no packet behind it overtook one of it.

        All, where there is no such end near: packets overtake each other all the time.
        """
        known = [row.reflector_seq for row in ahead if isinstance(row, Flight)]
        lowest = min((counter for counter in known if counter is not None), default=_NONE_LOWER)
        for leaving in range(len(rows), max(len(rows) - _FAR * self._under_way, 0) - 1, -1):
            before = rows[max(leaving - self._under_way, 0) : leaving]
            overtaken = any(self._overtook(lowest, row.reflector_seq) for row in before)
            if not overtaken and self._explained(rows[:leaving]):
                return leaving
            counter = rows[leaving - 1].reflector_seq
            lowest = lowest if counter is None else min(lowest, counter)
        return len(rows)

    def _explained(self, rows: Sequence[Flight]) -> bool:
        """Whether the reflector counted no more packets than were sent up to the newest reply:
        else one that was sent later overtook, whose own reply may be lost."""
        prior = self._prior or _beginning(rows)
        if prior is None:
            return True
        seq, counted = prior
        unsent = sent = 0
        highest = counted
        for row in rows:
            if row.reflector_seq is not None:
                sent = row.seq - seq - unsent
                highest = max(highest, row.reflector_seq)
            elif row.outcome in _UNSENT:
                unsent += 1
        return highest - counted <= sent

    def _overtook(self, reflected: int, other: int | None) -> bool:
        """Whether a packet with this counter was ahead of an earlier one with the other."""
        return other is not None and 0 < other - reflected <= self._under_way

    def _close(self, rows: list[Flight], taken: list[Settled]) -> None:
        if rows:
            taken.append(self._train(rows))

    def _count_on(self, rows: Sequence[Flight | Gap]) -> None:
        """Keep the newest pair of our number and the reflector's, for the next train; slots in
        which nothing was sent move our number on, because the reflector cannot have heard them."""
        for row in rows:
            if isinstance(row, Gap):
                if row.reason is GapReason.STALLED:
                    self._move_on(_last_seq(row) - _first_seq(row) + 1)
            elif row.reflector_seq is not None:
                self._prior = (row.seq, self._highest(row.reflector_seq))
            elif row.outcome in _UNSENT:
                self._move_on(1)

    def _move_on(self, slots: int) -> None:
        if self._prior is not None:
            self._prior = (self._prior[0] + slots, self._prior[1])

    def _highest(self, reflected: int) -> int:
        """The reflector's counter only rises; a lower one is of a packet that was overtaken, or
        of a new session if it is further back than packets can be under way."""
        if self._prior is None:
            return reflected
        return self._prior[1] if self._overtook(reflected, self._prior[1]) else reflected

    def _train(self, rows: Sequence[Flight]) -> Train:
        target = self.target
        start_ns = rows[0].boot_ns
        reflected = [row.reflector_seq for row in rows]
        ttl = [row.ttl for row in rows]
        forward = [row.forward_us for row in rows]
        prior = self._prior
        self._count_on(rows)
        return Train(
            link=target.link,
            target=target.name,
            probe=target.probe,
            address=target.address,
            first_seq=rows[0].seq,
            boot_ns=start_ns,
            interval_ns=int(target.interval_s * 1_000_000_000),
            timeout_ns=self._timeout_ns,
            send_us=[(row.boot_ns - start_ns) // 1000 for row in rows],
            rtt_ns=[row.rtt_ns for row in rows],
            # What is told before it is settled has no fate yet. In place: it is every packet's.
            outcome=[_ABORTED if row.outcome is None else row.outcome for row in rows],
            stamp=[row.stamp for row in rows],
            size=target.size,
            reflector_seq=_column(reflected),
            ttl=_column(ttl),
            forward_us=_column(forward),
            duplicates=sum([row.duplicates for row in rows]),
            reordered=sum([row.reordered for row in rows]),
            prior=prior,
        )


def _beginning(rows: Sequence[Flight]) -> tuple[int, int] | None:
    """What a session that begins with these rows had counted before them, if it does."""
    first = next((row for row in rows if row.reflector_seq is not None), None)
    if first is None or first.reflector_seq is None or rows[0].seq > 0:
        return None
    return (-1, -1) if first.reflector_seq <= first.seq else None


def _column(values: list[int | None]) -> list[int | None] | None:
    """None where nothing of it was measured."""
    return None if values.count(None) == len(values) else values


def _first_seq(row: Flight | Gap) -> int:
    first = row.first_seq if isinstance(row, Gap) else row.seq
    assert first is not None
    return first


def _last_seq(row: Flight | Gap) -> int:
    last = row.last_seq if isinstance(row, Gap) else row.seq
    assert last is not None
    return last


class Recorder:
    """All streams of this process; a target's numbers go on through every change of policy."""

    def __init__(self, held_most: int = MAX_HELD) -> None:
        self.oddities = Oddities()
        self._room = Room(held_most)
        self._streams: list[Stream] = []
        self._next_index = 0
        self._numbers: dict[tuple[str, str], int] = {}

    def open(self, target: Target) -> Stream:
        """A stream for `target`, its numbers following those of its namesake before it."""
        first_seq = self._numbers.get((target.link, target.name), 0)
        stream = Stream(target, self._next_index, first_seq, self.oddities, self._room)
        self._next_index += 1
        self._streams.append(stream)
        self._room.share(len(self._streams))
        return stream

    def retire(self, stream: Stream) -> None:
        """Send no more for `stream`; what is under way is still settled and handed on."""
        stream.retired = True
        self._numbers[stream.key] = stream.next_seq

    def settled(self, now_ns: int) -> list[Settled]:
        """Everything whose fate became final since the last call, in order for each target."""
        taken: list[Settled] = []
        unfinished: set[tuple[str, str]] = set()
        for stream in self._streams:
            stream.advance(now_ns)
            if stream.key not in unfinished:
                taken += stream.take(last=stream.retired and not stream.open)
                if stream.open:
                    unfinished.add(stream.key)
        self._streams = [
            stream
            for stream in self._streams
            if not stream.retired or stream.open or stream.key in unfinished
        ]
        self._room.share(len(self._streams))
        return taken

    def abort(self) -> list[Settled]:
        """Everything, what is under way as ABORTED."""
        taken: list[Settled] = []
        for stream in self._streams:
            stream.abort()
            taken += stream.take(last=True)
        return taken

    def unfinished(self) -> list[Settled]:
        """Everything that was not handed over yet, as far as its fate is known; what has none is
        ABORTED in it, and goes on. Of many targets the first only: see UNFINISHED_ROWS."""
        told: list[Settled] = []
        rows = 0
        for stream in self._streams:
            if rows >= UNFINISHED_ROWS:
                break
            mine = stream.unfinished()
            rows += sum(len(one) for one in mine if isinstance(one, Train))
            told += mine
        return told

    def status(self, now_ns: int, window_ns: int) -> tuple[TargetStatus, ...]:
        """The last `window_ns` settled nanoseconds of every target that is being measured."""
        current = [stream for stream in self._streams if not stream.retired]
        for stream in current:
            stream.advance(now_ns)
        return tuple(stream.status(now_ns, window_ns) for stream in current)

    def losing(self, now_ns: int, window_ns: int) -> frozenset[int]:
        """Indices of the targets that lose most of what is sent to them."""
        current = [stream for stream in self._streams if not stream.retired]
        for stream in current:
            stream.advance(now_ns)
        return frozenset(one.index for one in current if one.losing(now_ns, window_ns))
