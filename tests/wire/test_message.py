"""Signed messages: golden bytes, separate worlds for each kind, and hostile JSON inside."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from collector.web.agents import MAX_REQUEST_BYTES
from wire import message
from wire.errors import MAX_DETAIL, Refusal, WireError
from wire.instant import ClockClass
from wire.message import (
    MAX_LINK_TESTS,
    MAX_MESSAGE_BYTES,
    MAX_ORDERS,
    STATUS_TARGETS,
    Closed,
    End,
    Enrol,
    Enrolled,
    Figures,
    Kind,
    LinkTests,
    OrderProgress,
    OrderState,
    SlotReply,
    SlotRequest,
    SpoolStatus,
    Status,
    StatusReply,
    TargetStatus,
    ThroughputStatus,
    Want,
)
from wire.plan import Gate, Load, Order, ThroughputPlan
from wire.policy import Policy, Role, Target
from wire.slot import Direction, Grant, Method

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
EXCHANGE = X25519PrivateKey.from_private_bytes(bytes(range(32, 64))).public_key()
WALL_NS = 1_790_000_000_000_000_000
POLICY = Policy(
    node="desa-001",
    targets=(
        Target(
            name="hub",
            link="desa-001/icon",
            probe="stamp",
            role=Role.HUB,
            address="192.0.2.1",
            port=862,
            ssid=42,
            authenticated=True,
        ),
        Target(
            name="gateway",
            link="desa-001/icon",
            probe="icmp",
            role=Role.GATEWAY,
            address="192.168.1.1",
            interface="eth0",
        ),
    ),
)
BROUGHT = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
ENROL = Enrol(
    token_id="70" * 16,
    token_key=PUBLIC.hex(),
    public_key=BROUGHT.public_key().public_bytes_raw().hex(),
    proof=message.enrol_proof(
        BROUGHT,
        token_id="70" * 16,
        exchange_key=EXCHANGE.public_bytes_raw().hex(),
        nonce="0c" * 16,
    ),
    exchange_key=EXCHANGE.public_bytes_raw().hex(),
    nonce="0c" * 16,
    agent_version="0.1.0",
    machine="Linux 6.1.0 aarch64",
)
ENROLLED = Enrolled(
    nonce="0c" * 16,
    agent_id="a1" * 16,
    collector_key=PUBLIC.hex(),
    exchange_key=EXCHANGE.public_bytes_raw().hex(),
    policy=POLICY,
    received_wall_ns=WALL_NS,
)
STATUS = Status(
    agent_id="a1" * 16,
    epoch="e9" * 16,
    counter=12,
    boot_id="b0" * 16,
    boot_ns=4_200_000_000_000,
    wall_ns=WALL_NS,
    clock=ClockClass.B,
    nonce="0d" * 16,
    agent_version="0.1.0",
    policy_digest=POLICY.digest(),
    window_s=10.0,
    targets=(
        TargetStatus(
            link="desa-001/icon",
            target="hub",
            sent=10,
            lost=1,
            not_sent=0,
            rtt_median_ns=24_000_000,
            rtt_max_ns=31_000_000,
            last_reply_boot_ns=4_199_500_000_000,
        ),
    ),
    spool=SpoolStatus(
        batches_waiting=2, bytes_used=65_536, bytes_cap=2**28, oldest_boot_ns=4_000_000_000_000
    ),
    last_acked=("e9" * 16, 6),
    notes=("ICMP is not permitted on this box",),
)
REPLY = StatusReply(
    nonce="0d" * 16,
    received_wall_ns=WALL_NS,
    policy=POLICY,
    rewind=True,
    catchup_bytes_per_s=16_384,
)
PLAN = ThroughputPlan(
    link="desa-001/icon",
    down_bits_per_s=20_000_000,
    up_bits_per_s=20_000_000,
    zone_offset_s=25_200,
    evening_tests=1,
    office_tests=0,
    night_tests=1,
    budget_bytes=3_000_000_000,
    gate=Gate(target="router"),
)
ORDER = Order(
    order_id="0d" * 16,
    link="desa-001/icon",
    directions=(Direction.DOWN, Direction.UP),
    load=Load.STEPS,
    steps=(0.5, 0.75, 0.9, 1.0),
)
STATUS_2 = msgspec.structs.replace(
    STATUS,
    throughput=ThroughputStatus(
        links=(
            LinkTests(
                link="desa-001/icon",
                month="2026-11",
                used_bytes=475_000_000,
                budget_bytes=3_000_000_000,
                last_test_wall_ns=WALL_NS,
                ends={End.DONE: 20, End.BUSY: 1},
                deferred=4,
            ),
        ),
        orders=(
            OrderProgress(
                order_id="0d" * 16,
                state=OrderState.RUNNING,
                figures=(
                    Figures(
                        direction=Direction.DOWN,
                        end=End.DONE,
                        bits_per_s=18_900_000.0,
                        offered_bits_per_s=19_000_000.0,
                        lost_ratio=0.002,
                        rtt_ns=31_000_000,
                        cross_bits_per_s=120_000.0,
                    ),
                ),
            ),
        ),
    ),
)
REPLY_2 = msgspec.structs.replace(
    REPLY, policy=msgspec.structs.replace(POLICY, throughput=(PLAN,)), orders=(ORDER,)
)
SLOT_REQUEST = SlotRequest(
    agent_id="a1" * 16,
    epoch="e9" * 16,
    counter=3,
    nonce="0e" * 16,
    want=Want(
        link="desa-001/icon",
        method=Method.UDP,
        direction=Direction.DOWN,
        bits_per_s=18_482_497,
        duration_s=10.0,
        order_id="0d" * 16,
    ),
    ended="5a" * 16,
)
SLOT_REPLY = SlotReply(
    nonce="0e" * 16,
    received_wall_ns=WALL_NS,
    grant=Grant(
        slot_id="5b" * 16,
        key="00" * 32,
        link="desa-001/icon",
        method=Method.UDP,
        direction=Direction.DOWN,
        duration_s=10.0,
        most_bits_per_s=18_482_497,
        address="192.0.2.1",
        port=8461,
        wait_s=3.5,
    ),
)
AnyKind = message.Signed
EVERY: dict[str, AnyKind] = {
    "enrol": ENROL,
    "enrolled": ENROLLED,
    "status": STATUS,
    "status-reply": REPLY,
    "slot-request": SLOT_REQUEST,
    "slot-reply": SLOT_REPLY,
}
REVISION_2: dict[str, Status | StatusReply] = {"status-2": STATUS_2, "status-reply-2": REPLY_2}
NAMED = pytest.mark.parametrize("name", EVERY)


def forged(kind: int, body: bytes) -> bytes:
    """Any body, signed as if it were sound."""
    return b"PTM1" + bytes([kind]) + KEY.sign(message._context(Kind(kind), body)) + body


def refused(data: bytes, form: Any) -> WireError:
    with pytest.raises(WireError) as caught:
        message.verify(data, form, PUBLIC)
    return caught.value


@NAMED
def test_the_golden_message_is_signed_and_read_to_the_byte(
    name: str, golden: Callable[[str, bytes], bytes]
) -> None:
    data = golden(f"{name}.bin", message.sign(EVERY[name], KEY))
    form: Any = type(EVERY[name])
    assert message.verify(data, form, PUBLIC) == EVERY[name]
    assert message.peek(data, form) == EVERY[name]


@pytest.mark.parametrize("name", REVISION_2)
def test_what_revision_2_adds_is_golden_too(
    name: str, golden: Callable[[str, bytes], bytes]
) -> None:
    data = golden(f"{name}.bin", message.sign(REVISION_2[name], KEY))
    form: Any = type(REVISION_2[name])
    assert message.verify(data, form, PUBLIC) == REVISION_2[name]


def test_what_a_reader_of_revision_1_gets_is_what_it_always_got(
    golden_bytes: Callable[[str], bytes],
) -> None:
    """The plan is taken out, and the octets are those of the golden message of old."""
    assert REPLY_2.policy is not None
    old = msgspec.structs.replace(REPLY_2, policy=REPLY_2.policy.at_revision(1), orders=())
    assert message.sign(old, KEY) == golden_bytes("status-reply.bin")
    assert REPLY_2.policy.at_revision(1).digest() == POLICY.digest()
    assert REPLY_2.policy.digest() != POLICY.digest()
    plain = msgspec.structs.replace(STATUS_2, throughput=None)
    assert message.sign(plain, KEY) == golden_bytes("status.bin")


@NAMED
def test_a_message_of_one_kind_passes_for_no_other(name: str) -> None:
    data = message.sign(EVERY[name], KEY)
    for other in EVERY:
        if other == name:
            continue
        form = type(EVERY[other])
        assert refused(data, form).refusal is Refusal.MALFORMED
        relabelled = data[:4] + message.sign(EVERY[other], KEY)[4:5] + data[5:]
        assert refused(relabelled, form).refusal in (Refusal.BAD_BODY, Refusal.BAD_SIGNATURE)


def test_the_kind_is_part_of_what_is_signed() -> None:
    """The same body under another kind's number: only the signature can tell."""
    body = msgspec.json.encode(STATUS)
    as_enrol = KEY.sign(message._context(Kind.ENROL, body))
    assert refused(b"PTM1\x03" + as_enrol + body, Status).refusal is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize("context", [b"", b"pantau-batch-v1\x00", b"pantau-receipt-v1\x00"])
