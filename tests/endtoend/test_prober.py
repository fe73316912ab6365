"""The agent beside the hub probes 1,000 CPEs from outside: one whole run of the real programs."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from collector.ledger.sqlite import SqliteLedger
from runtime.lab.namespaces import Namespace
from runtime.lab.topology import End, pair
from wire.codec import decode_body
from wire.journal import Gap
from wire.observation import Outcome, StampSource, Train

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
CPES = 1000
DEAD = 437
MEASURE_S = 15.0
RHYTHM = {"commit_s": 3.0, "heartbeat_s": 5.0, "seal_s": 4.0, "status_s": 2.0}


def address(k: int) -> str:
    return f"10.99.{k // 250}.{1 + k % 250}"


def counted(space: Namespace, name: str) -> int:
    """ICMP messages that this machine has sent (OutType8 ...) or had (InType0 ...), by its own
    kernel's count."""
    said = space.run(["cat", "/proc/net/snmp"]).stdout.splitlines()
    names, values = (line.split() for line in said if line.startswith("IcmpMsg:"))
    return int(dict(zip(names, values, strict=True)).get(name, 0))


class Recount:
    """Every row of the ledger, by CPE."""

    def __init__(self, system: Any) -> None:
        self.rows: dict[str, Counter[Outcome]] = defaultdict(Counter)
        self.stamps: Counter[StampSource] = Counter()
        self.slots: dict[str, list[int]] = defaultdict(list)
        self.missed = 0
        ledger = SqliteLedger(system.folder / "hub" / "ledger.db")
        try:
            (agent,) = ledger.agents()
            for batch, _ in ledger.placed_batches(agent.agent_id):
                for record in decode_body(batch.body, batch.header.raw_len):
                    self._take(record)
        finally:
            ledger.close()

    def _take(self, record: Any) -> None:
        if isinstance(record, Gap):
            self.missed += record.count or 0
        elif isinstance(record, Train):
            assert (record.target, record.probe) == ("cpe", "icmp")
            self.rows[record.link].update(record.outcome)
            self.stamps.update(record.stamp)
            first = record.first_seq
            self.slots[record.link] += range(first, first + len(record))


def test_a_thousand_cpes_are_probed_from_outside_and_every_packet_is_in_the_ledger(
    make_system: Callable[..., Any],
) -> None:
    with pair(hub_in_root=True) as net:
        cpes = net.lab.space("cpes")
        routes = ("10.99.0.0/22 via 10.98.0.2",)
        net.lab.cable(
            End(space=net.node, device="cpe0", addresses=("10.98.0.1/30",), routes=routes),
            End(space=cpes, device="wan0", addresses=("10.98.0.2/30",)),
        )
        # All are addresses of one machine, and one of them answers nobody.
        cpes.ip(
            "route add local 10.99.0.0/22 dev lo",
            f"route add blackhole {address(DEAD)} table local",
        )
        system = make_system(address=net.hub_address)
        system.agent_settings["rhythm"] = RHYTHM
        places = [
            {"id": f"n{k}", "name": "-", "kind": "desa", "district": "-"} for k in range(CPES)
        ]
        links = [
            {
                "id": f"l{k}",
                "node": f"n{k}",
                "provider": "-",
                "medium": "-",
                "pop": "-",
                "cpe_address": address(k),
            }
            for k in range(CPES)
        ]
        hub = {"id": "noc", "name": "NOC", "kind": "hub", "district": "-"}
        system.inventory([hub, *places], links)
        system.start_collector()
        system.join(net.node.argv)
        system.start_agent(net.node.argv)
        time.sleep(MEASURE_S)
        assert system.stop_agent() == 0
        system.empty(net.node.argv)
        assert system.stop_collector() == 0
        sent, answered = counted(net.node, "OutType8"), counted(cpes, "OutType0")

    proof, found = system.prove(), Recount(system)
    assert (proof.repeats, proof.holes) == (0, 0)
    assert set(found.rows) == {f"l{k}" for k in range(CPES)}
    dead = found.rows.pop(f"l{DEAD}")
    assert set(dead) <= {Outcome.TIMEOUT, Outcome.ABORTED}
    alive: Counter[Outcome] = sum(found.rows.values(), Counter())
    # What the kernels count as sent and answered is in the ledger, to the packet.
    assert set(alive) <= {Outcome.OK, Outcome.ABORTED}
    assert alive.total() + dead.total() == sent
    assert alive.total() == answered
    assert sent >= CPES * (MEASURE_S - 10)
    # One dead CPE takes nothing from the others: where this machine kept up, each had its slots.
    most = max(len(slots) for slots in found.slots.values())
    assert sum(most - len(slots) for slots in found.slots.values()) <= found.missed + 2 * CPES
    assert found.stamps[StampSource.KERNEL] >= 0.9 * alive[Outcome.OK]
