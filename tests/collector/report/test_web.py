"""Audits over real HTTP: a page, an API, and files in every form."""

import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import openpyxl

from collector import identity
from collector.report.document import digest
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.collector.hub import Hub, serving
from tests.collector.report.scene import NOW_S, settings
from tests.collector.test_answers import conforms

MONTH = {"month": "2026-06", "scope": "link", "value": "utara"}


@asynccontextmanager
async def hub(folder: Path, ledger: Path) -> AsyncIterator[Hub]:
    settings(folder, ledger)
    clock = FakeClock(boot_ns=9_000 * SECOND, wall_ns=NOW_S * SECOND)
    async with serving(folder, clock=clock) as found:
        yield found


async def make(hub: Hub, told: Any, token: str | None = None) -> tuple[int, bytes]:
    own = identity.operator_token(hub.folder / "etc" / "data")
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    reply = await hub.post(
        "/api/v1/audits", body, Authorization=f"Bearer {own if token is None else token}"
    )
    return reply.status, reply.body


async def test_an_audit_is_made_issued_listed_and_fetched(tmp_path: Path, filled: Path) -> None:
    async with hub(tmp_path, filled) as found:
        assert json.loads((await found.get("/api/v1/audits")).body) == []
        status, draft = await make(found, MONTH)
        assert (status, json.loads(draft)["revision"]) == (200, 0)
        status, body = await make(found, {**MONTH, "issue": True, "by": "Sari"})
        row = json.loads(body)
        assert status == 201
        conforms("Audit", row)
        assert (row["scope"], row["revision"], row["issued_by"]) == ("link utara", 1, "Sari")
        assert row["judgement"] == "breached"
        assert json.loads((await found.get("/api/v1/audits")).body) == [row]
        whole = await found.get(f"/api/v1/audits/{row['id']}")
        assert digest(whole.body) == row["sha256"]
        # The same evidence: no other revision.
        status, body = await make(found, {**MONTH, "issue": True})
        assert json.loads(body) == row

        async def fetched(query: str) -> bytes:
            reply = await found.get(f"/api/v1/audits/{row['id']}/download{query}")
            assert reply.status == 200, reply.body
            assert "attachment" in reply.headers["Content-Disposition"]
            return reply.body

        assert (await fetched("?format=json")) == whole.body
        assert (await fetched("")).startswith(b"%PDF-")
        page = (await fetched("?format=html&lang=en&link=utara")).decode()
        assert "Annex of one Link" in page and "issued" not in page.partition("<h1>")[0].lower()
        assert openpyxl.load_workbook(io.BytesIO(await fetched("?format=xlsx"))).sheetnames
        assert zipfile.ZipFile(io.BytesIO(await fetched("?format=csv"))).namelist()
        listed = (await found.get("/audits")).body.decode()
        assert row["sha256"] in listed and f"/api/v1/audits/{row['id']}/download" in listed
        assert 'action="/audits"' not in listed  # nobody here may make one
        own = identity.operator_token(found.folder / "etc" / "data")
        mine = {"Authorization": f"Bearer {own}"}
        async with (
            aiohttp.ClientSession(headers=mine) as session,
            session.get(f"{found.url}/audits") as reply,
        ):
            assert 'value="2026-06"' in await reply.text()


async def test_the_form_of_the_page_makes_a_file(tmp_path: Path, filled: Path) -> None:
    async with hub(tmp_path, filled) as found, aiohttp.ClientSession() as session:
        token = identity.operator_token(found.folder / "etc" / "data")
        told = {"month": "2026-06", "scope": "all", "value": "", "format": "html", "lang": "id"}
        mine = {"Authorization": f"Bearer {token}"}
        async with session.post(f"{found.url}/audits", data=told, headers=mine) as reply:
            assert reply.status == 200
            assert "RANCANGAN" in await reply.text()
        odd = told | {"scope": "link", "value": "x"}
        async with session.post(f"{found.url}/audits", data=odd, headers=mine) as reply:
            assert reply.status == 400 and "known: bukit" in await reply.text()
        wrong = {"Authorization": "Bearer x"}
        async with session.post(f"{found.url}/audits", data=told, headers=wrong) as reply:
            assert reply.status == 401
        async with session.post(f"{found.url}/audits", data=told) as reply:
            assert reply.status in (401, 403)


async def test_what_is_wrong_is_refused_in_words(tmp_path: Path, filled: Path) -> None:
    async with hub(tmp_path, filled) as found:
        wrong: list[tuple[Any, int, str]] = [
            (b"{", 400, "body"),
            ([], 400, "JSON object"),
            ({**MONTH, "more": "x"}, 400, "expected month, scope, value and by"),
            ({**MONTH, "issue": "yes"}, 400, "issue as true or false"),
            ({"month": "2026-06", "scope": "link"}, 400, "with a value"),
            ({"month": "2026-06", "scope": "link", "value": "x"}, 400, "known: bukit"),
            ({"month": "juni"}, 400, "expected the form 2026-11"),
            ({"month": "2026-07", "issue": True}, 400, "7 days after its end"),
        ]
        for told, status, words in wrong:
            got, body = await make(found, told)
            assert got == status, body
            assert words in json.loads(body)["error"]
        assert (await make(found, MONTH, token="wrong"))[0] == 401
        for path, status in (
            ("/api/v1/audits/7", 404),
            ("/api/v1/audits/99999999999999999999", 404),
            ("/api/v1/audits/7/download", 404),
        ):
            assert (await found.get(path)).status == status
        _, body = await make(found, {**MONTH, "issue": True})
        number = json.loads(body)["id"]
        for query, status in (("format=doc", 400), ("lang=fr", 400), ("link=bukit", 404)):
            assert (await found.get(f"/api/v1/audits/{number}/download?{query}")).status == status


def test_the_clock_of_the_scene_is_past_the_month() -> None:
    assert datetime.fromtimestamp(NOW_S, UTC).month == 7
