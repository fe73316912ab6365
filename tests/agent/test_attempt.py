import asyncio
import errno
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from agent.measure import Measure
from agent.probes import PROBES
from agent.probes.attempt import (
    BUSY,
    FULL,
    Act,
    Attempt,
    AttemptProbe,
    Cut,
    Ended,
    grounded,
    met,
    settle,
)
from agent.recorder import Flight, Stream
from agent.sockets import RealNetwork
from runtime.clock import MS, SystemClock
from runtime.testing import FakeClock
from tests.agent.attempt_kit import bench, dns_server, records, tcp_server
from tests.agent.measure_kit import rows, run_for, target
from wire.detail import Exchange
from wire.journal import Gap
from wire.observation import Outcome, StampSource

OK = Ended(Outcome.OK, 5 * MS)


def acting(act: Act, at_once: int = 10) -> Callable[[Any], AttemptProbe]:
    """A probe all of whose targets are tried in this way."""
    return partial(AttemptProbe, prepare=lambda stream: act, at_once=at_once)


async def test_a_slot_that_comes_while_the_former_attempt_runs_is_not_sent_and_said() -> None:
    go = asyncio.Event()

    async def act(attempt: Attempt) -> Ended:
        await go.wait()
        return OK

    async with bench() as lab:
        probe, (stream,) = lab.serve(acting(act), target())
        for _ in range(3):
            assert probe.send([(stream, stream.next_seq)]) == 0
            await asyncio.sleep(0)
        assert lab.notes == {"hub": BUSY}
        go.set()
        await lab.idle()
        assert lab.notes == {"hub": None}
        probe.send([(stream, 3)])
        await lab.idle()
        found = lab.rows("hub")
    assert [row.outcome for row in found] == [
        Outcome.OK,
        Outcome.NOT_SENT,
        Outcome.NOT_SENT,
        Outcome.OK,
    ]
    assert [row.rtt_ns for row in found] == [5 * MS, None, None, 5 * MS]
    assert [row.seq for row in found] == [0, 1, 2, 3]


async def test_no_more_attempts_run_at_once_than_there_may_and_the_rest_is_not_sent() -> None:
    running = most = 0

    async def act(attempt: Attempt) -> Ended:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return OK

    targets = [target(str(k)) for k in range(12)]
    async with bench() as lab:
        probe, streams = lab.serve(acting(act, 5), *targets)
        probe.send([(stream, 0) for stream in streams])
        await lab.idle()
        assert most == 5
        assert [name for name, text in lab.notes.items() if text == FULL] == [
            str(k) for k in range(5, 12)
        ]
        probe.send([(stream, 1) for stream in streams[-5:]])
        await lab.idle()
        outcomes = [lab.rows("11")]
    assert [row.outcome for row in outcomes[0]] == [Outcome.NOT_SENT, Outcome.OK]
    assert lab.notes["11"] is None


async def test_an_attempt_without_end_is_a_timeout_or_what_came_instead() -> None:
    async def act(attempt: Attempt) -> Ended:
        attempt.begin()
        if attempt.flight.seq:
            attempt.flight.suspect = Outcome.BAD_REPLY
        await asyncio.Event().wait()
        return OK

    async with bench() as lab:
        found = await lab.ask(acting(act), target(timeout_s=0.05), 2)
    assert [row.outcome for row in found] == [Outcome.TIMEOUT, Outcome.BAD_REPLY]


async def test_what_the_recorder_has_settled_stays_as_it_is() -> None:
    clock = FakeClock()

    async def act(attempt: Attempt) -> Ended:
        clock.advance(400 * MS)
        assert lab.rows("hub")[0].outcome is Outcome.TIMEOUT
        return Ended(Outcome.OK, 250 * MS)

    async with bench(clock) as lab:
        assert await lab.ask(acting(act), target()) == []
    assert lab.site.oddities.late == 1


