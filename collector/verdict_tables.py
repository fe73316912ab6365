"""Verdicts and tests on the terminal, out of the ledger, whether the collector runs or not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from collector import contracts, inventory, tables, verdict_answers
from collector.audit import daily, words
from collector.audit.phrases import Language
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.ledger.verdicts import VerdictStore
from collector.settings import read
from collector.settle.auditor import Gathering
from collector.verdict_answers import Given, VerdictAnswers
from runtime.clock import SECOND, SystemClock


class Wanted(NamedTuple):
    """What was asked for on the command line."""

    link: str | None
    window: str | None
    as_json: bool
    full: bool
    """All that the verdict rests on."""
    language: str


def verdicts(config: Path, wanted: Wanted) -> None:
    """Print what was said. Raises SettingsError, LedgerError or ValueError."""
    with _opened(config, wanted.link) as (answers, _):
        _print(answers.verdicts(wanted.window, wanted.link), answers, wanted)


def tests(config: Path, link: str, month: str | None, *, as_json: bool) -> None:
    """Print a month's throughput tests of a link, by default the running month's.

    As JSON what the API says; the table has times by the link's clock, and of RFC 6349 transfer
    time ratio, TCP efficiency and buffer delay. Raises SettingsError, LedgerError or ValueError.
    """
    with _opened(config, link) as (answers, gathering):
        zone = gathering.zone(link).value
        now_s = SystemClock().wall_ns() // SECOND
        rows = [verdict_answers.test(one, zone) for one in answers.tests(link, month, now_s)]
        tables.show(rows if as_json else [_line(one, zone) for one in rows], as_json=as_json)


def _line(row: dict[str, Any], zone: str) -> dict[str, Any]:
    """A test in a line of the terminal, related figures in one cell."""

    def told(name: str, form: str, unit: float = 1) -> str:
        return "" if row[name] is None else form.format(row[name] / unit)

    at = datetime.fromtimestamp(row["start_s"], daily.zone(zone))
    tcp = [
        told("tcp_transfer_time_ratio", "{:.2f}"),
        told("tcp_efficiency_ratio", "{:.1%}"),
        told("buffer_delay_ratio", "{:.0%}"),
    ]
    rates = [
        told("achieved_bits_per_s", "{:.4g}", 1e6),
        told("expected_bits_per_s", "of {:.4g}", 1e6),
    ]
    return {
        f"when {zone}": f"{at:%d %H:%M}",
        "test": f"{row['direction']} {row['method']}",
        "Mbit/s": " ".join(rates).strip(),
        "y": told("attainment", "{:.3f}"),
        "lost": told("loss_ratio", "{:.2%}"),
        "out of order": told("reordering_ratio", "{:.2%}"),
        "RTT rise": f"{told('rtt_rise_s', '{:.1f} ms', 1e-3)} {row['bufferbloat'] or ''}".strip(),
        "PDV": told("pdv_s", "{:.1f} ms", 1e-3),
        "RPM": told("rpm", "{:.0f}"),
        "RFC 6349": " ".join(tcp).strip(),
        "counts": "yes" if row["counts"] else row["reason"].replace("_", " "),
    }


@contextmanager
def _opened(config: Path, link: str | None) -> Iterator[tuple[VerdictAnswers, Gathering]]:
    """What the ledger knows. Raises SettingsError, LedgerError, and ValueError for an unknown
    link."""
    located = read(config)
    settings = located.settings
    links_file = located.path(settings.links_file)
    both = inventory.read(located.path(settings.nodes_file), links_file)
    promised = contracts.read(located.contracts_file, both)
    if link is not None and link not in both.links:
        known = ", ".join(sorted(both.links)) or "none"
        raise ValueError(f"{links_file}: no link {link!r}; known: {known}")
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        gathering = Gathering(
            ledger, DerivedStore(ledger), OutageStore(ledger), lambda: (both, promised)
        )
        yield VerdictAnswers(VerdictStore(ledger), gathering), gathering
    finally:
        ledger.close()


def _print(given: list[Given], answers: VerdictAnswers, wanted: Wanted) -> None:
    language = Language(wanted.language)
    if wanted.as_json:
        rows = [answers.whole(one, language) for one in given]
        tables.show(rows, as_json=True)
        return
    if not given:
        looked = answers.until(wanted.window)
        sys.stdout.write(
            "no look yet: the running collector takes one each day\n"
            if looked is None
            else f"the look up to {looked}: no tests of a link with a contract\n"
        )
        return
    tell = words.explain if wanted.full else words.summary
    sys.stdout.write("\n".join(tell(one.kept.verdict, language) for one in given))
