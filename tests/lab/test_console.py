"""The command line of the lab: words to knobs, and the whole program once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.lab.link import BOTH, CLEAR, DOWN, UP, Knobs, Shape, words_of
from tests.lab.console import Command, CommandError, knobs_of, parse, seconds_of, shape_of
from tests.lab.watch import Watch

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", None),
        ("  # a remark", None),
        ("down site1", Command("down", ("site1",))),
        ("set site1 delay=2ms  # both ways", Command("set", ("site1", "delay=2ms"))),
        ("count", Command("count")),
        ("quit", Command("quit")),
    ],
)
def test_lines_are_taken_apart(line: str, command: Command | None) -> None:
    assert parse(line) == command


@pytest.mark.parametrize("line", ["fly site1", "down", "down a b", "set site1", "wait"])
def test_lines_that_mean_nothing_are_refused(line: str) -> None:
    with pytest.raises(CommandError, match="try help"):
        parse(line)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("delay=20ms", [(BOTH, Knobs(delay_ms=20))]),
        ("up.delay=1.5s down.loss=2%", [(UP, Knobs(delay_ms=1500)), (DOWN, Knobs(loss=0.02))]),
        (
            "rate=10Mbit burst=200kB queue=64kB peak=1Gbit",
            [(BOTH, Knobs(rate_bps=1e7, burst_bytes=200_000, queue_bytes=64_000, peak_bps=1e9))],
        ),
        ("drop=icmp,udp:53 only=", [(BOTH, Knobs(drop=("icmp", "udp:53"), only=()))]),
        ("mtu=1400 mtu_df_only=yes", [(BOTH, Knobs(mtu=1400, mtu_df_only=True))]),
        ("drop_pattern=..x drop_next=3", [(BOTH, Knobs(drop_pattern="..x", drop_next=3))]),
        ("bottleneck=core order=free", [(BOTH, Knobs(bottleneck="core", order="free"))]),
        ("reorder=0.5 reorder_delay=10ms", [(BOTH, Knobs(reorder=0.5, reorder_delay_ms=10))]),
    ],
)
def test_words_become_knobs(words: str, expected: list[tuple[object, Knobs]]) -> None:
    assert knobs_of(tuple(words.split())) == expected


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("delay", "KNOB=VALUE"),
        ("sideways.delay=2ms", "up.KNOB"),
        ("colour=red", "no such knob"),
        ("delay=2Mbit", "not a number"),
        ("delay=soon", "not a number"),
        ("rate=10%", "not a number"),
        ("mtu_df_only=perhaps", "yes or no"),
    ],
)
def test_words_that_are_no_knobs_are_refused(word: str, complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        knobs_of((word,))


def test_a_bottleneck_has_only_the_knobs_of_a_limiter() -> None:
    assert shape_of(("rate=10Mbit", "queue_packets=50")) == Shape(rate_bps=1e7, queue_packets=50)
    with pytest.raises(CommandError, match="no such knob"):
        shape_of(("delay=20ms",))


def test_seconds_have_units() -> None:
    assert (seconds_of("2"), seconds_of("2s"), seconds_of("200ms")) == (2, 2, 0.2)


def test_knobs_reach_the_emulator_as_words() -> None:
    knobs = Knobs(up=False, powered=True, delay_ms=0.25, drop=("icmp", "udp:53"), loss=0.1)
    assert words_of(knobs) == [
        "state=down",
        "power=on",
        "delay_ns=250000",
        "loss=0.1",
        "drop=icmp,udp:53",
    ]
    assert words_of(Knobs(drop=(), bottleneck="", drop_pattern="")) == [
        "drop_pattern=-",
        "drop=-",
        "bottleneck=-",
    ]
    assert words_of(Knobs()) == []


def test_clear_names_every_knob() -> None:
    assert len(words_of(CLEAR)) == len(CLEAR.__dataclass_fields__)


def lab(*argv: str) -> list[str]:
    return [sys.executable, "-m", "tests.lab", *argv]


def test_help_teaches() -> None:
    done = subprocess.run(lab("--help"), cwd=ROOT, capture_output=True, text=True, check=True)
    for word in ("poweroff", "down.loss=1%", "ip netns exec", "precision"):
        assert word in done.stdout


SCRIPT = """\
set site1 delay=5ms down.drop_every=2
run site1 ping -q -c 4 -i 0.1 -W 1 198.18.0.1
set site1 colour=red
down nowhere
wait 1200ms
count site1
poweroff site1
quit
"""


@pytest.mark.lab
def test_a_script_runs_to_its_end(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(SCRIPT)
    argv = lab("star", "--script", str(script), "--directory", str(tmp_path / "logs"))
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "4 packets transmitted, 2 received" in done.stdout
    assert "! colour: no such knob" in done.stdout
    assert "! nowhere: no such link; there is site1" in done.stdout
    assert "dropped: loss 2" in done.stdout
    assert "in_packets=4" in done.stdout
    assert "power" in (tmp_path / "logs" / "truth.jsonl").read_text()


@pytest.mark.lab
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_removes_everything(watch: Watch, number: signal.Signals) -> None:
    argv = lab("province", "--sites", "a:p,b:p")
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout is not None
        watch.prefixes.add(f"pt{child.pid:x}-")
        for line in child.stdout:
            if line.startswith(b"commands"):
                break
        assert len(watch.left()) == 8 + 1  # namespaces and the log folder
        os.kill(child.pid, number)
        child.wait(20)
    assert watch.left() == set()