def test_a_signature_given_for_something_else_is_no_message(context: bytes) -> None:
    body = msgspec.json.encode(STATUS)
    data = b"PTM1\x03" + KEY.sign(context + body) + body
    assert refused(data, Status).refusal is Refusal.BAD_SIGNATURE


@NAMED
def test_every_flipped_bit_is_noticed(name: str) -> None:
    data = message.sign(EVERY[name], KEY)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        refused(bytes(changed), type(EVERY[name]))


@NAMED
def test_a_message_cut_anywhere_is_refused(name: str) -> None:
    data = message.sign(EVERY[name], KEY)
    for length in range(len(data)):
        refused(data[:length], type(EVERY[name]))


@given(st.binary(max_size=300), st.integers(1, 6))
def test_any_octets_are_refused_and_nothing_else(data: bytes, kind: int) -> None:
    for form in (Enrol, Enrolled, Status, StatusReply, SlotRequest, SlotReply):
        refused(data, form)
        refused(b"PTM1" + bytes([kind]) + bytes(64) + data, form)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32), b"\xff" * 32])
def test_another_key_verifies_nothing(public: bytes) -> None:
    with pytest.raises(WireError) as caught:
        message.verify(message.sign(STATUS, KEY), Status, public)
    assert caught.value.refusal is Refusal.BAD_SIGNATURE


