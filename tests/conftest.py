"""What a test needs of the machine is told by its marks; without it, the test is skipped."""

import logging
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings

from runtime.lab.build import available

# Tests do not time things: a busy machine is no failure.
settings.register_profile("pantau", deadline=None)
settings.load_profile("pantau")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that sets up logging in this process must not silence the tests after it."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") and (reason := available()) is not None:
        pytest.skip(reason)
    for mark, program in (
        ("prometheus", "prometheus"),
        ("alertmanager", "prometheus-alertmanager"),
        ("systemd", "systemd-analyze"),
        ("victoria", "victoria-metrics"),
        ("chromium", "chromium"),
    ):
        if item.get_closest_marker(mark) and shutil.which(program) is None:
            pytest.skip(f"needs the Debian package {program}")
