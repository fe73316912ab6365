"""Bundles as the command line asks for them: from settings files to a file, and from a file to
lines."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from collector import contracts
from collector.audit.calendar import Month, Zone
from collector.audit.evidence import Span
from collector.bundle.export import Source, Written, export
from collector.bundle.given import Given
from collector.bundle.lines import Lines
from collector.bundle.proofs import Outside
from collector.bundle.verify import verify
from collector.identity import load_or_make
from collector.ledger.sqlite import SqliteLedger
from collector.settings import read
from collector.tickets import parse_time
from collector.tree.timestamp import roots_of
from runtime.clock import SECOND, SystemClock
from runtime.settings import SettingsError

Told = Callable[[str, int, int], None]
"""(what is done, pieces done, pieces there are or 0)"""


class Wanted(NamedTuple):
    """Which bundle, and where."""

    link: str
    span: Span | str
    """Or a calendar month of the link's contract, such as 2026-10."""
    file: Path


def period(start: str, end: str, zone: Zone) -> Span:
    """Of two local times; a day alone is its midnight. Raises ValueError."""
    moments = [
        parse_time(f"{one} 00:00" if re.fullmatch(r"\d{4}-\d\d-\d\d", one) else one, zone)
        for one in (start, end)
    ]
    span = Span(*moments)
    if span.length_s <= 0:
        raise ValueError(f"--to {end}: expected a moment after --from {start}")
    return span


def run(config: Path, wanted: Wanted, told: Told) -> tuple[bytes, Written]:
    """Write the bundle; also the collector's public key.

    Raises SettingsError, LedgerError, OSError or ValueError.
    """
    located, clock = read(config), SystemClock()
    promised = contracts.read_all(
        located.path(located.settings.nodes_file),
        located.path(located.settings.links_file),
        located.contracts_file,
        clock.wall_ns() / SECOND,
    )
    if wanted.link not in promised[0].links:
        raise SettingsError(
            f"{located.path(located.settings.links_file)}: no link {wanted.link!r};"
            f" known: {', '.join(sorted(promised[0].links)) or 'none'}"
        )
    span = wanted.span
    if isinstance(span, str):
        rows = promised[1].of(wanted.link)
        span = Month.parse(span, rows[0].zone if rows else Zone.WIB).span
    if wanted.file.exists():
        raise FileExistsError(f"{wanted.file} is there already; a bundle is never overwritten")
    identity = load_or_make(located.data_dir)
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        tolerance_s = located.settings.audit.ticket_tolerance_s
        source = Source(ledger, promised, identity.signing, clock, tolerance_s)
        return identity.public_key, export(source, wanted.link, span, wanted.file, told)
    finally:
        ledger.close()


def outside_of(key: bytes) -> Outside:
    """With the collector's key alone."""
    return Outside(key=key)


def outside(
    key: str | None, heads: Sequence[str], roots: Sequence[Path], audits: Sequence[Path] = ()
) -> Outside:
    """What is given on the command line. Raises ValueError or OSError."""
    return Outside(
        key=None if key is None else _hex("--key", key, 32),
        heads=tuple(_hex("--head", one, 132) for one in heads),
        roots=tuple(cert for one in roots for cert in roots_of(one.read_bytes())),
        audits=tuple(Given(one.name, one.read_bytes()) for one in audits),
    )


def _hex(option: str, text: str, length: int) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != length:
        raise ValueError(f"{option} {text!r}: expected {2 * length} hex digits")
    return data


def verify_file(file: Path, outside: Outside, told: Told) -> Lines:
    """Verify a bundle. Raises BundleError or OSError where it is none, or cannot be read."""
    done: Counter[str] = Counter()

    def progress(what: str, count: int) -> None:
        done[what] += count
        told(f"{what} (batches)" if what != "judged" else what, done[what], 0)

    with file.open("rb") as opened:
        return verify(opened, outside, progress)