async def test_an_answer_after_the_timeout_is_a_timeout_and_late() -> None:
    async def act(attempt: Attempt) -> Ended:
        return Ended(Outcome.OK, 301 * MS)

    async with bench() as lab:
        (row,) = await lab.ask(acting(act), target())
        (status,) = lab.recorder.status(lab.clock.boot_ns(), 1)
    assert (row.outcome, row.rtt_ns) == (Outcome.TIMEOUT, None)
    assert lab.site.oddities.late == 1
    assert status.last_reply_boot_ns == row.sent_boot_ns + 301 * MS


async def test_an_attempt_that_is_cancelled_is_aborted_and_settled_once() -> None:
    cleaned = asyncio.Event()

    async def act(attempt: Attempt) -> Ended:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()
        return OK

    async with bench() as lab:
        probe, (stream,) = lab.serve(acting(act), target())
        probe.send([(stream, 0)])
        await asyncio.sleep(0)
    assert cleaned.is_set()
    (train,) = lab.recorder.abort()
    assert not isinstance(train, Gap)
    assert [row.outcome for row in train.observations()] == [Outcome.ABORTED]
    assert lab.recorder.abort() == []


async def test_a_target_that_was_taken_away_ends_in_order_and_leaves_no_note() -> None:
    async def act(attempt: Attempt) -> Ended:
        await asyncio.sleep(0.01)
        return Ended(Outcome.LOCAL_ERROR, trouble="no")

    async with bench() as lab:
        probe, (stream,) = lab.serve(acting(act), target())
        probe.send([(stream, 0)])
        await asyncio.sleep(0)
        lab.recorder.retire(stream)
        probe.remove(stream)
        await lab.idle()
        assert [row.outcome for row in lab.rows("hub")] == [Outcome.LOCAL_ERROR]
    assert lab.notes == {}


async def test_trouble_is_noted_until_an_attempt_leaves_the_machine_again() -> None:
    ends = iter([Ended(Outcome.LOCAL_ERROR, trouble="no"), Ended(Outcome.TIMEOUT), OK])

    async def act(attempt: Attempt) -> Ended:
        return next(ends)

    async with bench() as lab:
        probe, (stream,) = lab.serve(acting(act), target())
        said = []
        for seq in range(3):
            probe.send([(stream, seq)])
            await lab.idle()
            said.append(lab.notes.pop("hub", "nothing"))
    assert said == ["no", None, "nothing"]


async def test_a_bug_in_an_attempt_is_an_exception_and_no_loss() -> None:
    async def act(attempt: Attempt) -> Ended:
        raise KeyError("bug")

    with pytest.raises(ExceptionGroup) as failure:
        async with bench() as lab:
            await lab.ask(acting(act), target())
    assert failure.group_contains(KeyError, match="bug")
    assert [row.outcome for row in lab.rows("hub")] == [Outcome.LOCAL_ERROR]


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.EHOSTUNREACH, Outcome.UNREACHABLE),
        (errno.ENETUNREACH, Outcome.UNREACHABLE),
        (errno.ECONNRESET, Outcome.BAD_REPLY),
        (errno.EPIPE, Outcome.BAD_REPLY),
        (errno.ETIMEDOUT, Outcome.TIMEOUT),
        (errno.ENOBUFS, Outcome.LOCAL_ERROR),
        (errno.ENOMEM, Outcome.LOCAL_ERROR),
    ],
)
async def test_errors_on_the_way_are_outcomes(number: int, outcome: Outcome) -> None:
    async def act(attempt: Attempt) -> Ended:
        raise OSError(number, "text")

    async with bench() as lab:
        (row,) = await lab.ask(acting(act), target())
    assert (row.outcome, row.rtt_ns) == (outcome, None)
    assert bool(lab.notes) == outcome.local