def test_what_is_too_long_is_refused_unread_and_not_signed_either() -> None:
    data = message.sign(STATUS, KEY)
    assert refused(data + bytes(MAX_MESSAGE_BYTES), Status).refusal is Refusal.TOO_LARGE
    long = "é" * 128
    targets = tuple(
        TargetStatus(link=f"{long[4:]}{k:04}", target=long, sent=2**53, lost=2**53, not_sent=2**53)
        for k in range(MAX_MESSAGE_BYTES // 250)
    )
    with pytest.raises(ValueError, match=r"STATUS of \d+ bytes, at most 1048576"):
        message.sign(msgspec.structs.replace(STATUS, targets=targets), KEY)


def test_the_longest_honest_status_is_taken() -> None:
    one = TargetStatus(
        link="l" * 128,
        target="t" * 128,
        sent=2**53,
        lost=2**53,
        not_sent=2**53,
        rtt_median_ns=2**62,
        rtt_max_ns=2**62,
        last_reply_boot_ns=2**61,
    )
    tests = LinkTests(
        link="l" * 128,
        month="2026-11",
        used_bytes=2**53,
        budget_bytes=2**53,
        last_test_wall_ns=2**61,
        ends=dict.fromkeys(End, 2**53),
        deferred=2**53,
    )
    figures = Figures(
        direction=Direction.DOWN,
        end=End.NO_SLOT,
        bits_per_s=123456789.123456,
        offered_bits_per_s=123456789.123456,
        lost_ratio=0.12345678901234567,
        rtt_ns=2**62,
        cross_bits_per_s=123456789.123456,
        detail="d" * 256,
    )
    order = OrderProgress(
        order_id="0d" * 16, state=OrderState.RUNNING, detail="d" * 256, figures=(figures,) * 2
    )
    status = msgspec.structs.replace(
        STATUS,
        targets=(one,) * STATUS_TARGETS,
        notes=("n" * 256,) * 8,
        agent_version="v" * 256,
        throughput=ThroughputStatus(links=(tests,) * MAX_LINK_TESTS, orders=(order,) * MAX_ORDERS),
    )
    assert len(message.sign(status, KEY)) < MAX_REQUEST_BYTES
    assert message.verify(message.sign(status, KEY), Status, PUBLIC) == status


def spoiled(given: AnyKind, **changes: Any) -> bytes:
    row = json.loads(msgspec.json.encode(given)) | changes
    return json.dumps(row).encode()


@pytest.mark.parametrize(
    ("kind", "form", "body"),
    [
        (1, Enrol, spoiled(ENROL, token_id="70" * 15)),
        (1, Enrol, spoiled(ENROL, token_id="7G" * 16)),
        (1, Enrol, spoiled(ENROL, token_id="70" * 16 + "\n")),
        (1, Enrol, spoiled(ENROL, public_key=None)),
        (1, Enrol, spoiled(ENROL, exchange_key="00" * 32)),
        (1, Enrol, spoiled(ENROL, exchange_key="01" + "00" * 31)),
        (1, Enrol, spoiled(ENROL, machine="m" * 257)),
        (1, Enrol, spoiled(ENROL, node="desa-002")),
        (3, Status, spoiled(STATUS, counter=-1)),
        (3, Status, spoiled(STATUS, counter=2**53 + 1)),
        (3, Status, spoiled(STATUS, boot_ns=2**62)),
        (3, Status, spoiled(STATUS, clock="Z")),
        (3, Status, spoiled(STATUS, window_s=86_401)),
        (3, Status, spoiled(STATUS, window_s=-0.1)),
        (3, Status, spoiled(STATUS, window_s=float("nan"))),
        (3, Status, spoiled(STATUS, window_s=float("inf"))),
        (3, Status, msgspec.json.encode(STATUS).replace(b"10.0", b"1e400")),
        (3, Status, msgspec.json.encode(STATUS).replace(b"10.0", b"1" + b"0" * 5_000)),
        (3, Status, spoiled(STATUS, targets=[{}] * (STATUS_TARGETS + 1))),
        (3, Status, spoiled(STATUS, targets={"link": "l"})),
        (3, Status, spoiled(STATUS, last_acked=["e9" * 16])),
        (3, Status, spoiled(STATUS, last_acked=["e9" * 16, 1, 2])),
        (3, Status, spoiled(STATUS, notes=[""] * 9)),
        (3, Status, spoiled(STATUS, notes=["n" * 257])),
        (3, Status, spoiled(STATUS, **{"A" * 60_000: 0})),
        (3, Status, spoiled(STATUS, spool=None)),
        (3, Status, b"[" * 60_000),
        (3, Status, b'{"agent_id":' * 4_000),
        (3, Status, b'{"notes":["\\ud800"]}'),
        (3, Status, b'{"notes":["\xff"]}'),
        (3, Status, msgspec.json.encode(STATUS) + b"{}"),
        (3, Status, b"null"),
        (2, Enrolled, spoiled(ENROLLED, policy={"node": "n"})),
        (2, Enrolled, spoiled(ENROLLED, received_wall_ns=2**63)),
        (4, StatusReply, spoiled(REPLY, rewind=1)),
        (4, StatusReply, spoiled(REPLY, orders=[{"order_id": "0d" * 16}])),
        (4, StatusReply, spoiled(REPLY_2, orders=[json.loads(msgspec.json.encode(ORDER))] * 9)),
        (3, Status, spoiled(STATUS, throughput={"links": [], "shell": "x"})),
        (3, Status, spoiled(STATUS_2, throughput={"links": [{"link": "l", "month": "26-11"}]})),
        (5, SlotRequest, spoiled(SLOT_REQUEST, want=None, ended=None)),
        (5, SlotRequest, spoiled(SLOT_REQUEST, ended="5a" * 15)),
        (5, SlotRequest, spoiled(SLOT_REQUEST, counter=-1)),
        (6, SlotReply, spoiled(SLOT_REPLY, wait_s=5)),
        (6, SlotReply, spoiled(SLOT_REPLY, grant=None, wait_s=5, closed="off")),
        (6, SlotReply, spoiled(SLOT_REPLY, grant=None, wait_s=3601)),
        (6, SlotReply, spoiled(SLOT_REPLY, grant=None, closed="tired")),
        (4, StatusReply, spoiled(REPLY, shell="rm -rf /")),
    ],
)
def test_a_signed_message_outside_the_schema_is_refused_in_a_short_line(
    kind: int, form: type[Any], body: bytes
) -> None:
    error = refused(forged(kind, body), form)
    assert error.refusal is Refusal.BAD_BODY
    assert len(str(error)) <= MAX_DETAIL
    assert str(error).isprintable()


def test_a_slot_reply_may_be_a_mere_thanks() -> None:
    thanks = SlotReply(nonce="0e" * 16, received_wall_ns=1)
    assert (thanks.grant, thanks.wait_s, thanks.closed) == (None, None, None)
    assert SlotReply(nonce="0e" * 16, received_wall_ns=1, closed=Closed.OFF).closed is Closed.OFF


def test_the_smallest_reply_leaves_out_what_is_not_said() -> None:
    reply = StatusReply(nonce="0d" * 16, received_wall_ns=1)
    assert msgspec.json.encode(reply) == (b'{"nonce":"' + b"0d" * 16 + b'","received_wall_ns":1}')
    assert (reply.policy, reply.catchup_bytes_per_s) == (None, None)


@pytest.mark.parametrize(
    "forged",
    [
        {"public_key": PUBLIC.hex()},
        {"token_id": "71" * 16},
        {"nonce": "0d" * 16},
        {"exchange_key": PUBLIC.hex()},
        {"proof": "00" * 64},
    ],
)
def test_a_key_is_enrolled_only_by_who_holds_it(forged: dict[str, str]) -> None:
    message.check_enrol_proof(ENROL)
    with pytest.raises(WireError) as caught:
        message.check_enrol_proof(msgspec.structs.replace(ENROL, **forged))
    assert caught.value.refusal is Refusal.BAD_SIGNATURE
