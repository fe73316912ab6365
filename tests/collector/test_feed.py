"""The stream of the board: what changed, once for all, and all of it to whoever was away."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.collector.hub import Hub, later, serving
from tests.collector.kit import Box, reported


async def mark_of(hub: Hub) -> str:
    page = (await hub.get("/")).body.decode()
    found = re.search(r'"mark":"([0-9a-f]+-\d+)"', page)
    assert found is not None
    return found[1]


@asynccontextmanager
async def stream(hub: Hub, after: str = "", **headers: str) -> AsyncIterator[aiohttp.StreamReader]:
    url = f"{hub.url}/board/events?after={after}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield answer.content


async def told(content: aiohttp.StreamReader) -> tuple[str, str, list[Any]]:
    """The next message: its id, its event, its data."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(20):
        while True:
            line = (await content.readline()).decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return fields["id"], fields["event"], json.loads(fields["data"])
            else:
                fields = {}


async def test_only_what_changes_is_told_to_who_has_the_page(tmp_path: Path) -> None:
    box = Box()
    async with serving(tmp_path, box, clock=later()) as hub:
        mark = await mark_of(hub)
        async with stream(hub, mark) as first, stream(hub, mark) as second:
            await hub.tell(box, box.status(targets=(reported(rtt_ms=33),)))
            for content in (first, second):
                number, event, rows = await told(content)
                assert event == "rows"
                assert number > mark
                assert [row[0] for row in rows] == [0]
                assert 33.0 in rows[0]


async def test_who_was_away_is_told_all_that_was_missed(tmp_path: Path) -> None:
    box = Box()
    async with serving(tmp_path, box, clock=later()) as hub:
        mark = await mark_of(hub)
        async with stream(hub, mark) as one:
            await hub.tell(box, box.status(targets=(reported(rtt_ms=33),)))
            await told(one)
            # The browser comes back with the number of the last message that it has.
            async with stream(hub, "", **{"Last-Event-ID": mark}) as again:
                _, _, rows = await told(again)
                assert 33.0 in rows[0]


async def test_a_mark_that_nobody_knows_any_more_gets_everything(tmp_path: Path) -> None:
    async with serving(tmp_path, Box(), clock=later()) as hub:
        for mark in ("", "00000000-1", "x", "%ff-9", "0" * 500):
            async with stream(hub, mark) as content:
                _, event, rows = await told(content)
                assert (event, [row[0] for row in rows]) == ("rows", [0, 1])
                _, event, sparks = await told(content)
                assert (event, len(sparks)) == ("sparks", 2)


async def test_other_links_are_a_reason_to_begin_anew(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, Box(), clock=later()) as hub,
        stream(hub, await mark_of(hub)) as content,
    ):
        links = tmp_path / "etc" / "links.yaml"
        link = "  - {id: l9, node: n1, provider: P, medium: M, pop: X}\n"
        links.write_text(links.read_text() + link)
        assert (await hub.post("/-/reload")).status == 200
        _, event, _ = await told(content)
        assert event == "anew"


async def test_a_collector_that_stops_does_not_wait_for_those_who_watch(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with serving(tmp_path, Box(), clock=later()) as hub:
            answer = await session.get(f"{hub.url}/board/events")
            assert answer.status == 200
        async with asyncio.timeout(20):
            await answer.content.read()
        answer.close()
