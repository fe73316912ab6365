"""Transfers as evidence: golden bytes, what contradicts itself, and how long one can get."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from agent.spool.pack import LINE_LIMIT
from collector.reading import Scope, read
from tests.collector.kit import Box, entry, train
from wire.codec import decode_record, encode_record
from wire.detail import Reading
from wire.errors import WireError
from wire.observation import Outcome
from wire.slot import Direction, Method
from wire.transfer import (
    MAX_BINS,
    MAX_FLOWS,
    MAX_READINGS,
    MAX_REQUESTS,
    MAX_SAMPLES,
    Flow,
    Headers,
    HubLoad,
    Offer,
    Purpose,
    Transfer,
    TransferOutcome,
)
from wire.transfer import Box as Machine

AT = 4_200_000_000_000
WHOLE = Transfer(
    link="desa-001/icon",
    boot_ns=AT,
    direction=Direction.DOWN,
    method=Method.UDP,
    purpose=Purpose.PLANNED,
    outcome=TransferOutcome.DONE,
    slot_id="a1" * 16,
    duration_ns=300_000_000,
    cir_bits_per_s=100_000_000,
    offered=(Offer(0, 95_000_000),),
    octets=[1_186_500, 1_188_000, 1_185_000],
    packets=[791, 792, 790],
    lost=[0, 1, 0],
    reordered=[0, 0, 0],
    duplicated=[0, 0, 0],
    sent_packets=2_374,
    unsent_packets=0,
    dropped_packets=0,
    delay_us=[12, 0, None],
    delay_interval_ns=5_000_000,
    rtt_idle_ns=[24_012_345, None],
    rtt_load_ns=[26_000_001, 27_500_000],
    rtt_interval_ns=20_000_000,
    headers=Headers(ip=20, transport=8, packet=1500),
    cpe=(Reading(link="desa-001/icon", target="cpe", boot_ns=AT, outcome=Outcome.TIMEOUT),),
    box=Machine(
        fit=True,
        selftest_bits_per_s=119_950_000,
        selftest_offered_bits_per_s=120_000_000,
        interface="eth0",
        speed_mbps=1000,
        full_duplex=True,
        cpu_ratio=0.25,
    ),
    hub=HubLoad(cpu_ratio=0.125, nic_bits_per_s=190_000_000, nic_speed_mbps=10_000, slots=2),
)
BY_TCP = Transfer(
    link="desa-001/icon",
    boot_ns=AT + 1,
    direction=Direction.UP,
    method=Method.TCP,
    purpose=Purpose.ORDERED,
    outcome=TransferOutcome.HUB_UNFIT,
    flows=1,
    octets=[100],
    connect_load_ns=[25_000_000, None],
    tcp=(
        Flow(
            congestion="cubic",
            mss=1448,
            bytes_sent=1_448_000,
            bytes_acked=1_400_000,
            bytes_retransmitted=14_480,
            segments_sent=1_000,
            retransmits=10,
            busy_ns=300_000_000,
            rwnd_limited_ns=100_000_000,
            sndbuf_limited_ns=0,
            min_rtt_ns=23_500_000,
            rtt_ns=[24_000_000],
            received_bytes=1_400_000,
            received_segments=967,
        ),
    ),
    note="limited by the receiver's window for 100 ms",
)
SKIPPED = Transfer(
    link="desa-001/icon",
    boot_ns=AT + 2,
    direction=Direction.UP,
    method=Method.NDT7,
    purpose=Purpose.ACCEPTANCE,
    outcome=TransferOutcome.SKIPPED_BUSY,
)


ASKED = Transfer(
    link="desa-001/icon",
    boot_ns=AT + 3,
    direction=Direction.DOWN,
    method=Method.NDT7,
    purpose=Purpose.PLANNED,
    outcome=TransferOutcome.DONE,
    octets=[100],
    late_packets=0,
    connect_load_ns=[50_000_000],
    tls_load_ns=[60_000_000, None],
    http_load_ns=[70_000_000, None],
    own_load_ns=[100_000_000, None],
)
TOLD_LATER = Transfer(
    link="desa-001/icon",
    boot_ns=AT + 4,
    direction=Direction.UP,
    method=Method.UDP,
    purpose=Purpose.PLANNED,
    outcome=TransferOutcome.ABORTED,
    slot_id="a1" * 16,
    ago_ns=35_000_000_000,
    duration_ns=10_000_000_000,
)
ALL = [WHOLE, BY_TCP, SKIPPED, ASKED, TOLD_LATER]


def test_transfers_are_the_golden_lines(golden: Callable[[str, bytes], bytes]) -> None:
    kept = golden("transfers.jsonl", b"\n".join(encode_record(one) for one in ALL))
    assert [decode_record(line) for line in kept.split(b"\n")] == ALL


def test_records_from_before_there_were_requests_are_read(
    golden_bytes: Callable[[str], bytes],
) -> None:
    for line in golden_bytes("transfers.jsonl").split(b"\n")[:3]:
        record = decode_record(line)
        assert isinstance(record, Transfer)
        assert (record.tls_load_ns, record.own_load_ns, record.ago_ns) == ([], [], None)
        assert encode_record(record) == line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lost": [0]}, "lost has 1 bins where octets has 3"),
        ({"packets": [0] * 4}, "packets has 4 bins"),
        ({"outcome": TransferOutcome.NO_SLOT}, "outcome no_slot with 3 bins"),
        (
            {"octets": [], "packets": [], "lost": [], "reordered": [], "duplicated": []},
            "outcome done without a bin",
        ),
        ({"offered": (Offer(5, 1), Offer(4, 1))}, "offered goes backwards"),
    ],
)
def test_what_contradicts_itself_is_no_transfer(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        msgspec.structs.replace(WHOLE, **changes)
    fields = {name: getattr(WHOLE, name) for name in WHOLE.__struct_fields__} | changes
    line = msgspec.json.encode({"type": "transfer", **fields})
    with pytest.raises(WireError, match=told):
        decode_record(line)


def test_the_longest_test_fits_into_a_batch() -> None:
    """An hour at 10 Gbit/s by 16 flows, every column full."""
    most = 2_500_000_000
    rtts: list[int | None] = [3_000_000_000] * MAX_SAMPLES
    flow = msgspec.structs.replace(BY_TCP.tcp[0], rtt_ns=rtts[: MAX_SAMPLES // MAX_FLOWS])
    longest = msgspec.structs.replace(
        WHOLE,
        octets=[most] * MAX_BINS,
        packets=[most // 1500] * MAX_BINS,
        lost=[100_000] * MAX_BINS,
        reordered=[100_000] * MAX_BINS,
        duplicated=[100_000] * MAX_BINS,
        delay_us=[1_000_000] * MAX_SAMPLES,
        rtt_idle_ns=rtts[:250],
        rtt_load_ns=rtts,
        connect_load_ns=rtts,
        tls_load_ns=rtts[:MAX_REQUESTS],
        http_load_ns=rtts[:MAX_REQUESTS],
        own_load_ns=rtts[:MAX_REQUESTS],
        tcp=(flow,) * MAX_FLOWS,
        cpe=WHOLE.cpe * MAX_READINGS,
        note="x" * 256,
    )
    assert len(encode_record(longest)) < LINE_LIMIT


def test_the_hub_reads_transfers_of_a_nodes_own_links_only() -> None:
    own = msgspec.structs.replace(WHOLE, link="l1", boot_ns=train([20]).boot_ns)
    assert entry(Box().draft([train([20]), own])).transfers == (own,)
    foreign = msgspec.structs.replace(own, link="l2")
    with pytest.raises(WireError, match="belongs to another node"):
        read(Box().draft([foreign]), 0, Scope({"l1"}, {"l2"}))
