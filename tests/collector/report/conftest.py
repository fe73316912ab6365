from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.report.gather import Wanted
from collector.report.record import Audit
from tests.collector.report.scene import NOW_S, June


@pytest.fixture(scope="session")
def june(tmp_path_factory: pytest.TempPathFactory) -> Iterator[June]:
    """Made once: nothing that uses it may write to it."""
    found = June(tmp_path_factory.mktemp("june") / "ledger.db")
    found.fill()
    yield found
    found.close()


@pytest.fixture(scope="session")
def audit(june: June) -> Audit:
    return june.maker.audit(Wanted("2026-06"), NOW_S)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[June]:
    """One of its own for a test that writes."""
    found = June(tmp_path / "ledger.db")
    found.fill()
    yield found
    found.close()
