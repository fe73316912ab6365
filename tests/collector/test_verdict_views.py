"""Verdicts over real HTTP, on the command line and as metrics: the same words and numbers."""

import asyncio
import html
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.audit import dedicated, words
from collector.audit.findings import Look
from collector.audit.phrases import Language
from collector.inventory import Link
from collector.metrics import page as metrics_page
from collector.verdict_series import Said, Shown, VerdictSeries, newest_counting, render
from tests.collector.hub import Hub, serving, settings_in
from tests.collector.kit import Box
from tests.collector.settle import line
from tests.collector.settle.line import NOW_S, UNTIL, Lines
from tests.collector.test_audit_web import CONTRACTS, OPENAPI, ask
from tests.collector.test_cli import beside

GOLDEN = Path(__file__).parents[1] / "golden" / "verdicts.txt"


@asynccontextmanager
async def quarter_judged(folder: Path) -> AsyncIterator[Hub]:
    """A collector that has a quarter of a contended link, looked at in July and in September."""
    file = settings_in(folder, contracts_file="contracts.yaml")
    links = yaml.safe_load((file.parent / "links.yaml").read_text())
    row = CONTRACTS["contracts"][0] | {k: links["links"][0][k] for k in ("provider", "pop")}
    (file.parent / "contracts.yaml").write_text(yaml.safe_dump({"contracts": [row]}))
    box = Box()
    async with serving(folder, box) as hub:
        for day in line.quarter("l1", line.contended):
            await hub.deliver(line.batch(box, day))
        async with asyncio.timeout(60):
            while await asyncio.to_thread(hub.collector.settling._parts.store.behind):
                await asyncio.sleep(0.1)
        court = hub.collector.verdicts
        await asyncio.to_thread(court.auditor.look, UNTIL, NOW_S)
        await asyncio.to_thread(hub.collector.judging.step)
        yield hub


async def test_http_command_line_and_the_pure_audit_say_the_same(tmp_path: Path) -> None:
    async with quarter_judged(tmp_path) as hub:
        cases = hub.collector.verdicts.gathering.cases(Look(UNTIL, UNTIL))
        (pure,) = dedicated.audit(cases, Look(UNTIL, UNTIL))
        (row,) = await ask(hub, "/api/v1/verdicts?window=2026-06")
        assert (row["finding"], row["cause"], row["rule"]) == ("not_dedicated", "contended", "v2")
        assert (row["formal"], row["bad_days"], row["said_s"]) == (True, 28, NOW_S)
        (whole,) = await ask(hub, "/api/v1/links/l1/verdict?window=2026-06")
        assert [whole["verdict"]] == json.loads(dedicated.encode([pure]))
        assert whole["summary"] == words.summary(pure, Language.EN)
        (other,) = await ask(hub, "/api/v1/links/l1/verdict?window=2026-06&lang=id")
        assert other["explanation"] == words.explain(pure, Language.ID)
        file = tmp_path / "etc" / "collector.yaml"
        june = ("--window", "2026-06", "--link", "l1")
        listed = json.loads((await beside(file, "verdict", *june, "--json")).stdout)
        assert listed == [whole]
        assert (await beside(file, "verdict", *june)).stdout == whole["summary"]
        full = await beside(file, "verdict", *june, "--explain", "--lang", "id")
        assert full.stdout == other["explanation"]


