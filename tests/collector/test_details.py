"""Series of exchanges, devices, ways and power, against golden lines."""

import os
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from collector.details import FROM_DETAILS, DetailSeries
from collector.device_rates import FROM_RATES
from collector.instrument import FROM_INSTRUMENT, InstrumentSeries
from collector.latency import one_way_allowed
from collector.metrics import FRESH_NS, page
from wire.detail import DetailRecord, Exchange, Hop, Phase, Power, Reading, Resolution
from wire.detail import Path as Way
from wire.observation import Outcome

GOLDEN = Path(__file__).parents[1] / "golden" / "details.txt"
AT = 1_000_000_000
WHOSE = {"link": "l1", "boot_ns": AT}
EVERYTHING: list[DetailRecord] = [
    Exchange(
        **WHOSE,
        target="web",
        seq=3,
        status=200,
        certificate_expires_s=1_800_000_000,
        phases_ns={Phase.CONNECT: 20_000_000, Phase.TLS: 41_000_000, Phase.PROCESSING: 7_000_000},
    ),
    Resolution(**WHOSE, target="web", name="example.go.id", outcome=Outcome.OK, rtt_ns=1),
    Way(
        **WHOSE,
        target="way",
        reached=True,
        changed=True,
        first_hop="203.0.113.1",
        hops=(Hop(1, "192.168.1.1", 400_000), Hop(2), Hop(3, "198.51.100.7", 24_000_000)),
    ),
    Reading(
        **WHOSE,
        target="cpe-snmp",
        outcome=Outcome.OK,
        sys_uptime_cs=90_000_000,
        interface="wan0",
        oper_status=1,
        high_speed_mbps=100,
        counter_bits=64,
        in_octets=10,
        out_octets=20,
        in_packets=3,
        out_packets=4,
        in_errors=0,
        out_errors=1,
        in_discards=0,
        out_discards=2,
        values={"rx_power_dbm": -18.5},
    ),
    Power(
        **WHOSE,
        target="mains",
        outcome=Outcome.OK,
        source="nut:ups@127.0.0.1",
        mains=False,
        battery_ratio=0.8,
        battery_seconds=1200,
    ),
]
MINUTE_NS = 60 * AT
AFTER_A_MINUTE = msgspec.structs.replace(
    cast(Reading, EVERYTHING[3]),
    boot_ns=AT + MINUTE_NS,
    sys_uptime_cs=90_006_000,
    in_octets=10 + 60 * 250,
    out_octets=20 + 60 * 125,
)
EVERYTHING.append(AFTER_A_MINUTE)


def series(*records: DetailRecord, now_ns: int = AT + MINUTE_NS) -> str:
    shown = DetailSeries()
    shown.load({"l1": "n1"})
    for record in records:
        shown.take(record, 0)
    return page(shown.pages(now_ns))


def test_everything_is_shown_as_the_golden_lines_say() -> None:
    """PANTAU_WRITE_GOLDEN=1 writes them anew: read the difference before it is kept."""
    told = series(*EVERYTHING)
    if os.environ.get("PANTAU_WRITE_GOLDEN"):
        GOLDEN.write_text(told)
    assert told == GOLDEN.read_text()
    for family in (*FROM_DETAILS, *FROM_RATES):
        assert f"# TYPE {family.name} {family.kind}" in told


RATE = 'pantau_device_interface_receive_bytes_per_second{link="l1",node="n1",target="cpe-snmp"'


@pytest.mark.parametrize(
    "changes",
    [
        {"sys_uptime_cs": 3_000},
        {"in_octets": 5},
        {"interface": "lte0"},
        {"boot_ns": AT // 2},
        {"outcome": Outcome.TIMEOUT},
    ],
    ids=["restarted", "reset", "another interface", "late", "no answer"],
)
def test_a_rate_is_told_only_where_the_counters_prove_it(changes: dict[str, Any]) -> None:
    first = EVERYTHING[3]
    assert f'{RATE},interface="wan0"}} 250.0' in series(first, AFTER_A_MINUTE)
    assert RATE not in series(first, msgspec.structs.replace(AFTER_A_MINUTE, **changes))


def test_a_reading_without_an_answer_is_stepped_over() -> None:
    silent = Reading(
        link="l1", target="cpe-snmp", boot_ns=AT + MINUTE_NS // 2, outcome=Outcome.TIMEOUT
    )
    assert f"{RATE}" in series(EVERYTHING[3], silent, AFTER_A_MINUTE)


def test_an_old_rate_and_one_over_two_boots_are_not_shown() -> None:
    first = EVERYTHING[3]
    assert RATE in series(first, AFTER_A_MINUTE, now_ns=AT + MINUTE_NS + FRESH_NS)
    assert RATE not in series(first, AFTER_A_MINUTE, now_ns=AT + MINUTE_NS + FRESH_NS + 1)
    shown = DetailSeries()
    shown.load({"l1": "n1"})
    shown.take(first, 0)
    shown.take(AFTER_A_MINUTE, 3600 * AT)
    assert RATE not in page(shown.pages(3661 * AT))


def test_the_newest_record_wins_whatever_arrives_last() -> None:
    new = Power(
        link="l1", target="mains", boot_ns=2 * AT, outcome=Outcome.OK, source="s", mains=True
    )
    assert 'pantau_site_mains{link="l1",node="n1",target="mains"} 1' in series(new, EVERYTHING[4])


def test_what_was_not_measured_has_no_series() -> None:
    silent = Reading(link="l1", target="cpe", boot_ns=AT, outcome=Outcome.TIMEOUT)
    told = series(silent)
    assert 'pantau_device_up{link="l1",node="n1",target="cpe"} 0' in told
    assert "uptime" not in told
    assert "_total" not in told


def test_a_link_that_the_inventory_does_not_know_makes_no_series() -> None:
    assert (
        series(Power(link="l9", target="m", boot_ns=AT, outcome=Outcome.OK, source="s", mains=True))
        == ""
    )


def test_changes_of_the_way_are_counted() -> None:
    told = series(EVERYTHING[2], EVERYTHING[2])
    assert 'pantau_path_changes_total{link="l1",node="n1",target="way"} 2' in told


def test_one_way_delay_needs_both_clocks_within_a_millisecond_or_a_tenth() -> None:
    ms = 1_000_000
    assert one_way_allowed(ms // 2, ms // 2, 2 * ms)
    assert not one_way_allowed(ms, ms, 2 * ms)
    assert one_way_allowed(2 * ms, 2 * ms, 40 * ms)
    assert not one_way_allowed(2 * ms, 3 * ms, 40 * ms)
    assert not one_way_allowed(None, ms, 40 * ms)
    assert not one_way_allowed(ms, None, 40 * ms)
    assert not one_way_allowed(0, 0, -1)


def test_an_instrument_without_reports_has_no_series() -> None:
    assert list(InstrumentSeries().pages()) == []
    assert len({family.name for family in FROM_INSTRUMENT}) == len(FROM_INSTRUMENT)
