"""Verdicts on the terminal, out of the ledger, whether the collector runs or not."""

import sys
from pathlib import Path
from typing import NamedTuple

from collector import contracts, inventory, tables
from collector.audit import words
from collector.audit.phrases import Language
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.ledger.verdicts import VerdictStore
from collector.settings import read
from collector.settle.auditor import Gathering
from collector.verdict_answers import Given, VerdictAnswers


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
    located = read(config)
    settings = located.settings
    links_file = located.path(settings.links_file)
    both = inventory.read(located.path(settings.nodes_file), links_file)
    promised = contracts.read(located.contracts_file, both)
    if wanted.link is not None and wanted.link not in both.links:
        known = ", ".join(sorted(both.links)) or "none"
        raise ValueError(f"{links_file}: no link {wanted.link!r}; known: {known}")
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        gathering = Gathering(
            ledger, DerivedStore(ledger), OutageStore(ledger), lambda: (both, promised)
        )
        answers = VerdictAnswers(VerdictStore(ledger), gathering)
        _print(answers.verdicts(wanted.window, wanted.link), answers, wanted)
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
