"""The hub's disk dies after the last backup: nothing that the agents still keep is missing."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.endtoend.conftest import wait_for


def collector(system: Any, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "collector", *words, "--config.file", "collector.yaml"],
        cwd=system.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def settled(system: Any) -> float:
    """Until when the evidence of the link is whole, as seconds since 1970; 0 where none is."""
    try:
        return float(system.metric("pantau_link_evidence_settled_timestamp_seconds"))
    except (KeyError, OSError):
        return 0.0


def test_a_restored_hub_gets_from_its_agents_what_the_copy_lacks(
    system: Any, make_system: Callable[..., Any]
) -> None:
    wait_for(lambda: settled(system) > 0, 30, lambda: system.log("collector"))
    copied = collector(system, "backup", "copies").partition(":")[0]
    at_copy = settled(system)
    wait_for(lambda: settled(system) > at_copy + 3, 40, lambda: system.log("collector"))
    lost_after = settled(system)
    assert system.stop_collector() == 0

    shutil.move(system.folder / "hub", system.folder / "hub.broken")
    told = collector(system, "restore", copied)
    assert "are back" in told
    system.start_collector()
    wait_for(lambda: settled(system) > lost_after + 1, 60, lambda: system.log("agent"))
    assert "have lost" not in system.log("collector")
    assert "batches go again" in system.log("agent")

    system.stop_agent()
    system.empty()
    assert system.stop_collector() == 0
    proof = system.prove()
    assert proof.observations > 0 and (proof.repeats, proof.holes) == (0, 0)
