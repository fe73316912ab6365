"""A district with all that a bundle has to carry, and its bundles."""

import io
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.audit.calendar import Zone
from collector.audit.evidence import Span
from collector.bundle.export import Source, Written, export
from collector.bundle.lines import Lines
from collector.bundle.proofs import Outside
from collector.bundle.verify import verify
from collector.contracts import Contracts
from collector.maintenance import Kind, Notice, Recorded, Scope
from collector.tickets import Import, Ticket
from collector.tree.service import World, bring_up
from collector.tree.store import TreeStore
from runtime.clock import SECOND
from runtime.testing import FakeClock
from tests.collector.settle.district import T0, District, Site, lost

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
UNTIL_S = 4800
SPAN = Span(T0 + 600, T0 + 4500)
CUT = lost((2000, 2090))
CORE = lost((2500, 2620))
BOTH = lost((2000, 2090), (2500, 2620))
SITES = (
    Site("a", "P1", hub=BOTH, anchor=BOTH),
    *(Site(f"p{k}", "P1", hub=CORE, anchor=CORE) for k in range(2)),
    Site("q0", "P2"),
    Site("z", "P1", off=((3100, 3500),), cpe_boots=(-1_000_000, 3495)),
)
WHO = Recorded("Sari", "sari", (T0 - 9000) * SECOND)


class Made(NamedTuple):
    """A district whose ledger was judged, and how to write bundles of it."""

    district: District
    source: Source


def clock_at(second: int) -> FakeClock:
    return FakeClock(boot_ns=second * SECOND, wall_ns=(T0 + second) * SECOND)


def made(
    folder: Path,
    sites: tuple[Site, ...] = SITES,
    until_s: int = UNTIL_S,
    *,
    district: District | None = None,
    **terms: object,
) -> Made:
    """All batches taken in two parts, with a head after each; of a `district` that is made, all
    else is told by it."""
    if district is None:
        district = District(folder / "ledger.db", sites, until_s, **terms)
    sites, until_s = tuple(district.sites), district.until_s
    contracts = Contracts(tuple(one for site in sites for one in district.contracts.of(site.name)))
    source = Source(district.ledger, (district.inventory, contracts), KEY, clock_at(until_s + 600))
    registers = district.ledger.registers
    registers.add_maintenance(
        Notice(
            Scope(pop="P1"),
            T0 + 3100,
            T0 + 3400,
            Zone.WIB,
            Kind.PLANNED,
            T0 - 900_000,
            "Budi",
            "splicing",
            "letter 4",
        ),
        WHO,
    )
    moved = registers.add_maintenance(
        Notice(
            Scope("a"),
            T0 + 2000,
            T0 + 2100,
            Zone.WIB,
            Kind.PLANNED,
            T0 - 900_000,
            "Budi",
            "moved later",
            None,
        ),
        WHO,
    )
    registers.cancel_maintenance(moved.id, "moved", WHO)
    registers.import_tickets(
        Import(0, "oct.csv", b"d" * 32, "P", Zone.WIB, 2, WHO),
        (
            Ticket("P", "T1", "a", T0 + 2000, T0 + 2100, "cut"),
            Ticket("P", "T2", "q0", T0 + 2000, T0 + 2100, "other"),
        ),
    )
    half = [one for one in district.batches if one.header.last_boot_ns < until_s // 2 * SECOND]
    later = {one.digest for one in half}
    district.take(half, until_s)
    sign(source, until_s // 2)
    district.take([one for one in district.batches if one.digest not in later], until_s)
    sign(source, until_s)
    return Made(district, source)


def sign(source: Source, second: int) -> bytes:
    """A tree head over all that is there, in the second after T0; its bytes."""
    tree = TreeStore(source.ledger)
    wall_ns = (T0 + second) * SECOND
    world = World(*source.promised, source.ledger.agents())
    for _ in bring_up(tree, world, wall_ns):
        continue
    return tree.sign(KEY, wall_ns).data


def bundle(one: Made, file: Path, link: str = "a", span: Span = SPAN) -> Written:
    return export(one.source, link, span, file)


def checked(data: bytes, outside: Outside | None = None) -> Lines:
    return verify(io.BytesIO(data), outside or Outside(key=PUBLIC))
