"""A provider's list of outages: every wrong cell is named, and nothing is half read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.calendar import Zone
from collector.inventory import Inventory, Link, Node, NodeKind
from collector.tickets import (
    MAX_CELL,
    MAX_ERRORS,
    Listed,
    Reading,
    Ticket,
    TicketsError,
    parse,
    parse_time,
    show_time,
)

NODE = Node(id="n1", name="Desa", kind=NodeKind.DESA, district="Kec. A")
LINKS = (
    Link(id="l1", node="n1", provider="P", medium="M", pop="X", circuit="SID 1"),
    Link(id="l2", node="n1", provider="P", medium="M", pop="X"),
    Link(id="l3", node="n1", provider="Q", medium="M", pop="X", circuit="SID 1"),
)
HEAD = "ticket,link,start,end,cause\n"
MARCH_9_S = 1_773_014_400
"""2026-03-09T00:00:00Z"""


def listed(text: str | bytes, provider: str | None = None, zone: Zone = Zone.WIB) -> Listed:
    how = Reading(file="list.csv", provider=provider, zone=zone, now_s=MARCH_9_S + 86_400)
    data = text.encode() if isinstance(text, str) else text
    return parse(data, how, Inventory((NODE,), LINKS))


def said(text: str | bytes, provider: str | None = None) -> list[str]:
    with pytest.raises(TicketsError) as error:
        listed(text, provider)
    lines = str(error.value).split("\n")
    assert all(line.startswith("list.csv: ") for line in lines[:MAX_ERRORS])
    return [line.removeprefix("list.csv: ") for line in lines]


def test_a_list_is_read_in_its_zone() -> None:
    text = HEAD + "T-1,l1,2026-03-09 07:00,2026-03-09 08:30:15,FO cut di km 3\n"
    assert listed(text).tickets == (
        Ticket("P", "T-1", "l1", MARCH_9_S, MARCH_9_S + 5_415, "FO cut di km 3"),
    )
    eastern = listed(text, zone=Zone.WIT).tickets[0]
    assert eastern.start_s == MARCH_9_S - 7_200


def test_an_outage_without_end_is_not_over() -> None:
    (ticket,) = listed(HEAD + "T-1,l1,2026-03-09T07:00,,radio\n").tickets
    assert ticket.end_s is None


@pytest.mark.parametrize(
    "text",
    [
        "ticket;link;start;end;cause\r\nT-1;l1;2026-03-09 07:00;;a, b\r\n",
        "ticket\tlink\tstart\tend\tcause\nT-1\tl1\t2026-03-09 07:00\t\ta, b\n",
        '\ufeffTicket, Link ,START,end,cause\nT-1,l1,2026-03-09 07:00,,"a, b"\n,,,,\n\n',
    ],
)
def test_what_spreadsheets_write_is_read(text: str) -> None:
    (ticket,) = listed(text).tickets
    assert ticket == Ticket("P", "T-1", "l1", MARCH_9_S, None, "a, b")


def test_columns_that_nobody_asked_for_are_told() -> None:
    text = "no,ticket,link,start,end,cause,teknisi\n1,T-1,l1,2026-03-09 07:00,,x,Budi\n"
    assert listed(text).ignored_columns == ("no", "teknisi")


def test_a_circuit_names_a_link_of_the_provider() -> None:
    text = "ticket,circuit,start,end,cause\nT-1,SID 1,2026-03-09 07:00,,x\n"
    assert listed(text, "Q").tickets[0].link == "l3"
    assert said(text) == ["row 2, column circuit: 'SID 1' is of several links: l1, l3"]
    both = "ticket,link,circuit,start,end,cause\nT-1,l1,SID 1,2026-03-09 07:00,,x\n"
    assert listed(both).tickets[0].link == "l1"
    assert said(both.replace("SID 1", "SID 2")) == [
        "row 2, column circuit: 'SID 2', but link 'l1' is 'SID 1'"
    ]


def test_every_wrong_cell_is_named_and_one_is_enough_to_take_nothing() -> None:
    text = HEAD + (
        "T-1,l1,2026-03-09 07:00,,good\n"
        ",l9,9 Maret,2026-03-09,\n"
        '"T-2",l1,2026-03-09 07:00,2026-03-09 07:00,"two\nlines"\n'
        "T-3,,2026-03-11 07:00,,x\n"
        "T-1,l1,2026-03-09 08:00,,x\n"
        "T-4,l1,2026-03-09 07:00,x\n"
        f"T-5,l2,2026-02-30 07:00,,{'x' * (MAX_CELL + 1)}\n"
    )
    form = "expected YYYY-MM-DD HH:MM or YYYY-MM-DD HH:MM:SS"
    assert said(text) == [
        f"row 3, column ticket: 0 characters, expected 1 to {MAX_CELL}",
        "row 3, column link: 'l9' is not a link of the links file",
        f"row 3, column cause: 0 characters, expected 1 to {MAX_CELL}",
        f"row 3, column start: '9 Maret': {form}",
        f"row 3, column end: '2026-03-09': {form}",
        "row 4, column end: '2026-03-09 07:00' is not after start '2026-03-09 07:00'",
        "row 5, column link: empty, expected a link id or a circuit",
        "row 5, column start: '2026-03-11 07:00' WIB is in the future",
        "row 6, column ticket: 'T-1' of link 'l1' is row 2 already",
        "row 7: 4 cells, expected 5",
        f"row 8, column cause: {MAX_CELL + 1} characters, expected 1 to {MAX_CELL}",
        f"row 8, column start: '2026-02-30 07:00': {form}",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "empty, expected a row of column names"),
        (b"ticket,link\xff", "byte 11 is not UTF-8 text"),
        (
            "ticket,start,finish,cause\n",
            "row 1: missing column end, link or circuit; expected ticket, start, end, cause and"
            " link or circuit",
        ),
        ("ticket,link,link,start,end,cause\n", "row 1: column 'link' is there twice"),
        (HEAD + 'T-1,l1,2026-03-09 07:00,,"open\n', "line 2: unexpected end of data"),
    ],
)
def test_a_file_that_is_no_such_list_is_refused(text: str | bytes, line: str) -> None:
    assert said(text) == [line]


def test_another_providers_link_is_refused() -> None:
    text = HEAD + "T-1,l1,2026-03-09 07:00,,x\n"
    assert said(text, "Q") == ["row 2, column link: 'l1' is of provider 'P'"]


def test_a_circuit_that_nobody_has_is_refused() -> None:
    text = "ticket,circuit,start,end,cause\nT-1,SID 7,2026-03-09 07:00,,x\n"
    assert said(text) == ["row 2, column circuit: 'SID 7' is not a circuit of the links file"]


def test_of_very_many_errors_the_first_are_listed_and_the_others_counted() -> None:
    lines = said(HEAD + "T,l9,2026-03-09 07:00,,x\n" * (MAX_ERRORS + 5))
    assert len(lines) == MAX_ERRORS + 1
    assert lines[-1] == "and 5 more"


@given(st.integers(946_771_200, 7_258_000_000), st.sampled_from(list(Zone)))
def test_a_time_is_read_as_it_is_shown(at_s: int, zone: Zone) -> None:
    shown, _, named = show_time(at_s, zone).rpartition(" ")
    assert (parse_time(shown, zone), named) == (at_s, zone.value)


@pytest.mark.parametrize("year", ["1999", "2200", "9999"])
def test_a_year_that_cannot_be_meant_is_refused(year: str) -> None:
    with pytest.raises(ValueError, match="expected a year from 2000 to 2199"):
        parse_time(f"{year}-12-31 23:59", Zone.WIB)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: (HEAD + text).encode()))
def test_any_bytes_are_tickets_or_an_error(data: bytes) -> None:
    try:
        listed(data)
    except TicketsError as error:
        assert str(error).startswith("list.csv: ")
