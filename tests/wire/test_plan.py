"""Plans and orders: layer arithmetic by the vectors, and nothing outside the schema."""

import json
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from wire.plan import Gate, Layer, Load, Order, Share, ThroughputPlan, load_bytes
from wire.policy import Policy
from wire.slot import Direction, Method
from wire.token import slot_key, stamp_key

PLANS = st.builds(
    ThroughputPlan,
    link=st.sampled_from(["l1", "l2"]),
    down_bits_per_s=st.none() | st.integers(1, 10**11),
    up_bits_per_s=st.none() | st.integers(1, 10**11),
    layer=st.sampled_from(Layer),
    vlan=st.booleans(),
    zone_offset_s=st.integers(-50_400, 50_400),
    method=st.sampled_from(Method),
    share=st.floats(0.01, 1),
    evening_tests=st.integers(0, 4),
    budget_bytes=st.integers(0, 2**50),
    gate=st.builds(Gate, target=st.none() | st.just("router"), tries=st.integers(1, 10)),
)


def plan(**changes: Any) -> ThroughputPlan:
    fields = {"link": "l1", "zone_offset_s": 25_200, "budget_bytes": 10**9}
    return ThroughputPlan(**fields | {"down_bits_per_s": 100_000_000} | changes)


@pytest.mark.parametrize(
    ("layer", "vlan", "expected"),
    [
        (Layer.L1, True, 97_276_265),  # V4.1: 97.2763 Mbit/s
        (Layer.L1, False, 97_529_259),
        (Layer.L2, True, 98_554_534),
        (Layer.L2, False, 98_814_229),
        (Layer.IP, True, 100_000_000),
        (Layer.IP, False, 100_000_000),
    ],
)
def test_a_promised_rate_is_told_in_ip_packets(layer: Layer, vlan: bool, expected: int) -> None:
    one = plan(layer=layer, vlan=vlan)
    assert one.cir_ip(Direction.DOWN) == expected
    assert one.cir_ip(Direction.UP) is None


def test_the_box_needs_a_port_of_twice_the_rate_unless_told() -> None:
    assert plan(up_bits_per_s=150_000_000).least_nic() == 300_000_000
    assert plan(least_nic_bits_per_s=10**9).least_nic() == 10**9


@given(PLANS)
def test_any_plan_survives_the_wire_and_its_digest_does_not_hang_on_how_it_was_written(
    one: ThroughputPlan,
) -> None:
    policy = Policy(node="n1", targets=(), throughput=(one,))
    again = msgspec.json.decode(msgspec.json.encode(policy), type=Policy)
    assert again == policy
    assert again.digest() == policy.digest()
    assert policy.digest() != policy.at_revision(1).digest()


@given(PLANS, PLANS)
def test_two_plans_have_one_digest_only_if_they_are_one(
    a: ThroughputPlan, b: ThroughputPlan
) -> None:
    one, other = (Policy(node="n1", targets=(), throughput=(x,)) for x in (a, b))
    assert (one.digest() == other.digest()) == (a == b)


def test_a_link_has_one_plan() -> None:
    row = json.loads(msgspec.json.encode(Policy(node="n", targets=(), throughput=(plan(),))))
    row["throughput"] *= 2
    with pytest.raises(msgspec.ValidationError, match="a link has two throughput plans"):
        msgspec.convert(row, Policy)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"directions": []}, "directions"),
        ({"directions": ["down", "down"]}, "the same one twice"),
        ({"steps": [0.5]}, "steps go with load `steps`"),
        ({"load": "steps"}, "steps go with load `steps`"),
        ({"load": "steps", "steps": [1.3]}, "steps"),
        ({"load": "steps", "steps": [0.5], "bits_per_s": 1}, "exclude each other"),
        ({"load": "flood"}, "load"),
        ({"bits_per_s": 10**12}, "bits_per_s"),
        ({"duration_s": 601}, "duration_s"),
        ({"flows": 17}, "flows"),
        ({"command": "reboot"}, "command"),
    ],
)
def test_orders_outside_the_schema_are_refused_with_their_place(
    changes: dict[str, Any], told: str
) -> None:
    row = {"order_id": "00" * 16, "link": "l1", "directions": ["down"]} | changes
    with pytest.raises(msgspec.ValidationError, match=told):
        msgspec.convert(row, Order)


def test_an_order_knows_how_long_it_loads_a_direction() -> None:
    steps: tuple[Share, ...] = (0.5, 0.75, 0.9, 1.0)
    both = (Direction.UP, Direction.DOWN)
    order = Order(order_id="00" * 16, link="l1", directions=both, load=Load.STEPS, steps=steps)
    assert order.load_s == 40
    assert Order(order_id="00" * 16, link="l1", directions=both, duration_s=7).load_s == 7


@given(st.floats(1, 1e11), st.floats(0.1, 600))
def test_a_load_never_carries_more_than_is_booked(rate: float, seconds: float) -> None:
    booked = load_bytes(rate, seconds)
    assert booked - 1 < rate * seconds / 8 * (1 + 1e-9)
    assert booked >= rate * seconds / 8 * (1 - 1e-9)


def test_both_ends_derive_the_key_of_a_slot_and_every_slot_has_its_own() -> None:
    box, hub = (X25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
    agent_id, slot_id = b"a" * 16, b"s" * 16
    ours = slot_key(box, hub.public_key().public_bytes_raw(), agent_id, slot_id)
    theirs = slot_key(hub, box.public_key().public_bytes_raw(), agent_id, slot_id)
    assert ours == theirs and len(ours) == 32
    others = {
        slot_key(box, hub.public_key().public_bytes_raw(), b"b" * 16, slot_id),
        slot_key(box, hub.public_key().public_bytes_raw(), agent_id, b"t" * 16),
        stamp_key(box, hub.public_key().public_bytes_raw(), agent_id),
    }
    assert len(others | {ours}) == 4
