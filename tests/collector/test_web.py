"""Agents over real HTTP: what is taken, what is refused, and what becomes of each."""

import asyncio
import contextlib
import gzip
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard

from collector.enrol import DAY_NS, invite
from collector.identity import load_or_make
from collector.web.agents import MAX_REQUEST_BYTES
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.collector.hub import Hub, Reply, enrol_request, enrolled, later, serving
from tests.collector.kit import Box, reported, train
from wire import message
from wire.batch import HEADER_BYTES, MAX_BATCH_BYTES, parse
from wire.codec import encode_body
from wire.errors import Refusal
from wire.instant import ClockClass
from wire.message import SpoolStatus, Status
from wire.token import Token


class Scene:
    """A collector, the box it knows (its first batch delivered), and a revoked one."""

    def __init__(self, hub: Hub, clock: FakeClock) -> None:
        self.hub, self.clock = hub, clock
        self.box, self.revoked, self.stranger = Box(1), Box(2), Box(9)

    def token(self, node: str = "n1") -> Token:
        identity = load_or_make(self.hub.folder / "etc" / "data")
        return invite(self.hub.ledger, identity, self.clock, node, DAY_NS)

    def state(self) -> Any:
        """All that a refusal must leave alone."""
        ledger = self.hub.ledger
        agents = ledger.agents()
        held = [len(list(ledger.placed_batches(agent.agent_id))) for agent in agents]
        live = self.hub.collector.board.live.agents()
        return agents, held, ledger.tallies(), ledger.gap_observations(), live


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = later()
    async with serving(tmp_path, Box(1), Box(2), clock=clock) as hub:
        one = Scene(hub, clock)
        hub.ledger.revoke(one.revoked.agent_id, 1)
        hub.collector.roster.refresh()
        await hub.deliver(one.box.batch())
        yield one


# --- what is taken ------------------------------------------------------------------------


async def test_a_receipt_names_the_batch_and_comes_after_it_is_durable(scene: Scene) -> None:
    batch = scene.box.batch()
    got = await scene.hub.deliver(batch)
    assert (got.agent_id, got.epoch, got.seq) == (scene.box.agent_id, scene.box.epoch, 1)
    assert got.batch_digest == batch.digest
    assert got.ledger_id == scene.hub.ledger.ledger_id
    assert got.received_wall_ns == scene.clock.wall_ns()
    assert scene.hub.ledger.holds(scene.box.agent_id, scene.box.epoch, 1)


async def test_a_repeat_gets_the_same_receipt_to_the_byte_and_counts_once(scene: Scene) -> None:
    data = scene.box.batch().to_bytes()
    first = await scene.hub.post("/v1/batch", data)
    scene.clock.advance(3600 * SECOND)
    again = await scene.hub.post("/v1/batch", data)
    assert (again.status, again.body) == (200, first.body)
    assert await scene.hub.value("pantau_collector_batches_duplicate_total") == 1
    assert await scene.hub.value("pantau_collector_observations_total") == 20
    sent = await scene.hub.value(
        "pantau_link_packets_sent_total", link="l1", node="n1", target="hub"
    )
    assert sent == 20


async def test_batches_that_overtake_each_other_are_all_taken(scene: Scene) -> None:
    batches = [scene.box.batch() for _ in range(8)]
    await asyncio.gather(*(scene.hub.deliver(batch) for batch in reversed(batches)))
    (head,) = scene.hub.ledger.heads()
    assert (head.next_seq, head.missing) == (9, 0)


async def test_enrolment_over_http_ends_in_a_policy_that_the_collector_signed(
    scene: Scene,
) -> None:
    box = scene.stranger
    token = scene.token("n2")
    data = message.sign(enrol_request(token, box), token.key())
    first = enrolled(await scene.hub.post("/v1/enrol", data), scene.hub)
    (target,) = first.policy.targets
    assert (target.link, target.probe, target.address) == ("l2", "stamp", "127.0.0.1")
    assert target.port == scene.hub.collector.reflector.port
    again = enrolled(await scene.hub.post("/v1/enrol", data), scene.hub)
    assert again.agent_id == first.agent_id
    box.agent_id = bytes.fromhex(first.agent_id)
    await scene.hub.deliver(box.batch([train([20], link="l2")]))


