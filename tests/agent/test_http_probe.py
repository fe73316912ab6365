import asyncio
import errno
import ssl
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.probes.http import AT_ONCE, MAX_BODY, HttpProbe, Page, page_of
from agent.probes.site import Unavailable
from runtime.clock import SECOND, ClockQuality, SystemClock
from tests.agent.attempt_kit import (
    NOW,
    Authority,
    Bench,
    Days,
    Serve,
    bench,
    free_port,
    server_context,
    tcp_server,
)
from tests.agent.measure_kit import target
from tests.agent.test_tcp_probe import full_listener
from wire.detail import Exchange, Phase
from wire.instant import ClockClass
from wire.observation import Observation, Outcome, StampSource
from wire.policy import Target

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def aim(url: str, **changes: Any) -> Target:
    return target(probe="http", url=url, **{"timeout_s": 2.0, **changes})


def page(*pieces: bytes | float, asked: list[bytes] | None = None) -> Serve:
    """A server that reads a request and sends these pieces; a number is a pause."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(request)
        for piece in pieces:
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            else:
                writer.write(piece)
                await writer.drain()
        writer.close()
        await writer.wait_closed()

    return serve


async def fetch(serve: Serve, **changes: Any) -> tuple[Observation, list[Exchange], Bench]:
    async with tcp_server(serve) as port, bench() as lab:
        (row,) = await lab.ask(HttpProbe, aim(f"http://desa.test:{port}/", **changes))
    return row, lab.exchanges(), lab


async def test_the_parts_of_a_fetch_add_up_to_its_round_trip() -> None:
    row, (told,), lab = await fetch(page(0.1, OK[:-3], 0.15, OK[-3:]))
    assert row.outcome is Outcome.OK
    assert row.stamp is StampSource.USER
    assert list(told.phases_ns) == [Phase.CONNECT, Phase.PROCESSING, Phase.TRANSFER]
    assert row.rtt_ns == sum(told.phases_ns.values())
    assert told.phases_ns[Phase.CONNECT] > 1_000
    # The server waits so long; where the other end reads late, a part of it goes by unseen.
    assert told.phases_ns[Phase.PROCESSING] > 80_000_000
    assert told.phases_ns[Phase.TRANSFER] > 120_000_000
    assert (told.status, told.note, told.seq) == (200, "", 0)
    assert told.certificate_expires_s is None
    assert lab.notes == {}


async def test_the_request_names_the_host_of_the_url_at_the_literal_address() -> None:
    asked: list[bytes] = []
    async with tcp_server(page(OK, asked=asked)) as port, bench() as lab:
        await lab.ask(HttpProbe, aim(f"http://desa.test:{port}/a%20b?c=d#e"))
    lines = asked[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b?c=d HTTP/1.1"
    assert f"Host: desa.test:{port}" in lines
    assert "Connection: close" in lines


async def test_a_v6_address_is_fetched_from_too() -> None:
    async with tcp_server(page(OK), "::1") as port, bench() as lab:
        (row,) = await lab.ask(HttpProbe, aim(f"http://[::1]:{port}/", address="::1"))
    assert row.outcome is Outcome.OK


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
        b"HTTP/1.0 301 There\r\nLocation: http://127.0.0.1:1/\r\n\r\nuntil the end",
        b"HTTP/1.1 204 Nothing\r\n\r\n",
        b"HTTP/1.1 100 Go\r\n\r\n" + OK,
    ],
)
async def test_any_status_is_a_round_trip_and_no_redirect_is_followed(head: bytes) -> None:
    asked: list[bytes] = []
    row, (told,), _ = await fetch(page(head, asked=asked))
    assert row.outcome is Outcome.OK
    assert told.status == (200 if head.endswith(OK) else int(head[9:12]))
    assert told.note == ""
    assert len(asked) == 1


@pytest.mark.parametrize("head", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
async def test_a_long_body_is_not_read_to_its_end(head: str) -> None:
    body = bytes(100_000) if "Length" in head else b"186a0\r\n" + bytes(100_000) + b"\r\n"
    row, (told,), _ = await fetch(page(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode(), body, 5.0))
    assert row.outcome is Outcome.OK
    assert told.note == f"only the first {MAX_BODY} octets were read"


async def test_a_body_that_drips_is_a_timeout_with_the_parts_that_there_were() -> None:
    drips: list[bytes | float] = [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"]
    for _ in range(40):
        drips += [0.02, b"x"]
    row, (told,), _ = await fetch(page(*drips), timeout_s=0.3)
    assert (row.outcome, row.rtt_ns) == (Outcome.TIMEOUT, None)
    assert set(told.phases_ns) == {Phase.CONNECT, Phase.PROCESSING}
    assert told.status == 200


async def test_a_server_that_says_nothing_is_a_timeout() -> None:
    row, (told,), _ = await fetch(page(5.0), timeout_s=0.2)
    assert row.outcome is Outcome.TIMEOUT
    assert set(told.phases_ns) == {Phase.CONNECT}


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
        b"HTTP/1.1 100 Go\r\n\r\n" * 20_000,
        b"\x16\x03\x01" + bytes(500),
    ],
)
async def test_what_is_no_answer_is_a_bad_reply(garbage: bytes) -> None:
    row, (told,), lab = await fetch(page(garbage))
    assert (row.outcome, row.rtt_ns) == (Outcome.BAD_REPLY, None)
    assert told.note
    assert told.phases_ns[Phase.CONNECT]
    assert lab.notes == {}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 ", OK[:17], OK[:34]]))
def test_no_answer_makes_the_probe_fail(rest: bytes, start: bytes) -> None:
    row, _, _ = asyncio.run(fetch(page(start + rest)))
    assert row.outcome in (Outcome.OK, Outcome.BAD_REPLY)


async def test_a_closed_port_is_refused() -> None:
    async with bench() as lab:
        (row,) = await lab.ask(HttpProbe, aim(f"http://desa.test:{await free_port()}/"))
    assert row.outcome is Outcome.REFUSED
    assert row.rtt_ns is not None and 1_000 < row.rtt_ns < 50_000_000


async def test_a_port_that_does_not_answer_is_a_timeout() -> None:
    listener, waiting = full_listener()
    async with bench() as lab:
        port = listener.getsockname()[1]
        (row,) = await lab.ask(HttpProbe, aim(f"http://desa.test:{port}/", timeout_s=0.2))
    for sock in [listener, *waiting]:
        sock.close()
    assert row.outcome is Outcome.TIMEOUT
    assert lab.told == []


async def test_an_interface_that_is_not_there_is_a_slot_without_a_packet() -> None:
    row, told, lab = await fetch(page(OK), interface="nosuch0")
    assert row.outcome is Outcome.NOT_SENT
    assert told == []
    assert lab.notes == {"hub": "cannot send: No such device"}


async def test_attempts_beyond_the_threads_are_not_sent_and_the_loop_goes_on() -> None:
    async with tcp_server(page(0.3, OK)) as port, bench() as lab:
        aims = [aim(f"http://desa.test:{port}/", name=str(k)) for k in range(AT_ONCE + 3)]
        probe, streams = lab.serve(HttpProbe, *aims)
        probe.send([(stream, 0) for stream in streams])
        worst = 0.0
        for _ in range(25):
            began = time.monotonic()
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - began)
        await lab.idle()
        found = [lab.rows(one.name)[0].outcome for one in aims]
    assert found == [Outcome.OK] * AT_ONCE + [Outcome.NOT_SENT] * 3
    assert worst < 0.2


async def test_a_fetch_that_is_cancelled_lets_go_of_its_thread_at_once() -> None:
    before = set(threading.enumerate())
    async with tcp_server(page(30.0)) as port:
        async with bench() as lab:
            probe, streams = lab.serve(HttpProbe, aim(f"http://desa.test:{port}/", timeout_s=60))
            probe.send([(streams[0], 0)])
            await asyncio.sleep(0.1)
            (thread,) = set(threading.enumerate()) - before
            assert thread.name.startswith("http")
        await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.test", Page(False, "a.test", 80, "a.test", "/")),
        ("https://A.test/x?y=z", Page(True, "a.test", 443, "A.test", "/x?y=z")),
        ("https://[2001:db8::1]:8443", Page(True, "2001:db8::1", 8443, "[2001:db8::1]:8443", "/")),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: Page) -> None:
    assert page_of(url) == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "needs a url"),
        ("ftp://a.test/", "no http"),
        ("http:///path", "no http"),
        ("http://a.test/a b", "ASCII"),
        ("http://dé.test/", "ASCII"),
        ("http://a.test/\r\nX:y", "ASCII"),
        ("http://user:secret@a.test/", "secrets"),
        ("http://a.test:99999/", "ort"),
        ("https://a..test/", "label"),
    ],
)
async def test_a_url_that_cannot_be_fetched_is_said_to_be_so(url: str | None, reason: str) -> None:
    async with bench() as lab:
        with pytest.raises(Unavailable, match=reason):
            lab.serve(HttpProbe, target(probe="http", url=url))


# --- TLS --------------------------------------------------------------------------------------


class Told:
    """The system's clock, with another word on the calendar."""

    def __init__(self, days: float, clock_class: ClockClass) -> None:
        self._clock = SystemClock()
        self.boot_id = self._clock.boot_id
        self.boot_ns = self._clock.boot_ns
        self._ahead_ns = int(days * 86_400 * SECOND)
        self._class = clock_class

    def wall_ns(self) -> int:
        return self._clock.wall_ns() + self._ahead_ns

    def quality(self) -> ClockQuality:
        return ClockQuality(self._class, None, "told")


