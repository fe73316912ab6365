"""What a probe on the command line shows, to a person and to a program."""

import json

import pytest

from agent import telling
from wire.detail import (
    DetailRecord,
    Exchange,
    Hop,
    Path,
    Phase,
    Power,
    Reading,
    Resolution,
)
from wire.observation import Observation, Outcome, StampSource

MS = 1_000_000
SECOND = 1_000_000_000
NOW_S = 1_700_000_000.0
WHOSE = {"link": "oneshot", "target": "it"}


def observation(seq: int, rtt_ns: int | None = 5 * MS) -> Observation:
    outcome = Outcome.TIMEOUT if rtt_ns is None else Outcome.OK
    stamp = StampSource.NONE if rtt_ns is None else StampSource.USER
    return Observation(seq, seq * SECOND, rtt_ns, outcome, stamp, None, None, None)


PAGE = Exchange(
    **WHOSE,
    boot_ns=SECOND,
    seq=1,
    phases_ns={Phase.CONNECT: 2 * MS, Phase.TLS: 3 * MS},
    status=503,
    certificate_expires_s=int(NOW_S) + 10 * 86_400,
    note="body cut",
)
WAY = Path(
    **WHOSE,
    boot_ns=2 * SECOND + 7 * MS,
    hops=(Hop(1, "10.0.0.1", 400_000), Hop(2), Hop(3, "192.0.2.9", 9 * MS)),
    reached=False,
    changed=True,
    first_hop="192.0.2.9",
)
DEVICE = Reading(
    **WHOSE,
    boot_ns=0,
    outcome=Outcome.OK,
    rtt_ns=MS,
    sys_uptime_cs=12_345,
    interface="wan0",
    oper_status=7,
    in_octets=0,
    out_octets=17,
    counter_bits=64,
    values={"rx dBm": -21.5},
    missing=("temperature",),
)
MAINS = Power(
    **WHOSE,
    boot_ns=0,
    outcome=Outcome.OK,
    source="sysfs:/x",
    mains=False,
    battery_ratio=0.875,
    battery_seconds=0,
)


@pytest.mark.parametrize(
    ("detail", "lines"),
    [
        (
            PAGE,
            [
                "connect 2.000 ms, tls 3.000 ms, status 503",
                "certificate runs out in 10 days (2023-11-24 22:13 UTC)",
                "body cut",
            ],
        ),
        (
            Exchange(
                **WHOSE, boot_ns=0, seq=0, phases_ns={}, certificate_expires_s=int(NOW_S) - 86_400
            ),
            ["certificate runs out 1 days ago (2023-11-13 22:13 UTC)"],
        ),
        (
            Exchange(**WHOSE, boot_ns=0, seq=0, phases_ns={}, certificate_expires_s=2**53),
            [f"certificate runs out in {(2**53 - NOW_S) / 86_400:.0f} days ({2**53} s after 1970)"],
        ),
        (
            WAY,
            [
                " 1  10.0.0.1  0.400 ms",
                " 2  no answer",
                " 3  192.0.2.9  9.000 ms",
                "not reached; the way has changed; the provider begins at 192.0.2.9",
            ],
        ),
        (
            DEVICE,
            [
                "device up for 123 s, interface wan0 lower layer down",
                "0 octets in, 17 octets out (64-bit counters)",
                "rx dBm: -21.5",
                "temperature: the device does not have it",
            ],
        ),
        (Reading(**WHOSE, boot_ns=0, outcome=Outcome.TIMEOUT), []),
        (MAINS, ["no mains, battery 88 %, 0 s left (sysfs:/x)"]),
        (
            Power(**WHOSE, boot_ns=0, outcome=Outcome.LOCAL_ERROR, source="gpio:/y"),
            ["mains not known (gpio:/y)"],
        ),
    ],
)
def test_a_person_reads_the_parts_under_their_observation(
    detail: DetailRecord, lines: list[str]
) -> None:
    first, *rest = telling.as_text((observation(1), [detail]), NOW_S).splitlines()
    assert first == "seq 1: 5.000 ms (user stamps)"
    assert rest == [f"    {line}" for line in lines]


def test_a_program_reads_one_line_per_observation_with_what_was_measured_and_nothing_else() -> None:
    told = json.loads(telling.as_json((observation(1), [PAGE, WAY, DEVICE, MAINS])))
    head = {key: told[key] for key in ("seq", "outcome", "rtt_ns", "stamp", "sent_boot_ns")}
    assert head == {
        "seq": 1,
        "outcome": "ok",
        "rtt_ns": 5 * MS,
        "stamp": "user",
        "sent_boot_ns": SECOND,
    }
    assert told["exchange"] == {
        "phases_ns": {"connect": 2 * MS, "tls": 3 * MS},
        "status": 503,
        "certificate_expires_s": int(NOW_S) + 10 * 86_400,
        "note": "body cut",
    }
    assert told["path"]["hops"][1] == {"ttl": 2}
    assert told["path"]["reached"] is False
    assert told["reading"]["outcome"] == "ok"
    assert told["reading"]["in_octets"] == 0
    assert "in_packets" not in told["reading"]
    assert told["power"] == {
        "outcome": "ok",
        "source": "sysfs:/x",
        "mains": False,
        "battery_ratio": 0.875,
        "battery_seconds": 0,
    }


def test_details_go_to_the_attempt_that_learnt_them() -> None:
    name = Resolution(**WHOSE, boot_ns=SECOND, name="a.example", outcome=Outcome.OK)
    rows = [observation(0), observation(1, None), observation(2)]
    told = telling.gather(rows, [WAY, name, PAGE])
    assert [one for one, _ in told] == rows
    assert [list(parts) for _, parts in told] == [[], [PAGE], [WAY]]


def test_an_observation_without_a_reply_has_no_time() -> None:
    assert telling.as_text((observation(3, None), []), NOW_S) == "seq 3: timeout"
    assert json.loads(telling.as_json((observation(3, None), [])))["rtt_ns"] is None
    told = telling.summary([observation(3, None)])
    assert (told["lost"], told["loss_ratio"], told["rtt_median_ns"]) == (1, 1.0, None)
    assert telling.summary_text(told) == "1 sent, 1 lost, 0 not sent"
