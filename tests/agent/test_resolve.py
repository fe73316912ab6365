import asyncio
import errno
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import dns.message
import msgspec
import pytest

from agent import resolve
from agent.measure import Measure
from agent.resolve import NamelessProbe, Names, ask, homeless, load, named
from agent.sockets import RealNetwork
from runtime.clock import SystemClock
from tests.agent.attempt_kit import Answers, Bench, bench, dns_server, records, tcp_server
from tests.agent.measure_kit import rows, target
from wire.detail import Resolution
from wire.observation import Outcome, Train
from wire.policy import Target

HUB = "hub.desa.test"
AIM = target(probe="tcp", host=HUB, address="0.0.0.0", port=9)


def fixed(*addresses: str, ttl: int = 60, rcode: int = 0) -> Answers:
    return lambda query: [records(query, *addresses, ttl=ttl, rcode=rcode).to_wire()]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.1\nsearch elsewhere.test\n")
    return file


@asynccontextmanager
async def following(
    conf: Path, answers: Answers, *targets: Target
) -> AsyncIterator[tuple[Names, Bench, list[int]]]:
    """Names that are being followed, and how many look-ups there had been at each change."""
    changes: list[int] = []
    async with dns_server(answers) as port, bench() as lab:
        names = Names(
            lab.site,
            lambda: changes.append(len(lab.told)),
            resolv_conf=conf,
            port=port,
        )
        names.follow(targets)
        yield names, lab, changes


