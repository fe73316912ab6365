"""Timestamps of a real authority (openssl ts), and what is none."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.tree import timestamp as t
from tests.collector.tree import authority

HEAD = b"a tree head's bytes"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tsa") / "one"
    authority.made(place)
    return place


def test_an_answer_is_believed_by_its_root(folder: Path) -> None:
    asked = t.ask(HEAD)
    answer = authority.answer(folder, asked.data)
    roots = t.roots_of((folder / "root.pem").read_bytes())
    stamped = t.check(answer, HEAD, roots, asked.nonce)
    assert abs(stamped.at - datetime.now(UTC)) < timedelta(minutes=5)
    assert stamped.accuracy_s == 1.5
    assert t.read(answer) == stamped
    assert t.check(answer, HEAD, roots) == stamped


def test_what_is_no_timestamp_of_the_head_is_refused(folder: Path, tmp_path: Path) -> None:
    asked = t.ask(HEAD)
    answer = authority.answer(folder, asked.data)
    roots = t.roots_of((folder / "root.pem").read_bytes())
    stranger = t.roots_of(authority.made(tmp_path / "other").read_bytes())
    assert asked.nonce is not None
    for told in (
        lambda: t.check(answer, b"another head", roots),
        lambda: t.check(answer, HEAD, stranger),
        lambda: t.check(answer, HEAD, roots, asked.nonce + 1),
        lambda: t.check(answer[:-1], HEAD, roots),
        lambda: t.check(b"", HEAD, roots),
    ):
        with pytest.raises(ValueError, match="no timestamp of this head"):
            told()
    with pytest.raises(ValueError):
        t.roots_of(b"no certificate")


def test_no_byte_of_a_timestamps_signed_part_can_change(folder: Path) -> None:
    answer = authority.answer(folder, t.ask(HEAD).data)
    roots = t.roots_of((folder / "root.pem").read_bytes())
    told = t.read(answer)
    for at in range(0, len(answer), 7):
        forged = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
        try:
            assert t.check(forged, HEAD, roots) == told, at
        except ValueError:
            continue
