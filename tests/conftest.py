"""What a test needs of the machine is told by its marks; without it, the test is skipped."""

import shutil

import pytest

from runtime.lab.build import available


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") and (reason := available()) is not None:
        pytest.skip(reason)
    if item.get_closest_marker("prometheus") and shutil.which("prometheus") is None:
        pytest.skip("needs the Debian package prometheus")
