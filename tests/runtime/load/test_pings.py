"""Round trips beside a load, against an answerer that dawdles, loses and lies."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing

from runtime.clock import MS, SECOND, SystemClock
from runtime.load import pings
from runtime.load.pings import Pinger
from wire.load import DATAGRAM, PING_BYTES, PONG_TIMES

CLOCK = SystemClock()
TAG = b"tagtagta"
Answerer = Callable[[bytes], bytes | None]


def measured(answerer: Answerer) -> tuple[list[int | None], list[int | None]]:
    """Ten idle and ten loaded pings, 10 ms apart."""
    with (
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as here,
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as there,
    ):
        there.bind(("127.0.0.1", 0))
        there.settimeout(0.5)
        here.connect(there.getsockname())
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    packet, address = there.recvfrom(2048)
                except TimeoutError:
                    continue
                answer = answerer(packet)
                if answer is not None:
                    there.sendto(answer, address)

        thread = threading.Thread(target=serve)
        thread.start()
        pinger = Pinger(here, CLOCK, TAG, 0.01)
        pinger.start()
        time.sleep(0.1)
        pinger.loaded(CLOCK.boot_ns(), 0.01)
        time.sleep(0.1)
        columns = pinger.stop()
        done.set()
        thread.join()
    return columns


def known(column: list[int | None]) -> list[int]:
    return [one for one in column if one is not None]


def test_the_answerers_own_delay_is_not_in_the_round_trip() -> None:
    def dawdle(packet: bytes) -> bytes:
        came_ns = CLOCK.boot_ns()
        time.sleep(0.005)
        return pings.answer(packet, came_ns, CLOCK)

    idle, loaded = measured(dawdle)
    assert 5 <= len(idle) <= 11 and len(loaded) >= 5
    assert all(0 <= one < SECOND for one in known(idle + loaded))
    # 5 ms and more each would be there if it were in them; this machine may pause now and then.
    assert sorted(known(idle))[0] < 4 * MS


def test_a_ping_without_an_answer_is_a_row_without_a_time() -> None:
    def every_second(packet: bytes) -> bytes | None:
        odd = DATAGRAM.unpack_from(packet)[4] % 2
        return pings.answer(packet, CLOCK.boot_ns(), CLOCK) if odd else None

    idle, loaded = measured(every_second)
    assert None in idle and known(idle)
    assert None in loaded and known(loaded)


def test_what_is_not_the_answer_is_none() -> None:
    def lie(packet: bytes) -> bytes:
        return packet  # a PING, not a PONG

    assert not known(measured(lie)[0])


def test_an_answer_that_claims_to_have_been_kept_for_ever_gives_no_negative_time() -> None:
    def claim(packet: bytes) -> bytes:
        made = bytearray(pings.answer(packet, 0, CLOCK))
        PONG_TIMES.pack_into(made, DATAGRAM.size, 0, 2**62)
        return bytes(made)

    assert not known(measured(claim)[0])


def test_an_answer_is_as_long_as_its_question() -> None:
    packet = bytes(DATAGRAM.pack(TAG, 4, 0, 0, 9, 8)).ljust(PING_BYTES, b"\0")
    assert len(pings.answer(packet, 1, CLOCK)) == PING_BYTES
