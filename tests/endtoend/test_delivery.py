"""A hostile way between node and hub: repeats, reorders, loses answers, forges them, says 200."""

import http.client
import http.server
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

PORTAL = b"<html><body>Welcome to the hotel. Please log in.</body></html>"


class Way(http.server.ThreadingHTTPServer):
    """An HTTP proxy whose treatment of each batch is drawn by chance."""

    daemon_threads = True

    def __init__(self, hub_port: int, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), Passage)
        self.hub_port = hub_port
        self.chance = random.Random(seed)
        self.held: list[bytes] = []
        self.done: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.hostile = True

    def draw(self) -> str:
        with self.lock:
            kinds = ("pass", "repeat", "hold", "lose answer", "portal", "corrupt", "cut short")
            kind = self.chance.choice(kinds) if self.hostile else "pass"
            self.done[kind] += 1
            return kind

    def forward(self, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.hub_port, timeout=5)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class Passage(http.server.BaseHTTPRequestHandler):
    """One request on its way."""

    protocol_version = "HTTP/1.1"
    server: Way

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        way = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = way.draw() if self.path == "/v1/batch" else "pass"
        if kind == "portal":
            self.answer(200, PORTAL)
            return
        if kind == "hold":
            way.held.append(body)
            self.answer(502, b"bad gateway")
            return
        if kind == "repeat":
            first = way.forward(self.path, body)
            assert way.forward(self.path, body) == first, "a repeat gets the same receipt"
        status, told = way.forward(self.path, body)
        # What was held back arrives now, after batches that were made later.
        while way.held and way.chance.random() < 0.5:
            way.forward("/v1/batch", way.held.pop(way.chance.randrange(len(way.held))))
        if kind == "lose answer":
            self.close_connection = True
        elif kind == "corrupt":
            self.answer(status, bytes([told[0] ^ 0xFF]) + told[1:])
        elif kind == "cut short":
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told[: len(told) // 2])
            self.close_connection = True
        else:
            self.answer(status, told)


@pytest.fixture
def start_way() -> Iterator[Callable[[int], Way]]:
    ways: list[Way] = []

    def start(hub_port: int) -> Way:
        seed = random.SystemRandom().randrange(2**32)
        print(f"seed {seed}")
        ways.append(Way(hub_port, seed))
        threading.Thread(target=ways[-1].serve_forever, args=(0.1,), daemon=True).start()
        return ways[-1]

    yield start
    for way in ways:
        way.shutdown()
        way.server_close()


def test_repeats_reorders_lost_and_forged_answers_change_nothing(
    make_system: Callable[..., Any], start_way: Callable[[int], Way]
) -> None:
    system = make_system()
    system.start_collector()
    way = start_way(system.port)
    system.join(url=f"http://127.0.0.1:{way.server_port}")
    system.start_agent()
    time.sleep(25)
    way.hostile = False
    time.sleep(2)
    system.drain()
    duplicates = system.metric("pantau_collector_batches_duplicate_total")
    system.stop_collector()
    assert system.drained(), system.log("agent")
    proof = system.prove()
    assert (proof.repeats, proof.holes) == (0, 0)
    assert proof.observations > 200
    assert len(way.done) == 7, f"every kind of harm was done: {way.done}"
    assert duplicates > 0


def test_a_portal_that_says_200_to_everything_deletes_nothing(
    make_system: Callable[..., Any], start_way: Callable[[int], Way], monkeypatch: Any
) -> None:
    system = make_system()
    system.start_collector()
    way = start_way(system.port)
    system.join(url=f"http://127.0.0.1:{way.server_port}")
    monkeypatch.setattr(way, "draw", lambda: "portal")
    system.start_agent()
    time.sleep(6)
    assert system.metric("pantau_agent_spool_batches") >= 3
    assert system.metric("pantau_link_packets_sent_total", target="hub") == 0
    monkeypatch.setattr(way, "draw", lambda: "pass")
    time.sleep(2)
    system.drain()
    system.stop_collector()
    assert (system.prove().repeats, system.prove().holes) == (0, 0)
    assert system.prove().observations > 40
