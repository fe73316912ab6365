"""Whole or absent, on a real disk and on a full one."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.files import create_durably, write_durably


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    write_durably(file, b"old")
    write_durably(file, b"new and longer")
    assert file.read_bytes() == b"new and longer"
    assert [one.name for one in tmp_path.iterdir()] == ["policy.json"]


@pytest.mark.parametrize("write", [write_durably, create_durably])
def test_a_secret_has_its_mode_even_where_a_readable_draft_was_left(
    tmp_path: Path, write: object
) -> None:
    (tmp_path / "key.new").write_bytes(b"left by a crash")
    assert callable(write)
    write(tmp_path / "key", b"secret", mode=0o600)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_only_the_first_creates(tmp_path: Path) -> None:
    file = tmp_path / "key"
    assert create_durably(file, b"first")
    assert not create_durably(file, b"second")
    assert file.read_bytes() == b"first"
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_of_many_processes_that_create_one_is_first(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from runtime.files import create_durably\n"
        "print(create_durably(Path(sys.argv[1]), sys.argv[2].encode() * 1000))"
    )

    def create(number: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "key"), str(number)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(create, range(4)))
    assert sorted(told) == ["False\n"] * 3 + ["True\n"]
    assert (tmp_path / "key").read_bytes() == str(told.index("True\n")).encode() * 1000


FULL = """
import resource, signal, sys
from pathlib import Path
from runtime.files import write_durably
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_durably(Path(sys.argv[1]), b"n" * 1500)
"""


def test_a_write_that_stops_short_leaves_the_old_file_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(file)], capture_output=True, text=True, check=False
    )
    assert "File too large" in done.stderr
    assert file.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["policy.json"]
