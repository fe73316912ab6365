"""The parts of an audit, opened for one command on a ledger that a collector may be writing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from collector import contracts
from collector.ledger.audits import AuditStore
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import OutageStore
from collector.ledger.sqlite import SqliteLedger
from collector.report.gather import AuditMaker
from collector.report.issue import AuditDesk
from collector.settings import Located
from runtime.clock import SECOND, SystemClock


class Opened(NamedTuple):
    """What a command works with."""

    desk: AuditDesk
    ledger: SqliteLedger


@contextmanager
def opened(located: Located) -> Iterator[Opened]:
    """Raises SettingsError or LedgerError."""
    settings = located.settings
    # As the running collector does: a plan without rates takes them from the contract.
    promised = contracts.read_all(
        located.path(settings.nodes_file),
        located.path(settings.links_file),
        located.contracts_file,
        SystemClock().wall_ns() / SECOND,
    )
    ledger = SqliteLedger(located.data_dir / "ledger.db")
    try:
        derived = DerivedStore(ledger)
        behind = derived.behind()
        if behind:
            sys.stderr.write(
                f"note: {behind} batches are not judged yet: the running collector does that\n"
            )
        maker = AuditMaker(ledger, derived, OutageStore(ledger), lambda: promised)
        desk = AuditDesk(maker, AuditStore(ledger), settings.audit.freeze_after_days)
        yield Opened(desk, ledger)
    finally:
        ledger.close()
