"""Audit documents in a bundle: whoever makes them says here how they are made and made anew.

An audit is a pure function of what is in the bundle, so its maker is asked twice: for the ledger
when a bundle is written, and for what was recomputed when it is verified. The bytes have to be the
same.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from collector.bundle.statement import Stores, Wanted
from collector.contracts import Contracts
from collector.inventory import Inventory
from collector.maintenance import Entry
from collector.tickets import Revision


class Ground(NamedTuple):
    """What an audit may be made of."""

    stores: Stores
    wanted: Wanted
    inventory: Inventory
    """Of a bundle: the link and its node, and no others."""
    contracts: Contracts
    """Of a bundle: those of the link."""
    maintenance: list[Entry]
    """Those that are about the link."""
    tickets: list[Revision]
    """Those of the link."""


Maker = Callable[[Ground], Mapping[str, bytes]]
"""Audit documents by file name, such as `2026-10.json`; the same ground gives the same bytes."""

MAKERS: tuple[Maker, ...] = ()
"""All that make audit documents for bundles."""


def made(ground: Ground, makers: tuple[Maker, ...] | None = None) -> dict[str, bytes]:
    """The documents of all makers, by file name."""
    found: dict[str, bytes] = {}
    for maker in MAKERS if makers is None else makers:
        found.update(maker(ground))
    return dict(sorted(found.items()))
