"""Policies: a closed schema of data, sized for the messages that carry it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.observation import Train
from wire.policy import MAX_TARGETS, Policy, Role, Target

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)
TARGETS = st.builds(
    Target,
    name=NAMES,
    link=NAMES,
    probe=st.sampled_from(["stamp", "icmp"]),
    role=st.sampled_from(Role),
    address=st.sampled_from(["192.0.2.1", "2001:db8::1"]),
    port=st.none() | st.integers(1, 65_535),
    interval_s=st.floats(0.01, 86_400),
    timeout_s=st.floats(0.01, 600),
    size=st.integers(0, 9_000),
    dscp=st.integers(0, 63),
    ssid=st.none() | st.integers(1, 65_535),
    authenticated=st.booleans(),
    interface=st.none() | st.text(max_size=15),
)
POLICIES = st.builds(
    Policy,
    node=NAMES,
    targets=st.lists(TARGETS, max_size=5, unique_by=lambda one: (one.link, one.name)).map(tuple),
)


def plain(**changes: Any) -> dict[str, Any]:
    target = {
        "name": "hub",
        "link": "desa-001/icon",
        "probe": "stamp",
        "role": "hub",
        "address": "192.0.2.1",
    }
    return {"node": "desa-001", "targets": [target | changes]}


def decode(row: dict[str, Any]) -> Policy:
    return msgspec.json.decode(json.dumps(row), type=Policy)


@given(POLICIES)
def test_any_valid_policy_survives_the_wire_with_its_digest(policy: Policy) -> None:
    again = msgspec.json.decode(msgspec.json.encode(policy), type=Policy)
    assert again == policy
    assert again.digest() == policy.digest()


@given(POLICIES, POLICIES)
def test_two_policies_have_one_digest_only_if_they_are_one(a: Policy, b: Policy) -> None:
    assert (a.digest() == b.digest()) == (a == b)


def test_the_digest_does_not_hang_on_what_is_written_and_what_is_default() -> None:
    written = decode(plain(interval_s=1, dscp=0, port=None, authenticated=False))
    assert written == decode(plain())
    assert written.digest() == decode(plain()).digest()
    assert decode(plain()).digest() == (
        "0171dd1560d33e8be44739b67c74ed4eb283847bee694a18dc2b4511b2c726b3"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\n"}, "name"),
        ({"link": "\x1b[2J"}, "link"),
        ({"role": "boss"}, "role"),
        ({"address": "1"}, "address"),
        ({"port": 0}, "port"),
        ({"port": 65_536}, "port"),
        ({"interval_s": 0.009}, "interval_s"),
        ({"interval_s": 0}, "interval_s"),
        ({"interval_s": "1s"}, "interval_s"),
        ({"timeout_s": 601}, "timeout_s"),
        ({"size": 9_001}, "size"),
        ({"dscp": 64}, "dscp"),
        ({"ssid": 0}, "ssid"),
        ({"ssid": 65_536}, "ssid"),
        ({"interface": "a" * 16}, "interface"),
        ({"command": "reboot"}, "command"),
    ],
)
def test_orders_outside_the_schema_are_refused_with_their_place(
    changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=told):
        decode(plain(**changes))


def test_the_same_target_twice_is_refused() -> None:
    row = plain()
    row["targets"] *= 2
    with pytest.raises(msgspec.ValidationError, match="hub of link desa-001/icon is there twice"):
        decode(row)


def test_a_node_has_at_most_so_many_targets() -> None:
    def many(count: int) -> dict[str, Any]:
        targets = [plain(name=f"t{k}")["targets"][0] for k in range(count)]
        return {"node": "n", "targets": targets}

    assert len(decode(many(MAX_TARGETS)).targets) == MAX_TARGETS
    with pytest.raises(msgspec.ValidationError, match="length <= 2048"):
        decode(many(MAX_TARGETS + 1))


@given(TARGETS)
def test_whatever_a_policy_orders_a_train_can_tell_of(target: Target) -> None:
    row = {
        "type": "train",
        "link": target.link,
        "target": target.name,
        "probe": target.probe,
        "address": target.address,
        "first_seq": 0,
        "boot_ns": 0,
        "interval_ns": int(target.interval_s * 1e9),
        "timeout_ns": int(target.timeout_s * 1e9),
        "size": target.size,
        "send_us": [0],
        "rtt_ns": [1],
        "outcome": [0],
        "stamp": [1],
    }
    assert len(msgspec.json.decode(json.dumps(row), type=Train)) == 1
