"""The comparison of truth and findings sees everything that can be wrong."""

from typing import Any

import pytest

from tests.endtoend.verdicts import Truth, compare, table, unsaid

ACCESS = frozenset({"access_link"})


def truth(
    link: str = "a", start_s: float = 100.3, event: str | None = None, **changes: Any
) -> Truth:
    one = Truth(link, start_s, start_s + 25, "cut", "down", ACCESS, "provider", event=event)
    return one._replace(**changes)


def outage(link: str = "a", start_s: int = 100, **changes: Any) -> dict[str, Any]:
    end_s = start_s + 25
    return {
        "link": link,
        **{"start_s": start_s, "start_low_s": start_s - 1.01, "start_high_s": start_s + 1.01},
        **{"end_s": end_s, "end_low_s": end_s - 1.01, "end_high_s": end_s + 1.01},
        "state": "down",
        "cause": "access_link",
        "charge": "provider",
        "witnesses": ["node_probes", "hub_side"],
        "event": None,
        "settled": True,
        **changes,
    }


def wrong(truths: list[Truth], found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [row.wrong for row in unsaid(compare(truths, found))]


def test_what_agrees_is_silent() -> None:
    assert wrong([truth()], [outage()]) == []
    late = outage() | {"start_s": 102, "start_high_s": 102.5}
    assert wrong([truth(start_slack_s=1.0)], [late]) == []
    assert wrong([], []) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "unknown"}, "state unknown"),
        ({"cause": "lan"}, "cause lan"),
        ({"charge": "unknown"}, "charge unknown"),
        ({"witnesses": ["node_probes"]}, "too few witnesses"),
        ({"settled": False}, "not settled"),
        ({"event": "e1"}, "event e1"),
        ({"end_s": None}, "has no end"),
        ({"start_s": 98}, "start -2.3 s"),
        ({"end_s": 127}, "end +1.7 s"),
        ({"start_high_s": 99.9}, "start not within its bounds -1.3..-0.4 s"),
        ({"end_low_s": 126.0}, "end not within its bounds +0.7..+0.7 s"),
    ],
)
def test_what_differs_is_told(changes: dict[str, Any], said: str) -> None:
    assert wrong([truth()], [outage() | changes]) == [(said,)]


def test_what_is_missing_and_what_is_invented_are_told() -> None:
    assert wrong([truth()], []) == [("not found",)]
    assert wrong([truth()], [outage("b")]) == [("not found",), ("invented",)]
    assert wrong([truth()], [outage(), outage(start_s=300)]) == [("invented",)]
    twice = [outage(), outage(start_s=115)]
    assert wrong([truth()], twice) == [("invented",)]


def test_one_event_has_one_name() -> None:
    both = [truth("a", event="pop"), truth("b", event="pop")]
    assert wrong(both, [outage("a", event="e"), outage("b", event="e")]) == []
    assert wrong(both, [outage("a", event="e"), outage("b", event="f")]) == [
        ("event e",),
        ("event f",),
    ]
    assert wrong(both, [outage("a"), outage("b")]) == [("event None",), ("event None",)]
    alone = [*both, truth("c")]
    joined = [outage(name, event="e") for name in "abc"]
    assert wrong(alone, joined) == [("event e",)] * 3


def test_the_table_shows_both() -> None:
    rows = compare([truth()], [outage(cause="lan"), outage("b")])
    lines = [line.split() for line in table(rows, 100).splitlines()[1:]]
    said = ["down", "lan", "provider", "node_probes+hub_side"]
    assert lines[0] == ["a", "0.3..", "25.3", "cut", "0.0..", "25.0", *said, "cause", "lan"]
    assert lines[1][:2] == ["b", "-"] and lines[1][-1] == "invented"
