"""A machine of its own for a module's tests, with both programs installed there."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.lab.build import available
from tests.deploy.machine import Machine, machine

PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Nothing of ours is there yet."""
    if (reason := available()) is not None:
        pytest.skip(reason)
    if "overlay" not in Path("/proc/filesystems").read_text():
        pytest.skip("needs the kernel's overlay file system")
    with machine(tmp_path_factory.mktemp("bare")) as one:
        one.run("ip address add 203.0.113.10/32 dev lo; echo 127.0.0.1 hub.example >>/etc/hosts")
        yield one


@pytest.fixture(scope="module")
def installed(bare: Machine) -> Machine:
    """By deploy/install.sh, with this environment's programs."""
    for role in ("collector", "agent"):
        bare.run(f"deploy/install.sh {role} --programs {PROGRAMS}")
    return bare