def test_a_refusal_has_the_time_it_took() -> None:
    assert met(ConnectionRefusedError(errno.ECONNREFUSED, "no"), 7) == Ended(Outcome.REFUSED, 7)


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.ENETUNREACH, Outcome.NOT_SENT),
        (errno.ENODEV, Outcome.NOT_SENT),
        (errno.EMFILE, Outcome.LOCAL_ERROR),
        (errno.EPERM, Outcome.LOCAL_ERROR),
    ],
)
def test_errors_before_anything_left_are_local(number: int, outcome: Outcome) -> None:
    cut = grounded(OSError(number, "text"))
    assert isinstance(cut, Cut)
    assert cut.ended == Ended(outcome, trouble="cannot send: text")


async def test_a_row_is_stamped_when_it_leaves_and_never_overtakes_the_next() -> None:
    clock = FakeClock()
    async with bench(clock) as lab:
        _, (stream,) = lab.serve(acting(_never), target())
        first = Attempt(lab.site, stream, _launched(stream, 0, clock))
        clock.advance(3 * MS)
        assert first.begin() == first.flight.boot_ns == clock.boot_ns()
        clock.advance(3 * MS)
        stream.ground(_flight(1, clock), Outcome.NOT_SENT)
        before_ns = first.flight.boot_ns
        clock.advance(3 * MS)
        assert first.begin() == clock.boot_ns()
        assert first.flight.boot_ns == before_ns
        clock.advance(2 * MS)
        assert first.elapsed_ns() == 2 * MS
        settle(first, Ended(Outcome.REFUSED, 2 * MS))
        assert stream.last_reply_boot_ns == clock.boot_ns()
        found = lab.rows("hub")
    assert [row.outcome for row in found] == [Outcome.REFUSED, Outcome.NOT_SENT]
    assert found[0].stamp is StampSource.USER


async def _never(attempt: Attempt) -> Ended:
    raise AssertionError


def _flight(seq: int, clock: FakeClock) -> Flight:
    flight = Flight(seq)
    flight.boot_ns, flight.wall_ns = clock.boot_ns(), clock.wall_ns()
    return flight


def _launched(stream: Stream, seq: int, clock: FakeClock) -> Flight:
    flight = _flight(seq, clock)
    stream.launch(flight)
    return flight


async def test_a_dead_target_among_many_disturbs_none_of_them() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with (
        tcp_server(silent) as port,
        dns_server(lambda query: [records(query).to_wire()]) as open_port,
        dns_server(lambda query: []) as mute_port,
    ):
        fast: dict[str, Any] = {"interval_s": 0.2, "timeout_s": 0.15}
        tcp = target(probe="tcp", port=port, **fast)
        dns = target(probe="dns", port=open_port, host="a.test", **fast)
        alive = [msgspec.structs.replace(tcp, name=f"tcp{k}") for k in range(40)]
        alive += [msgspec.structs.replace(dns, name=f"dns{k}") for k in range(10)]
        dead = msgspec.structs.replace(dns, name="dead", port=mute_port)
        clock = SystemClock()
        meter = Measure([*alive, dead], clock=clock, stamp_key=None, network=RealNetwork(clock))
        taken = await run_for(meter, 1.3)
    for one in alive:
        found = [row.outcome for row in rows(taken, one.name)]
        assert len(found) >= 5
        assert set(found[:-1]) == {Outcome.OK}
    lost = [row.outcome for row in rows(taken, "dead")]
    assert set(lost[:-1]) == {Outcome.TIMEOUT}
    assert not meter.notes()
    told = [one for one in taken if isinstance(one, Exchange)]
    assert {one.target for one in told} == {f"dns{k}" for k in range(10)}


async def test_every_probe_of_the_registry_can_be_made() -> None:
    async with bench() as lab:
        for make in PROBES.values():
            lab.serve(make)


def test_nothing_is_loaded_for_probes_that_no_target_asks_for() -> None:
    code = (
        "import sys, agent.measure; print(*sorted(sys.modules.keys() & {"
        "'dns', 'http.client', 'aiohttp', 'cryptography.x509', 'agent.probes.dns',"
        "'agent.probes.http', 'agent.probes.tcp', 'pysnmp'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