async def test_the_newest_look_is_the_default_and_metrics_show_it(tmp_path: Path) -> None:
    async with quarter_judged(tmp_path) as hub:
        (row,) = await ask(hub, "/api/v1/verdicts")
        # Only the last two days of June lie in the quarter before 21 September.
        assert (row["finding"], date.fromisoformat(row["until"]).month) == ("insufficient", 9)
        # The link's page says the same, in the reader's language.
        (whole,) = await ask(hub, "/api/v1/links/l1/verdict?lang=id")
        page = html.unescape((await hub.get("/links/l1")).body.decode())
        assert "unduh: bukti belum cukup" in page
        assert whole["summary"] in page and whole["explanation"] in page
        label = {"link": "l1", "node": "n1", "direction": "down"}
        states = {
            one.value: await hub.value("pantau_link_verdict", **label, verdict=one.value)
            for one in Said
        }
        assert states == {one.value: float(one is Said.INSUFFICIENT) for one in Said}
        last = await hub.value("pantau_link_throughput_attainment_ratio", **label, window="last")
        tests = await ask(hub, "/api/v1/links/l1/tests?month=2026-06")
        assert last == pytest.approx(tests[-1]["attainment"])
        assert await hub.value("pantau_link_verdict_evidence_days", **label) == 0
        assert len(tests) == 30 * len(line.HOURS)
        assert {one["part"] for one in tests} == {"peak", "off_peak"}
        assert all(one["counts"] and one["reason"] == "" for one in tests)
        assert tests[-1]["achieved_bits_per_s"] / tests[-1]["expected_bits_per_s"] == (
            pytest.approx(tests[-1]["attainment"], abs=1e-3)
        )
        # What the load did to the packets, and its grade: the same in the API, in the table of the
        # command line, on the page and as metrics.
        one = tests[-1]
        assert (one["bufferbloat"], one["pdv_s"], one["reordering_ratio"]) == ("A", 0.004, 0.001)
        assert one["rtt_rise_s"] == pytest.approx(0.02)
        assert one["tcp_transfer_time_ratio"] is None  # of a test by udp
        for name, field in (
            ("rtt_rise_seconds", "rtt_rise_s"),
            ("delay_variation_seconds", "pdv_s"),
            ("reordering_ratio", "reordering_ratio"),
        ):
            assert await hub.value(f"pantau_link_throughput_{name}", **label) == one[field]
        file = tmp_path / "etc" / "collector.yaml"
        june = ("tests", "l1", "--month", "2026-06")
        assert json.loads((await beside(file, *june, "--json")).stdout) == tests
        table = (await beside(file, *june)).stdout
        assert table.count("down") == len(tests)
        for cell in ("0.10", "20.0", "ms A", "4.0", "yes"):
            assert cell in table
        assert "no link 'l9'; known: l1" in (await beside(file, "tests", "l9")).stderr
        assert await ask(hub, "/api/v1/links/l1/tests") == []


async def test_wrong_questions_name_the_expected_form(tmp_path: Path) -> None:
    async with serving(tmp_path, Box()) as hub:
        wrong = await ask(hub, "/api/v1/verdicts?window=June", 400)
        assert wrong["error"].startswith("window 'June': expected a month such as 2026-10")
        lang = await ask(hub, "/api/v1/links/l1/verdict?lang=fr", 400)
        assert lang["error"] == "lang 'fr': expected one of en, id"
        assert (await ask(hub, "/api/v1/links/l9/verdict", 404))["error"] == "no link 'l9'"
        assert (await ask(hub, "/api/v1/links/l9/tests", 404))["error"] == "no link 'l9'"
        assert (await ask(hub, "/api/v1/links/l1/tests?month=x", 400))["error"]
        assert await ask(hub, "/api/v1/verdicts") == []
    file = tmp_path / "etc" / "collector.yaml"
    assert (await beside(file, "verdict")).stdout.startswith("no look yet")
    refused = await beside(file, "verdict", "--cir", "100")
    assert (refused.exit_code, refused.stderr) == (1, "pantau-collector: --cir is for --from\n")
    refused = await beside(file, "verdict", "--link", "l9")
    assert refused.exit_code == 1 and "no link 'l9'; known: l1" in refused.stderr
    refused = await beside(file, "verdict", "--from", str(file))
    assert refused.stderr == "pantau-collector: --from needs --cir, the promised rate\n"
    refused = await beside(file, "verdict", "--from", str(file), "--cir", "1", "--link", "l1")
    assert "--link and --window are for the ledger" in refused.stderr


def test_the_series_of_a_link(tmp_path: Path) -> None:
    ground = Lines(tmp_path / "ledger.db", "l1")
    ground.tested("l1", line.contended)
    ground.auditor.look(UNTIL, NOW_S)
    link = Link(id="l1", node="n1", provider="P", medium="fibre", pop="P1")
    newest = newest_counting(ground.gathering.newest("l1", 40))
    series = VerdictSeries()
    series.set({"l1": render(link, Shown(newest, ground.answers.verdicts()))})
    page = metrics_page(series.pages())
    if os.environ.get("PANTAU_WRITE_GOLDEN"):
        GOLDEN.write_text(page)
    assert page == GOLDEN.read_text()
    ground.close()


def test_the_description_knows_every_word() -> None:
    schemas: dict[str, Any] = OPENAPI["components"]["schemas"]
    assert schemas["Test"]["properties"]["method"]["enum"] == [one.value for one in line.Method]
    purposes = schemas["Test"]["properties"]["purpose"]["enum"]
    assert purposes == [one.value for one in line.Purpose]
