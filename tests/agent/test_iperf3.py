"""What becomes of an iperf3 that is missing, refuses, or says what nobody expects."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.throughput import iperf3
from agent.throughput.job import Job, Stage
from collector import capacity
from runtime.load.channel import Rejected
from tests.throughput_kit import CLOCK, grant, plan
from wire.slot import Direction, Method
from wire.transfer import Box, TransferOutcome

BOX = Box(fit=True)


def job(**changes: Any) -> Job:
    given = grant(5201, method=Method.IPERF3, flows=2, **changes)
    return Job(grant=given, plan=plan(10_000_000, 2.0))


def stage(_: Stage) -> None:
    return


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> Path:
    """An iperf3 that says this, and keeps its arguments."""
    file = folder / "iperf3"
    (folder / "says").write_text(says)
    file.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\ncat {folder}/says\n')
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "asked"


def test_it_is_asked_for_what_was_granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = program(tmp_path, monkeypatch, '{"error": "unable to connect"}')
    with pytest.raises(Rejected, match="unable to connect"):
        iperf3.run(job(), CLOCK, BOX, stage)
    words = asked.read_text().split()
    assert words[:4] == ["--client", "127.0.0.1", "--port", "5201"]
    assert words[words.index("--bitrate") + 1] == "5000000"  # each of two streams
    assert words[words.index("--time") + 1] == "2"
    assert "--reverse" in words
    with pytest.raises(Rejected):
        iperf3.run(job(direction=Direction.UP), CLOCK, BOX, stage)
    assert "--reverse" not in asked.read_text()


def test_a_machine_without_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(OSError, match="no iperf3 on this machine"):
        iperf3.run(job(), CLOCK, BOX, stage)


@pytest.mark.parametrize("says", ["", "iperf 2.1", "{}", '{"start": {}, "end": {}}', "[]", "5"])
def test_what_is_not_its_json_is_an_error_that_says_so(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, says)
    with pytest.raises(OSError, match="JSON"):
        iperf3.run(job(), CLOCK, BOX, stage)


def told(**changes: Any) -> dict[str, Any]:
    stream = {"sender": {"bytes": 2_600_000, "retransmits": 3}, "receiver": {"bytes": 2_500_000}}
    whole: dict[str, Any] = {
        "start": {"tcp_mss_default": 1448},
        "intervals": [
            {"sum": {"start": k / 10, "end": (k + 1) / 10, "bytes": 125_000}} for k in range(20)
        ],
        "end": {"sum_received": {"bytes": 2_500_000, "seconds": 2.0}, "streams": [stream]},
    }
    return {**whole, **changes}


def test_a_download_comes_in_bins_with_headers() -> None:
    transfer = iperf3.transfer(job(), told(), 7, BOX)
    assert transfer.outcome is TransferOutcome.DONE
    assert len(transfer.octets) == 20
    achieved = capacity.achieved(transfer, skip_ns=0)
    assert achieved == pytest.approx(10e6 * 1500 / 1448, rel=1e-4)
    assert transfer.tcp[0].retransmits == 3


def test_an_upload_is_what_the_server_counted_as_one_total_or_by_its_intervals() -> None:
    up = job(direction=Direction.UP)
    total = iperf3.transfer(up, told(), 7, BOX)
    assert total.octets == [round(2_500_000 * 1500 / 1448)]
    assert total.bin_ns == 2_000_000_000
    assert capacity.achieved(total) == pytest.approx(10e6 * 1500 / 1448, rel=1e-4)
    by_json = told(server_output_json=json.loads(json.dumps(told())))
    assert len(iperf3.transfer(up, by_json, 7, BOX).octets) == 20


LONG = Job(
    grant=grant(5201, method=Method.IPERF3, flows=1, direction=Direction.UP),
    plan=plan(10_000_000, 10.0),
)


def test_an_upload_leaves_the_warm_up_out_of_the_servers_total(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only bin is what came in the eight seconds after it; the load lasted ten."""
    asked = program(tmp_path, monkeypatch, json.dumps(warmed_up()))
    transfer = iperf3.run(LONG, CLOCK, BOX, stage)
    words = asked.read_text().split()
    assert words[words.index("--time") + 1] == "8"
    assert words[words.index("--omit") + 1] == "2"
    assert transfer.bin_ns == 8_000_000_000
    assert transfer.duration_ns == 10_000_000_000
    assert capacity.achieved(transfer) == pytest.approx(10e6 * 1500 / 1448, rel=1e-4)
    # A budget pays for the warm-up as well.
    assert transfer.tcp[0].bytes_sent == 12_500_000
    down = Job(grant=grant(5201, method=Method.IPERF3, direction=Direction.DOWN), plan=LONG.plan)
    assert "--omit" not in iperf3.arguments(down)


def warmed_up() -> dict[str, Any]:
    """Ten seconds at 10 Mbit/s of payload, two of them left out."""

    def second(start: int, *, omitted: bool) -> dict[str, Any]:
        times = {"start": start, "end": start + 1, "omitted": omitted}
        stream = {"socket": 5, "bytes": 1_250_000, "sender": True, **times}
        return {"streams": [stream], "sum": {"bytes": 1_250_000, **times}}

    stream = {"sender": {"socket": 5, "bytes": 10_000_000}, "receiver": {"bytes": 10_000_000}}
    return told(
        intervals=[second(k, omitted=True) for k in range(2)]
        + [second(k, omitted=False) for k in range(8)],
        end={"sum_received": {"bytes": 10_000_000, "seconds": 8.0}, "streams": [stream]},
    )


def test_a_server_in_json_tells_the_warm_up_apart() -> None:
    whole = warmed_up() | {"server_output_json": warmed_up()}
    transfer = iperf3.transfer(LONG, whole, 7, BOX)
    assert len(transfer.octets) == 100
    assert all(
        octets == pytest.approx(125_000 * 1500 / 1448, rel=0.01) for octets in transfer.octets
    )
    # Its row of no length, where both parts meet, is nobody's second.
    whole["server_output_json"]["intervals"][2]["sum"]["end"] = 0
    assert len(iperf3.transfer(LONG, whole, 7, BOX).octets) == 1


def test_nothing_that_arrived_is_a_failure() -> None:
    silent = told(intervals=[{"sum": {"start": 0, "end": 1, "bytes": 0}}])
    assert iperf3.transfer(job(), silent, 7, BOX).outcome is TransferOutcome.FAILED
