import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.report.gather import Wanted
from collector.report.record import Audit
from tests.collector.report.scene import NOW_S, June


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger's file, made once and closed: to be copied."""
    file = tmp_path_factory.mktemp("june") / "ledger.db"
    made = June(file)
    made.fill()
    made.close()
    return file


@pytest.fixture
def own(filled: Path, tmp_path: Path) -> Iterator[June]:
    """A ledger of one's own."""
    found = June(Path(shutil.copy(filled, tmp_path / "ledger.db")))
    yield found
    found.close()


@pytest.fixture(scope="session")
def june(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[June]:
    """One for all that do not write."""
    file = shutil.copy(filled, tmp_path_factory.mktemp("read") / "ledger.db")
    found = June(Path(file))
    yield found
    found.close()


@pytest.fixture(scope="session")
def audit(june: June) -> Audit:
    return june.maker.audit(Wanted("2026-06"), NOW_S)
