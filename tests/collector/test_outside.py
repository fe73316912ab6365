"""The prober beside the hub sees every CPE from outside, and nobody speaks for the other end."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from collector.inventory import Inventory, Link, Node, NodeKind, ReflectorAddress, read
from collector.reading import CPE_TARGET, Scope
from runtime.settings import SettingsError
from wire.errors import Refusal, WireError
from wire.policy import Role

HUB = ReflectorAddress("203.0.113.10", 862, True)


def inventory(addresses: Sequence[str | None]) -> Inventory:
    nodes = [Node(id="noc", name="NOC", kind=NodeKind.HUB, district="Kota")]
    links = []
    for k, address in enumerate(addresses):
        nodes.append(Node(id=f"n{k}", name=f"Desa {k}", kind=NodeKind.DESA, district="A"))
        links.append(
            Link(
                id=f"l{k}", node=f"n{k}", provider="P", medium="fibre", pop="X", cpe_address=address
            )
        )
    return Inventory(tuple(nodes), tuple(links))


def test_its_policy_is_one_echo_target_for_every_link_with_a_cpe() -> None:
    known = inventory(["198.51.100.1", None, "2001:db8::1"])
    policy = known.policy("noc", HUB, {f"l{k}": k + 1 for k in range(3)})
    assert [(t.link, t.name, t.probe, t.role, t.address) for t in policy.targets] == [
        ("l0", CPE_TARGET, "icmp", Role.CPE, "198.51.100.1"),
        ("l2", CPE_TARGET, "icmp", Role.CPE, "2001:db8::1"),
    ]


def test_a_thousand_cpes_fit_into_one_policy_message() -> None:
    known = inventory([f"198.18.{k // 250}.{k % 250 + 1}" for k in range(1000)])
    policy = known.policy("noc", HUB, {f"l{k}": k + 1 for k in range(1000)})
    assert len(policy.targets) == 1000
    assert len(msgspec.json.encode(policy)) < 900_000


def test_the_two_ends_cannot_speak_for_each_other() -> None:
    outside = Scope(["l0", "l1"], [], outside=True)
    inside = Scope(["l0"], ["l1"])
    assert outside.check("l1", CPE_TARGET)
    assert inside.check("l0", "hub")
    for scope, link, target in ((outside, "l0", "hub"), (inside, "l0", CPE_TARGET)):
        with pytest.raises(WireError) as caught:
            scope.check(link, target)
        assert caught.value.refusal is Refusal.BAD_BODY


@pytest.mark.parametrize(
    ("links", "told"),
    [
        (
            "{id: l, node: n, provider: P, medium: m, pop: x, cpe_address: router.example}",
            "links[0]: address 'router.example': expected a literal IPv4 or IPv6 address",
        ),
        (
            "{id: l, node: n, provider: P, medium: m, pop: x, targets: [{name: cpe, probe: icmp,"
            " role: gateway, address: 192.0.2.1}]}",
            "links[0].targets[0]: target name 'cpe' is kept for the prober beside the hub",
        ),
    ],
)
def test_a_wrong_cpe_is_told_with_its_place(links: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "nodes.yaml").write_text("nodes: [{id: n, name: N, kind: desa, district: D}]")
    (tmp_path / "links.yaml").write_text(f"links: [{links}]")
    with pytest.raises(SettingsError) as caught:
        read(tmp_path / "nodes.yaml", tmp_path / "links.yaml")
    assert told in str(caught.value)