async def until(there: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not there():
            await asyncio.sleep(0.005)


async def test_a_name_leads_to_its_address_and_the_look_up_is_recorded(conf: Path) -> None:
    asked: list[str] = []

    def answers(query: dns.message.Message) -> Sequence[bytes | float]:
        asked.append(str(query.question[0]))
        return [0.05, *fixed("192.0.2.7", "192.0.2.8")(query)]

    async with following(conf, answers, AIM) as (names, lab, changes):
        assert names.place(AIM) == AIM
        await until(lambda: changes)
        (told,) = lab.told
        assert isinstance(told, Resolution)
        assert names.place(AIM) == msgspec.structs.replace(AIM, address=told.addresses[0])
    assert (told.link, told.target, told.name) == ("astinet", "hub", HUB)
    assert told.outcome is Outcome.OK
    assert sorted(told.addresses) == ["192.0.2.7", "192.0.2.8"]  # servers shuffle them
    assert told.rtt_ns is not None and 50_000_000 <= told.rtt_ns < 200_000_000
    assert asked == [f"{HUB}. IN A"]


async def test_the_family_of_the_address_decides_what_is_asked_for(conf: Path) -> None:
    six = msgspec.structs.replace(AIM, address="::")
    async with following(conf, fixed("2001:db8::7"), six) as (names, _, changes):
        await until(lambda: changes)
        assert names.place(six).address == "2001:db8::7"


async def test_an_address_that_is_still_answered_is_kept_and_one_that_is_gone_is_left(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "MIN_TTL_S", 0.02)
    told = iter([("192.0.2.7",), ("192.0.2.8", "192.0.2.7"), ("192.0.2.8",), ("192.0.2.8",)])
    asked: list[int] = []

    def answers(query: dns.message.Message) -> Sequence[bytes | float]:
        asked.append(1)
        return fixed(*next(told, ("192.0.2.8",)), ttl=0)(query)

    async with following(conf, answers, AIM) as (names, _, changes):
        await until(lambda: len(asked) >= 5)
        assert names.place(AIM).address == "192.0.2.8"
    assert changes == [1, 3]


async def test_the_last_good_address_outlives_a_dead_name_server(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "MIN_TTL_S", 0.02)
    monkeypatch.setattr(resolve, "RETRY_S", 0.02)
    asked: list[int] = []

    def answers(query: dns.message.Message) -> Sequence[bytes | float]:
        asked.append(1)
        return fixed("192.0.2.7", ttl=0)(query) if len(asked) == 1 else fixed(rcode=3)(query)

    async with following(conf, answers, AIM) as (names, lab, changes):
        await until(lambda: len(asked) >= 3)
        assert names.place(AIM).address == "192.0.2.7"
        changed = msgspec.structs.replace(AIM, dscp=46)
        names.follow([changed])
        assert names.place(changed).address == "192.0.2.7"
        assert names.place(AIM) == AIM
    assert len(changes) == 1
    outcomes = [one.outcome for one in lab.told if isinstance(one, Resolution)]
    assert outcomes[:2] == [Outcome.OK, Outcome.DNS_ERROR]


async def test_a_name_that_nobody_wants_any_more_is_not_asked_for(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following(conf, fixed("192.0.2.7"), AIM) as (names, lab, changes):
        await until(lambda: changes)
        (task,) = lab.tasks
        names.follow([])
        await asyncio.wait_for(task, 1)
        lab.tasks.clear()


async def test_a_cancellation_that_a_library_swallows_ends_the_following_all_the_same(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio.wait_for does that up to Python 3.11 where the answer comes at the same moment."""
    begun = asyncio.Event()

    async def swallow(*_: Any) -> resolve.Found:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return resolve.Found(Outcome.OK, ("192.0.2.7",), 60.0)

    monkeypatch.setattr(resolve, "ask", swallow)
    async with following(conf, fixed(), AIM) as (_, lab, changes):
        await begun.wait()
        lab.tasks[0].cancel()
        await asyncio.wait(lab.tasks, timeout=1)
        assert lab.tasks[0].cancelled()
    assert changes == []


async def look_up(conf: Path, answers: Answers, host: str = HUB) -> resolve.Found:
    async with dns_server(answers) as port:
        return await ask(load(conf, port), host, "A")


@pytest.mark.parametrize(
    ("ttl", "believed"), [(0, 30.0), (29, 30.0), (31, 31.0), (3600, 3600.0), (86_400, 3600.0)]
)
async def test_a_ttl_is_followed_within_bounds(conf: Path, ttl: int, believed: float) -> None:
    found = await look_up(conf, fixed("192.0.2.7", ttl=ttl))
    assert (found.outcome, found.ttl_s) == (Outcome.OK, believed)


@pytest.mark.parametrize(
    "answers",
    [fixed(rcode=3), fixed(), fixed(rcode=2), fixed(rcode=5)],
    ids=["NXDOMAIN", "no address", "SERVFAIL", "REFUSED"],
)
async def test_a_name_without_an_address_is_a_dns_error(conf: Path, answers: Answers) -> None:
    found = await look_up(conf, answers)
    assert found == resolve.Found(Outcome.DNS_ERROR)


async def test_a_name_that_cannot_be_asked_for_is_a_dns_error(conf: Path) -> None:
    assert (await look_up(conf, fixed(), "x" * 64)).outcome is Outcome.DNS_ERROR


async def test_silence_of_all_name_servers_is_a_timeout(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "LOOKUP_S", 0.3)
    assert (await look_up(conf, lambda query: [])).outcome is Outcome.TIMEOUT


async def test_a_system_without_name_servers_asks_nobody(tmp_path: Path) -> None:
    assert (await ask(load(tmp_path / "none", 53), HUB, "A")).outcome is Outcome.NOT_SENT


async def test_where_no_way_leads_to_a_name_server_nothing_is_sent(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = load(conf, 53)
    assert resolver is not None

    async def no_route(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENETUNREACH, "no route")

    monkeypatch.setattr("dns.asyncquery.udp", no_route)
    assert (await ask(resolver, HUB, "A")).outcome is Outcome.NOT_SENT


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
async def test_a_step_of_the_wall_clock_does_not_end_a_look_up(
    conf: Path, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    true_time = time.time
    steps = [0.0]
    conf.write_text("nameserver 127.0.0.1\n" * 2)

    def answers(query: dns.message.Message) -> Sequence[bytes | float]:
        if steps[0] == 0.0:
            steps[0] = step_s
            monkeypatch.setattr(time, "time", lambda: true_time() + step_s)
            return fixed(rcode=2)(query)  # then the other one is asked
        return fixed("192.0.2.7")(query)

    found = await look_up(conf, answers)
    assert steps[0] == step_s
    assert found.outcome is Outcome.OK


def test_who_has_a_name_and_who_is_nowhere() -> None:
    assert named(AIM) and homeless(AIM)
    assert homeless(msgspec.structs.replace(AIM, address="::"))
    assert not homeless(msgspec.structs.replace(AIM, address="192.0.2.1"))
    assert not named(target(probe="tcp"))
    assert not named(target(probe="dns", host=HUB, address="0.0.0.0"))


async def test_a_target_that_is_nowhere_has_slots_but_no_loss() -> None:
    async with bench() as lab:
        found = await lab.ask(NamelessProbe, AIM, 2)
        assert lab.notes == {"hub": f"{HUB} was not resolved"}
        lab.probes[0].remove(lab.recorder.open(AIM))
        assert lab.notes == {"hub": None}
    assert [row.outcome for row in found] == [Outcome.DNS_ERROR] * 2
    assert not any(row.outcome.lost for row in found)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_measuring_follows_the_name_and_its_numbers_go_on(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def answers(query: dns.message.Message) -> Sequence[bytes | float]:
        asked.append(1)
        known = len(asked) > 2
        return fixed("127.0.0.1", ttl=0)(query) if known else fixed(rcode=2)(query)

    monkeypatch.setattr(resolve, "RESOLV_CONF", conf)
    monkeypatch.setattr(resolve, "RETRY_S", 0.2)
    async with dns_server(answers) as name_port, tcp_server(silent) as port:
        monkeypatch.setattr(resolve, "PORT", name_port)
        aim = msgspec.structs.replace(AIM, port=port, interval_s=0.05, timeout_s=0.04)
        clock = SystemClock()
        meter = Measure([aim], clock=clock, stamp_key=None, network=RealNetwork(clock))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(meter.run())
            await asyncio.sleep(0.6)
            task.cancel()
        taken = meter.abort()
        meter.close()
    found = rows(taken)
    outcomes = [row.outcome for row in found]
    change = outcomes.index(Outcome.OK)
    assert set(outcomes[:change]) == {Outcome.DNS_ERROR}
    assert set(outcomes[change:-1]) == {Outcome.OK}
    assert change >= 1
    assert len(outcomes) - change >= 3
    assert [row.seq for row in found] == list(range(len(found)))
    addresses = [one.address for one in taken if isinstance(one, Train)]
    assert set(addresses) == {"0.0.0.0", "127.0.0.1"}
    assert meter.notes() == ()
    resolutions = [one.outcome for one in taken if isinstance(one, Resolution)]
    assert resolutions[-1] is Outcome.OK