SYNCHRONISED = Told(0, ClockClass.A)
UNSET = Told(-20_000, ClockClass.D)


class Place:
    """A TLS server's authority and folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()

    def leaf(self, days: Days = Days(), name: str = "desa.test") -> Any:  # noqa: B008
        return self.authority.sign(name, days, issuer=self.authority.root)

    @asynccontextmanager
    async def server(self, *chain: Any, serve: Serve | None = None) -> AsyncIterator[int]:
        context = server_context(self.folder, *chain)
        async with tcp_server(serve or page(OK), context=context) as port:
            yield port

    async def fetch(
        self, *chain: Any, clock: Told = SYNCHRONISED, host: str = "desa.test"
    ) -> tuple[Observation, Exchange]:
        async with self.server(*chain) as port, bench(clock) as lab:
            (row,) = await lab.ask(HttpProbe, aim(f"https://{host}:{port}/"))
        (told,) = lab.exchanges()
        return row, told


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority.trust(tmp_path)))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return made


def unix(days: float) -> int:
    return int(NOW.timestamp() + days * 86_400)


async def test_a_good_certificate_gives_all_parts_and_its_end(place: Place) -> None:
    row, told = await place.fetch(place.leaf(Days(end=12)))
    assert row.outcome is Outcome.OK
    assert list(told.phases_ns) == list(Phase)[1:]
    assert row.rtt_ns == sum(told.phases_ns.values())
    assert told.phases_ns[Phase.TLS] > 50_000
    assert told.certificate_expires_s == unix(12)
    assert (told.status, told.note) == (200, "")


async def test_the_first_certificate_of_the_chain_to_run_out_counts(place: Place) -> None:
    middle = place.authority.sign("middle", Days(end=5), ca=True, issuer=place.authority.root)
    leaf = place.authority.sign("desa.test", Days(end=12), issuer=middle)
    row, told = await place.fetch(leaf, middle)
    assert row.outcome is Outcome.OK
    assert told.certificate_expires_s == unix(5)


@pytest.mark.parametrize("clock", [SYNCHRONISED, Told(0, ClockClass.D)])
async def test_a_certificate_that_ran_out_is_a_bad_reply_with_its_end(
    place: Place, clock: Told
) -> None:
    row, told = await place.fetch(place.leaf(Days(-9, -2)), clock=clock)
    assert (row.outcome, row.rtt_ns) == (Outcome.BAD_REPLY, None)
    assert told.certificate_expires_s == unix(-2)
    assert told.note == "certificate: certificate has expired"
    assert set(told.phases_ns) == {Phase.CONNECT, Phase.TLS}
    assert told.status is None


@pytest.mark.parametrize("clock", [SYNCHRONISED, UNSET])
async def test_a_certificate_that_nobody_vouches_for_is_a_bad_reply_with_its_end(
    place: Place, clock: Told
) -> None:
    row, told = await place.fetch(Authority().sign("desa.test", Days(end=3)), clock=clock)
    assert row.outcome is Outcome.BAD_REPLY
    assert told.certificate_expires_s == unix(3)
    assert told.note == "certificate: self-signed certificate"


@pytest.mark.parametrize("clock", [SYNCHRONISED, UNSET])
async def test_a_certificate_for_another_name_is_a_bad_reply_with_its_end(
    place: Place, clock: Told
) -> None:
    row, told = await place.fetch(place.leaf(), host="other.test", clock=clock)
    assert row.outcome is Outcome.BAD_REPLY
    assert told.certificate_expires_s == unix(30)
    assert "other.test" in told.note


async def test_before_its_first_day_a_certificate_is_refused_by_a_clock_that_knows(
    place: Place,
) -> None:
    row, told = await place.fetch(place.leaf(Days(2, 9)))
    assert row.outcome is Outcome.BAD_REPLY
    assert told.note == "certificate: certificate is not yet valid"
    assert told.certificate_expires_s == unix(9)


async def test_in_1970_a_certificate_is_not_yet_valid_and_that_is_noted_and_no_loss(
    place: Place,
) -> None:
    row, told = await place.fetch(place.leaf(), clock=UNSET)
    assert row.outcome is Outcome.OK
    assert told.note == "certificate is not yet valid, by a clock that is not synchronised"
    assert told.certificate_expires_s == unix(30)
    assert told.status == 200


async def test_the_server_is_asked_for_the_host_of_the_url(place: Place) -> None:
    context = server_context(place.folder, place.leaf())
    names: list[str | None] = []
    context.sni_callback = lambda sock, name, _: names.append(name)
    async with tcp_server(page(OK), context=context) as port, bench() as lab:
        (row,) = await lab.ask(HttpProbe, aim(f"https://desa.test:{port}/"))
    assert row.outcome is Outcome.OK
    assert names == ["desa.test"]


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


@pytest.mark.parametrize("serve", [page(OK), hang_up], ids=["plain", "hangs up"])
async def test_a_server_without_tls_is_a_bad_reply(serve: Serve) -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(5)
        writer.write(OK)
        await writer.drain()
        await reader.read()

    async with tcp_server(early if serve is not hang_up else hang_up) as port, bench() as lab:
        (row,) = await lab.ask(HttpProbe, aim(f"https://desa.test:{port}/"))
    assert row.outcome is Outcome.BAD_REPLY
    assert lab.exchanges()[0].note
    assert set(lab.exchanges()[0].phases_ns) == {Phase.CONNECT}


async def test_a_handshake_that_does_not_go_on_is_a_timeout() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tcp_server(mute) as port, bench() as lab:
        (row,) = await lab.ask(HttpProbe, aim(f"https://desa.test:{port}/", timeout_s=1.0))
    assert row.outcome is Outcome.TIMEOUT
    assert set(lab.exchanges()[0].phases_ns) == {Phase.CONNECT}


async def test_a_reset_in_the_handshake_is_a_bad_reply(place: Place) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.get_extra_info("socket").setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER

    async with tcp_server(reset) as port, bench() as lab:
        (row,) = await lab.ask(HttpProbe, aim(f"https://desa.test:{port}/"))
    assert row.outcome is Outcome.BAD_REPLY


def test_the_errors_of_tls_are_errors_of_the_system_too() -> None:
    """What run() relies on: SSLError must be looked for first."""
    assert issubclass(ssl.SSLError, OSError)
    assert OSError(errno.ETIMEDOUT, "x").__class__ is TimeoutError