async def test_a_status_gets_the_hubs_time_and_the_policy_only_where_it_changed(
    scene: Scene,
) -> None:
    first = await scene.hub.tell(scene.box, scene.box.status())
    assert first.received_wall_ns == scene.clock.wall_ns()
    assert first.policy is not None
    known = scene.box.status(policy_digest=first.policy.digest())
    assert (await scene.hub.tell(scene.box, known)).policy is None


async def test_an_agent_that_holds_receipts_unknown_here_is_asked_to_send_again(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    held = scene.box.status(last_acked=(scene.box.epoch.hex(), 0))
    assert not (await scene.hub.tell(scene.box, held)).rewind
    for _ in range(3):
        lost = scene.box.status(last_acked=(scene.box.epoch.hex(), 77))
        assert (await scene.hub.tell(scene.box, lost)).rewind
    told = [one for one in caplog.records if "holds receipts" in one.getMessage()]
    assert len(told) == 1


async def test_an_agent_whose_lost_batches_lie_behind_newer_ones_is_asked_to_send_again(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a backup was brought back, where a fresh batch came before the first status."""
    box, epoch = scene.box, scene.box.epoch.hex()
    kept = [box.batch([train([20])]) for _ in range(3)]
    await scene.hub.deliver(kept[2])
    newest = (epoch, kept[2].header.seq)

    def status(waiting: int, acked: tuple[str, int] = newest) -> Status:
        spool = SpoolStatus(batches_waiting=waiting, bytes_used=0, bytes_cap=1)
        return box.status(last_acked=acked, spool=spool)

    # What still waits there is not lost.
    for _ in range(3):
        assert not (await scene.hub.tell(box, status(2))).rewind
    # One look may cross with a delivery.
    assert not (await scene.hub.tell(box, status(1))).rewind
    assert not (await scene.hub.tell(box, status(2))).rewind
    assert not (await scene.hub.tell(box, status(0))).rewind
    assert (await scene.hub.tell(box, status(0))).rewind
    # The answer may be lost.
    assert (await scene.hub.tell(box, status(0))).rewind
    # It went back, and has no more than one of them.
    await scene.hub.deliver(kept[1])
    after = (epoch, newest[1] - 1)
    for _ in range(3):
        assert not (await scene.hub.tell(box, status(0, after))).rewind
    told = [one for one in caplog.records if "batches are missing" in one.getMessage()]
    assert len(told) == 1


async def test_names_of_links_that_nobody_knows_are_not_remembered(scene: Scene) -> None:
    status = scene.box.status(targets=(reported("made-up"), reported("l1")))
    await scene.hub.tell(scene.box, status)
    now = scene.clock.boot_ns()
    live = scene.hub.collector.board.live
    assert live.reported("l1", "hub", now) == reported("l1")
    assert live.reported("made-up", "hub", now) is None


async def test_content_encoding_is_not_the_http_layers_business(scene: Scene) -> None:
    data = scene.box.batch().to_bytes()
    squeezed = await scene.hub.post("/v1/batch", gzip.compress(data), Content_Encoding="gzip")
    assert (squeezed.status, error_of(squeezed)) == (400, "malformed")
    plain = await scene.hub.post("/v1/batch", data, Content_Encoding="gzip")
    assert plain.status == 200


async def test_an_agent_that_lives_in_1970_is_believed_in_everything_but_the_time(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        at = (scene.box.seq * 10 + 111) * SECOND
        await scene.hub.deliver(scene.box.batch(clock=ClockClass.D, sealed_wall_ns=at))
    assert await scene.hub.value("pantau_collector_batches_clock_untrusted_total") == 3
    told = [one.getMessage() for one in caplog.records if one.name == "collector.board"]
    assert told == [
        f"agent {scene.box.agent_id.hex()} of node n1 has no clock that can be believed:"
        " its evidence is kept and placed by the hub's clock"
    ]


# --- what is refused ----------------------------------------------------------------------


def error_of(reply: Reply) -> str:
    return str(json.loads(reply.body)["error"])


def foreign(scene: Scene) -> bytes:
    return scene.box.batch([train([20], link="l2")]).to_bytes()


def changed(scene: Scene, **changes: Any) -> bytes:
    return scene.box.batch([train([20] * 10)], **changes).to_bytes()


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def bomb(scene: Scene) -> bytes:
    records = [train([20] * 10)]
    return scene.box.draft_body(records, zstandard.compress(bytes(200 << 20)), 2 << 20).to_bytes()


def large_header(scene: Scene) -> bytes:
    body, _ = encode_body([train([20] * 10)])
    return scene.box.draft_body([train([20] * 10)], body, (2 << 20) + 1).to_bytes()


def status(scene: Scene, box: Box, **changes: Any) -> bytes:
    return message.sign(box.status(**changes), box.key)


def enrol(scene: Scene, *, key_of: Token | None = None, **changes: Any) -> bytes:
    token = scene.token()
    return message.sign(enrol_request(token, scene.stranger, **changes), (key_of or token).key())


def used_token(scene: Scene) -> bytes:
    token = scene.token()
    ledger = scene.hub.ledger
    ledger.enrol(token.token_id, Box(7).agent)
    return message.sign(enrol_request(token, scene.stranger), token.key())


def expired_token(scene: Scene) -> bytes:
    data = enrol(scene)
    scene.clock.advance(DAY_NS + 1)
    return data


def unknown_token(scene: Scene) -> bytes:
    token = Token(b"?" * 16, b"s" * 32, b"f" * 16)
    return message.sign(enrol_request(token, scene.stranger), token.key())


class Bad(NamedTuple):
    what: str
    make: Callable[[Scene], bytes]
    status: int
    error: Refusal
    detail: str


BAD = {
    "garbage": Bad("batch", lambda s: b"GET / HTTP", 400, Refusal.MALFORMED, "do not begin"),
    "nothing": Bad("batch", lambda s: b"", 400, Refusal.MALFORMED, "0 bytes"),
    "truncated": Bad(
        "batch", lambda s: s.box.batch().to_bytes()[:-9], 400, Refusal.MALFORMED, "body of"
    ),
    "unknown version": Bad(
        "batch",
        lambda s: b"PTB1\x07" + s.box.batch().to_bytes()[5:],
        415,
        Refusal.UNKNOWN_VERSION,
        "batch version 7, known: 1",
    ),
    "too large": Bad(
        "batch", lambda s: bytes(MAX_BATCH_BYTES + 1), 413, Refusal.TOO_LARGE, "at most"
    ),
    "too large inside": Bad("batch", large_header, 413, Refusal.TOO_LARGE, "holding 2097153"),
    "bomb": Bad("batch", bomb, 422, Refusal.BAD_BODY, "zstd frame declares 209715200"),
    "other body": Bad(
        "batch", lambda s: flipped(s.box.batch().to_bytes(), -1), 422, Refusal.BAD_BODY, "not the"
    ),
    "counts": Bad("batch", lambda s: changed(s, observations=11), 422, Refusal.BAD_BODY, "says"),
    "times": Bad(
        "batch", lambda s: changed(s, last_boot_ns=101 * SECOND), 422, Refusal.BAD_BODY, "outside"
    ),
    "another's link": Bad("batch", foreign, 422, Refusal.BAD_BODY, "belongs to another node"),
    "unknown agent": Bad(
        "batch", lambda s: s.stranger.batch().to_bytes(), 401, Refusal.UNKNOWN_AGENT, "not enrolled"
    ),
    "revoked": Bad(
        "batch", lambda s: s.revoked.batch().to_bytes(), 403, Refusal.REVOKED, "was revoked"
    ),
    "signature": Bad(
        "batch",
        lambda s: flipped(s.box.batch().to_bytes(), HEADER_BYTES),
        401,
        Refusal.BAD_SIGNATURE,
        "not this agent's",
    ),
    "another's name": Bad(
        "batch",
        lambda s: s.stranger.draft([train([20])], agent_id=s.box.agent_id).to_bytes(),
        401,
        Refusal.BAD_SIGNATURE,
        "not this agent's",
    ),
    "chain": Bad(
        "batch", lambda s: changed(s, previous=b"x" * 32), 409, Refusal.WRONG_CHAIN, "not follow"
    ),
    "other bytes": Bad(
        "batch", lambda s: changed(s, seq=0), 409, Refusal.WRONG_CHAIN, "seq 0 holds other bytes"
    ),
    "wrong token": Bad("enrol", unknown_token, 401, Refusal.BAD_TOKEN, "is not ours"),
    "wrong secret": Bad(
        "enrol",
        lambda s: enrol(s, key_of=Token(b"?" * 16, b"s" * 32, b"f" * 16)),
        401,
        Refusal.BAD_SIGNATURE,
        "not signed by this key",
    ),
    "expired token": Bad("enrol", expired_token, 410, Refusal.EXPIRED_TOKEN, "has expired"),
    "enrol cut": Bad("enrol", lambda s: enrol(s)[:50], 400, Refusal.MALFORMED, "50 bytes"),
    "enrol body": Bad("enrol", lambda s: enrol(s)[:-1], 422, Refusal.BAD_BODY, "Enrol:"),
    "status as enrol": Bad("enrol", lambda s: status(s, s.box), 400, Refusal.MALFORMED, "Enrol"),
    "long status": Bad(
        "status", lambda s: bytes(MAX_REQUEST_BYTES + 1), 413, Refusal.TOO_LARGE, "at most"
    ),
    "status of a stranger": Bad(
        "status", lambda s: status(s, s.stranger), 401, Refusal.UNKNOWN_AGENT, "not enrolled"
    ),
    "status of a revoked": Bad(
        "status", lambda s: status(s, s.revoked), 403, Refusal.REVOKED, "was revoked"
    ),
    "status by another": Bad(
        "status",
        lambda s: status(s, s.stranger, agent_id=s.box.agent_id.hex()),
        401,
        Refusal.BAD_SIGNATURE,
        "not signed by this key",
    ),
    "status of another's link": Bad(
        "status",
        lambda s: status(s, s.box, targets=(reported("l2"),)),
        422,
        Refusal.BAD_BODY,
        "belongs to another node",
    ),
}


async def assert_refused(
    scene: Scene, bad: Bad, send: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> Reply:
    """It is told apart, told once, counted once, and nothing of it is kept."""
    before, counted = scene.state(), await refusals(scene.hub)
    caplog.clear()
    reply: Reply = await send()
    assert (reply.status, error_of(reply)) == (bad.status, bad.error)
    assert bad.detail in json.loads(reply.body)["detail"]
    (line,) = [one.getMessage() for one in caplog.records]
    assert line.startswith(f"refused {bad.what} from 127.0.0.1: {bad.error}: ")
    assert bad.detail in line and "\n" not in line
    after = await refusals(scene.hub)
    grown = {key: after[key] - counted[key] for key in after if after[key] != counted[key]}
    assert grown == {(bad.what, bad.error): 1}
    assert scene.state() == before
    return reply


async def refusals(hub: Hub) -> dict[tuple[str, str], float]:
    found = {}
    for (name, labels), value in (await hub.series()).items():
        if name == "pantau_collector_requests_refused_total":
            told = dict(labels)
            found[told["what"], told["reason"]] = value
    return found


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_told_apart_counted_logged_once_and_not_kept(
    scene: Scene, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = BAD[name]
    data = bad.make(scene)
    await assert_refused(scene, bad, lambda: scene.hub.post(f"/v1/{bad.what}", data), caplog)


async def test_a_token_that_was_used_makes_no_second_agent(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    data = used_token(scene)
    bad = Bad("enrol", used_token, 409, Refusal.USED_TOKEN, "token of node n1 was used")
    await assert_refused(scene, bad, lambda: scene.hub.post("/v1/enrol", data), caplog)


def test_no_two_reasons_look_alike() -> None:
    told = {(bad.what, bad.status, bad.error) for bad in BAD.values()}
    assert len({error: status for _, status, error in told}) == len({e for _, _, e in told})
    assert {error for _, _, error in told} == set(Refusal) - {
        Refusal.USED_TOKEN,
        Refusal.OVERLOADED,
    }


async def test_every_reason_is_counted_from_zero(tmp_path: Path) -> None:
    async with serving(tmp_path) as hub:
        counted = await refusals(hub)
    assert counted == {
        (what, reason): 0 for what in ("batch", "status", "enrol", "slot") for reason in Refusal
    }


async def test_a_body_too_large_in_pieces_is_cut_off_before_its_end(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MAX_BATCH_BYTES // 65_536 + 2):
            yield bytes(65_536)

    bad = BAD["too large"]._replace(detail="body of more than")
    reply = await assert_refused(scene, bad, lambda: scene.hub.post("/v1/batch", pieces()), caplog)
    assert reply.headers["Connection"] == "close"


async def raw(hub: Hub, *pieces: bytes, end: bool = False) -> bytes:
    """What comes back for these bytes on a bare connection; `end`: it is cut instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.collector.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        if end:
            return b""
        async with asyncio.timeout(5):
            return await reader.read(65_536)
    finally:
        writer.close()
        await writer.wait_closed()


HEAD = b"POST /v1/batch HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000\r\n\r\n"


async def test_a_connection_cut_in_mid_body_is_one_log_line_and_no_traceback(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    await raw(scene.hub, HEAD, b"PTB1 and the link goes down", end=True)
    await asyncio.sleep(0.05)
    (line,) = [one.getMessage() for one in caplog.records]
    assert (
        line == "refused batch from 127.0.0.1: malformed: cut off after 27 bytes: Connection lost"
    )
    assert (await refusals(scene.hub))["batch", "malformed"] == 1


async def test_a_body_that_trickles_is_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, limits={"body_deadline_s": 0.2}) as hub:
        answer = await raw(hub, HEAD, b"P", b"T", b"B")
        counted = await refusals(hub)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"no whole body in 0.2 s" in answer
    assert b"Connection: close" in answer
    assert counted["batch", "malformed"] == 1


async def test_a_broken_chunk_is_refused_and_the_collector_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chunked = b"POST /v1/batch HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n"
    box = Box()
    async with serving(tmp_path, box, limits={"body_deadline_s": 0.2}) as hub:
        answer = await raw(hub, chunked, b"5\r\nPTB1 \r\n", b"ZZ\r\nabc\r\n")
        assert answer.startswith(b"HTTP/1.1 400 Bad Request") and b'"malformed"' in answer
        await hub.deliver(box.batch())
    assert [one.name for one in caplog.records if one.levelno >= logging.WARNING] == [
        "collector.desk"
    ]


@pytest.mark.parametrize(
    "junk",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET /\r\n\r\n", b"\r\n" * 20],
)
async def test_what_is_no_http_is_at_most_one_line_of_information(
    scene: Scene, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    # Closing on what is left unread resets the connection.
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        await raw(scene.hub, junk, b"\r\n\r\n", end=True)
    assert len(caplog.records) <= 1
    assert all(one.levelname == "INFO" and not one.exc_info for one in caplog.records)
    await scene.hub.deliver(scene.box.batch())


# --- too much, and a disk that fails ------------------------------------------------------


async def test_an_agent_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    box = Box()
    async with serving(tmp_path, box, limits={"burst": 2, "requests_per_minute": 6}) as hub:
        for _ in range(2):
            await hub.deliver(box.batch())
        batch = box.batch().to_bytes()
        reply = await hub.post("/v1/batch", batch)
        assert (reply.status, error_of(reply)) == (503, "overloaded")
        assert 5 <= int(reply.headers["Retry-After"]) <= 60
        forged = flipped(batch, HEADER_BYTES)
        refused = [(await hub.post("/v1/batch", forged)).status for _ in range(3)]
        assert refused == [401] * 3
        clock = hub.collector._clock
        assert isinstance(clock, FakeClock)
        clock.advance(10 * SECOND)
        assert (await hub.post("/v1/batch", batch)).status == 200


def told_overloaded(caplog: pytest.LogCaptureFixture) -> int:
    return caplog.text.count("refused batch from 127.0.0.1: overloaded: too many batches wait")


async def test_when_the_disk_is_slow_and_the_queue_full_agents_are_sent_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    boxes = [Box(number) for number in range(1, 6)]
    batches = [box.batch().to_bytes() for box in boxes]
    async with (
        serving(tmp_path, *boxes, limits={"commit_queue": 2}) as hub,
        asyncio.TaskGroup() as g,
    ):
        with hub.ledger._lock:
            waiting = []
            for batch in batches[:3]:
                waiting.append(g.create_task(hub.post("/v1/batch", batch)))
                await asyncio.sleep(0.05)
            assert await hub.value("pantau_collector_commit_queue_batches") == 2
            turned_away = [await hub.post("/v1/batch", batch) for batch in batches[3:]]
            assert not any(one.done() for one in waiting)
        assert [(one.status, error_of(one)) for one in turned_away] == [(503, "overloaded")] * 2
        assert all("Retry-After" in one.headers for one in turned_away)
        assert [(await one).status for one in waiting] == [200] * 3
        assert [(await hub.post("/v1/batch", batch)).status for batch in batches] == [200] * 5
    assert told_overloaded(caplog) == 2


async def test_a_full_disk_is_503_without_a_receipt_and_recovers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box()
    async with serving(tmp_path, box) as hub:
        await hub.deliver(box.batch())
        (pages,) = hub.ledger._db.execute("PRAGMA page_count").fetchone() or (0,)
        hub.ledger._db.execute(f"PRAGMA max_page_count={pages + 2}")
        chance = random.Random(1)
        noisy = train([chance.uniform(1, 900) for _ in range(4000)], first_seq=10)
        batch = box.batch([noisy])
        reply = await hub.post("/v1/batch", batch.to_bytes())
        assert (reply.status, error_of(reply)) == (503, "overloaded")
        assert "Retry-After" in reply.headers
        assert not hub.ledger.holds(box.agent_id, box.epoch, 1)
        assert "1 batches were not stored" in caplog.text
        hub.ledger._db.execute("PRAGMA max_page_count=1000000")
        await hub.deliver(batch)
        assert (await hub.get("/-/healthy")).status == 200


async def test_enrolling_on_a_full_disk_is_503_and_leaves_the_token_good(scene: Scene) -> None:
    data = enrol(scene)
    scene.hub.ledger._db.execute("PRAGMA query_only=1")
    reply = await scene.hub.post("/v1/enrol", data)
    assert (reply.status, error_of(reply)) == (503, "overloaded")
    scene.hub.ledger._db.execute("PRAGMA query_only=0")
    assert (await scene.hub.post("/v1/enrol", data)).status == 200


async def test_what_is_kept_is_what_was_sent(scene: Scene) -> None:
    batch = scene.box.batch([train([20, None, 5], first_seq=10)])
    await scene.hub.deliver(batch)
    *_, (kept, _) = scene.hub.ledger.placed_batches(scene.box.agent_id)
    assert kept.to_bytes() == batch.to_bytes()
    assert parse(kept.to_bytes()) == batch


async def test_the_log_is_a_warning_and_for_overload_information(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box()
    with caplog.at_level(logging.INFO):
        async with serving(tmp_path, box, limits={"burst": 1}) as hub:
            await hub.deliver(box.batch())
            await hub.post("/v1/batch", box.batch().to_bytes())
            await hub.post("/v1/batch", b"?")
    levels = [one.levelname for one in caplog.records if one.name == "collector.desk"]
    assert levels == ["INFO", "WARNING"]
