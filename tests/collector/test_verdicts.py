"""`pantau-collector verdict --from`: tests that somebody already has."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.__main__ import main
from collector.audit.capacity import Layer, Promise
from collector.audit.daily import Direction, Test
from collector.audit.findings import (
    Finding,
)
from collector.verdicts import Row, TableError, Terms, judge, read

TERMS = Terms(Promise(100, Layer.IP))
HEADER = "time,direction,achieved_mbps,cross_mbps,valid,reason"
HOURS = (2, 4, 9, 14, 19, 20, 21, 22)
VOUCHED = ("--vouch", "box", "--vouch", "anchors", "--vouch", "site", "--vouch", "clock")


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    file = folder / "tests.csv"
    file.write_text("\n".join((header, *lines)) + "\n")
    return file


def quarter(evening: Callable[[int], float]) -> list[str]:
    begin = date(2026, 4, 8)
    return [
        f"{begin + timedelta(days=day)}T{hour:02}:{day % 60:02}:00+07:00,down,"
        f"{evening(day) if hour >= 19 else 97 - hour / 10 - day % 5 / 10:.3f},0,true,"
        for day in range(84)
        for hour in HOURS
    ]


def good(day: int) -> float:
    return 95 + day % 7 / 10


def run(file: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["verdict", "--from", str(file), "--cir", "100", *options])


def test_a_clean_quarter_is_dedicated(tmp_path: Path) -> None:
    done = run(written(tmp_path, *quarter(good)), *VOUCHED)
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "Link tests, download: DEDICATED."
    assert "PRELIMINARY" not in done.output


def test_what_nobody_vouches_for_is_asked_for(tmp_path: Path) -> None:
    done = run(written(tmp_path, *quarter(good)))
    assert "PRELIMINARY" in done.output
    assert "the measuring box carries 1.2 x CIR" in done.output


def test_lower_evenings_are_not(tmp_path: Path) -> None:
    file = written(tmp_path, *quarter(lambda day: 75 + day % 7 / 10))
    heard = ("--delivered", "2026-07-01", "--as-of", "2026-07-15")
    done = run(file, "--layer", "ip", "--json", *VOUCHED, *heard)
    (found,) = json.loads(done.output)
    assert (found["finding"], found["cause"], found["rule"], found["standing"]) == (
        "not_dedicated",
        "contended",
        "v2",
        "final",
    )
    assert found["until"] == "2026-07-01"
    early = run(file, "--json", *VOUCHED, "--delivered", "2026-07-01", "--as-of", "2026-07-14")
    assert json.loads(early.output)[0]["pending"] == ["rebuttal"]
    answered = ("--answered", "2026-07-03")
    done = run(file, "--json", *VOUCHED, *answered)
    assert json.loads(done.output)[0]["standing"] == "final"
    objected = run(file, "--json", *VOUCHED, *answered, "--objection")
    assert json.loads(objected.output)[0]["pending"] == ["objection"]
    assert run(file, "--json", *VOUCHED).output == run(file, "--json", *VOUCHED).output


def test_words_in_indonesian(tmp_path: Path) -> None:
    file = written(tmp_path, *quarter(lambda day: 75 + day % 7 / 10))
    done = run(file, "--explain", "--lang", "id", "--vlan")
    assert "TIDAK DEDICATED" in done.output
    assert "97,28 Mbit/s paket IP" in done.output
    assert "jendela" in done.output.lower()


def test_the_layer_decides_what_was_promised(tmp_path: Path) -> None:
    # 90 % are 87.55 Mbit/s of IP by layer 1, 88.70 by layer 2 and 90 by IP.
    file = written(tmp_path, *quarter(lambda day: 88.5))
    bad = {}
    for layer in ("l1", "l2", "ip"):
        (found,) = json.loads(run(file, "--layer", layer, "--json").output)
        bad[layer] = len(found["shortfall"]["bad_days"])
    assert bad == {"l1": 0, "l2": 84, "ip": 84}


def test_speed_tests_count_payload_and_are_not_held_to_packets(tmp_path: Path) -> None:
    # 86 Mbit/s of TCP payload are 89.1 Mbit/s of IP packets.
    file = written(tmp_path, *quarter(lambda day: 86.0))
    shares = [
        json.loads(run(file, "--json", "--rate", rate).output)[0]["shortfall"]["share"]
        for rate in ("ip", "tcp")
    ]
    assert shares == [1.0, 0.0]


def test_the_zone_says_when_it_is_evening(tmp_path: Path) -> None:
    def used(zone: str) -> int:
        file = written(tmp_path, *quarter(good))
        done = run(file, "--zone", zone, "--until", "2026-07-01", "--json")
        return int(json.loads(done.output)[0]["used"]["peak"])

    assert (used("WIB"), used("WITA"), used("Asia/Jayapura")) == (336, 252, 168)


def test_both_directions_and_several_links_are_one_family(tmp_path: Path) -> None:
    rows = [f"{line},{link}" for link in ("b", "a") for line in quarter(good)]
    rows += [row.replace(",down,", ",up,") for row in rows]
    file = written(tmp_path, *rows, header=HEADER + ",link")
    found = json.loads(run(file, "--json").output)
    assert [(one["link"], one["direction"]) for one in found] == [
        ("a", "down"),
        ("a", "up"),
        ("b", "down"),
        ("b", "up"),
    ]
    assert {one["family"]["links"] for one in found} == {4}
    assert len(json.loads(run(file, "--json", "--direction", "up").output)) == 2


def one(file: Path) -> Row:
    (row,) = read(file, TERMS)
    return row


def test_cells_are_read_as_documented(tmp_path: Path) -> None:
    row = one(written(tmp_path, "2026-04-01T19:23:00.000001+07:00,DOWN,90.5,3,yes,all well"))
    expected = Test(
        1_775_046_180_000_001_000, Direction.DOWN, 100.0, 90.5, 3.0, True, "all well", None
    )
    assert row == Row("tests", expected)
    utc = "2026-04-01T12:23:00Z,down,90.5,,,".replace(",,,", ",,true,")
    assert one(written(tmp_path, utc)).test.cross_mbps is None
    skipped = one(written(tmp_path, "2026-04-01 19:23 WIB,up,,,no,SKIPPED_BUSY")).test
    assert (skipped.achieved_mbps, skipped.valid) == (None, False)
    assert skipped.start_ns == 1_775_046_180 * 10**9


def test_a_spreadsheet_of_indonesia_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ekspor.csv"
    file.write_bytes(
        b"\xef\xbb\xbfTime;Direction;Achieved_Mbps;Cross_Mbps;Anchor\r\n"
        b'2026-04-01 19:23:00 WIT;down;"90,5";1,25;dc\r\n;;;;\r\n'
    )
    row = one(file)
    assert (row.link, row.test.achieved_mbps, row.test.cross_mbps) == ("ekspor", 90.5, 1.25)
    assert (row.test.anchor, row.test.valid) == ("dc", True)


GOOD = "2026-04-01T19:23:00+07:00,down,90,0,true,"


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ("yesterday,down,90,0,true,", "column time", "'yesterday': expected a time with its zone"),
        ("2026-04-01T19:23,down,90,0,true,", "column time", "no zone"),
        ("2026-13-01T19:23Z,down,90,0,true,", "column time", "expected a time"),
        ("2026-04-01T19:23Z WIB,down,90,0,true,", "column time", "expected a time"),
        ("1999-04-01T19:23Z,down,90,0,true,", "column time", "expected a year from 2000 to 2099"),
        (",down,90,0,true,", "column time", "'': expected a time"),
        ("2026-04-02T19:23Z,both,90,0,true,", "column direction", "'both': expected down or up"),
        ("2026-04-02T19:23Z,down,fast,0,true,", "column achieved_mbps", "'fast': expected Mbit/s"),
        ("2026-04-02T19:23Z,down,-1,0,true,", "column achieved_mbps", "'-1': expected Mbit/s"),
        ("2026-04-02T19:23Z,down,inf,0,true,", "column achieved_mbps", "'inf': expected"),
        ('2026-04-02T19:23Z,down,"9,5",0,true,', "column achieved_mbps", "'9,5': expected"),
        ("2026-04-02T19:23Z,down,1_0,0,true,", "column achieved_mbps", "'1_0': expected Mbit/s"),
        ("2026-04-02T19:23Z,down,1e99,0,true,", "column achieved_mbps", "from 0 to 1e+09"),
        ("2026-04-02T19:23Z,down,90,nan,true,", "column cross_mbps", "'nan': expected Mbit/s"),
        ("2026-04-02T19:23Z,down,90,0,maybe,", "column valid", "'maybe': expected true or false"),
        ("2026-04-02T19:23Z,down,90,0,,", "column valid", "'': expected true or false"),
        ("2026-04-02T19:23Z,down,,0,true,", "column achieved_mbps", "empty: a valid test has"),
        ("2026-04-02T19:23Z,down,90,0,true", "5 cells", "expected 6"),
        (GOOD, "column time", "the same link, direction and time as row 2"),
    ],
)
def test_every_bad_cell_is_named(tmp_path: Path, line: str, place: str, message: str) -> None:
    file = written(tmp_path, GOOD, line)
    done = run(file)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"pantau-collector: {file}: row 3")
    assert place in done.stderr and message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_all_bad_cells_are_told_at_once_up_to_twenty(tmp_path: Path) -> None:
    with pytest.raises(TableError) as error:
        read(written(tmp_path, "x,y,z,w,v,"), TERMS)
    assert len(str(error.value).splitlines()) == 5
    with pytest.raises(TableError, match="and 5 more"):
        read(written(tmp_path, *["x,down,1,0,true,"] * 25), TERMS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty; expected a first row"),
        (b"time,direction\n", "row 1: no column achieved_mbps"),
        (b"time,direction,achieved_mbps,speed\n", "row 1, column 4: 'speed' is no column; known"),
        (b"time,time,direction,achieved_mbps\n", "row 1, column 2: 'time' is there twice"),
        (HEADER.encode() + b"\n", "no rows below the first"),
        (b"time,direction,achieved_mbps\n\xff", "byte 29: not UTF-8 text"),
        (b'time,direction,achieved_mbps\n"open', "row 2: unexpected end of data"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "tests.csv"
    file.write_bytes(data)
    done = run(file)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"pantau-collector: {file}: ")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--zone", "WIBB"), "zone 'WIBB': expected WIB, WITA, WIT or an IANA name"),
        (("--cir", "0"), "CIR 0.0: expected 0.001 to 1e+09 Mbit/s"),
        (("--cir", "nan"), "CIR nan: expected 0.001 to 1e+09 Mbit/s"),
        (("--until", "0001-01-01"), "--until: expected a year from 2000 to 2099"),
        (("--as-of", "2100-01-01"), "--as-of: expected a year from 2000 to 2099"),
        (("--direction", "up"), "no up tests to judge"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    done = run(written(tmp_path, GOOD), *options)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"pantau-collector: {message}")


CELLS = st.one_of(
    st.sampled_from(["2026-04-01T19:23Z", "2026-04-01 19:23 WIB", "down", "up", "90", "", "true"]),
    st.text(alphabet=st.characters(codec="utf-8"), max_size=12),
)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=8), max_size=6), st.sampled_from(",;"))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_is_read_or_refused_by_its_place(
    tmp_path: Path, lines: list[list[str]], separator: str
) -> None:
    file = tmp_path / "tests.csv"
    text = [separator.join(cells) for cells in lines]
    file.write_text(
        "\n".join([HEADER.replace(",", separator), *text]), encoding="utf-8", newline=""
    )
    try:
        rows = read(file, TERMS)
    except TableError as error:
        assert str(error).startswith(f"{file}: ")
    else:
        assert judge(rows, TERMS)


@pytest.mark.parametrize("missing", ["numpy", "scipy"])
def test_a_box_without_the_extra_is_told_what_to_install(tmp_path: Path, missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; from collector.__main__ import main; main()"
    )
    command = [sys.executable, "-c", code, "verdict", "--from", "t.csv", "--cir", "100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"pantau-collector: verdicts need {missing}: install pantau with its extra 'collector'\n"
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path / "none.csv")
    assert done.exit_code == 1 and "none.csv" in done.stderr


def test_typed_rows_are_judged_without_a_file() -> None:
    row = Row("l", Test(1_775_046_180 * 10**9, Direction.DOWN, 100.0, 90.0))
    (found,) = judge([row], TERMS)
    assert (found.finding, found.until) == (Finding.INSUFFICIENT, date(2026, 4, 2))
