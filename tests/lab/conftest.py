"""Tests marked `lab` are skipped, with the reason, where namespaces cannot be made."""

from collections.abc import Iterator

import pytest

from runtime.lab.build import available
from runtime.lab.link import BOTH, CLEAR
from runtime.lab.topology import Pair, pair
from tests.lab.watch import Watch


@pytest.fixture(scope="module")
def module_pair() -> Iterator[Pair]:
    """One pair for all tests of a module: building it takes longer than most of them."""
    if (reason := available()) is not None:
        pytest.skip(reason)
    with pair() as net:
        yield net


@pytest.fixture
def net(module_pair: Pair) -> Pair:
    """A pair whose link is perfect."""
    module_pair.link.set(BOTH, CLEAR)
    return module_pair


@pytest.fixture
def watch() -> Watch:
    return Watch()
