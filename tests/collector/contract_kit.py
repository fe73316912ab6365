"""A contract for tests, which differs in what a test says."""

from datetime import date
from typing import Any

from collector.audit.calendar import Zone
from collector.contracts import Cir, Contract, Layer, Rates
from collector.restitution import Restitution, Rule


def contract(**changes: Any) -> Contract:
    fields: dict[str, Any] = {
        "reference": "K-1",
        "signed_on": date(2025, 12, 1),
        "link": "l1",
        "provider": "P",
        "pop": "POP-1",
        "first_day": date(2026, 1, 1),
        "last_day": date(2026, 12, 31),
        "zone": Zone.WIB,
        "availability_target": 0.995,
        "cir": Cir(layer=Layer.IP, domestic=Rates(down_bps=10_000_000, up_bps=10_000_000)),
        "restitution": Restitution(rule=Rule.LIN),
        "fee_rupiah": 2_500_000,
    }
    return Contract(**fields | changes)
