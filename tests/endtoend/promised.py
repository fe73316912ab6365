"""Contracts of the end-to-end tests: the one place that writes contracts.yaml."""

from collections.abc import Iterable
from typing import Any, NamedTuple

TARGET = 0.995
RATE = {"down_bps": 100_000_000, "up_bps": 100_000_000}


class Promise(NamedTuple):
    """What differs between them."""

    link: str
    provider: str
    pop: str
    first_day: str
    zone: str = "WIB"


def contracts(promises: Iterable[Promise]) -> dict[str, Any]:
    """contracts.yaml: the CPE is the provider's, site power is excluded where it is proved, the
    Internet is included, maintenance announced an hour before is excluded."""
    usual = {
        "signed_on": "2026-01-01",
        "availability_target": TARGET,
        "cir": {"layer": "ip", "domestic": RATE},
        "exclusions": {"maintenance": {"notice_s": 3600}, "site_power": {}},
        "restitution": {"rule": "LIN"},
        "fee_rupiah": 2_500_000,
    }
    rows = [
        {"template": "usual", "reference": f"K-{one.link}", **one._asdict()} for one in promises
    ]
    return {"templates": {"usual": usual}, "contracts": rows}
