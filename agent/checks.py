"""`pantau-agent check`: what will work on this box and what will not, before anything starts."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agent import identity as store
from agent.oneshot import trouble
from agent.probes import PROBES
from runtime.clock import SystemClock
from wire.instant import ClockClass
from wire.policy import Role, Target


class Finding(NamedTuple):
    """One line of the report; `fatal` where the agent cannot do its work."""

    good: bool
    text: str
    fatal: bool = False


def _identity(state_dir: Path) -> Iterator[Finding]:
    try:
        identity = store.load(state_dir)
    except store.IdentityError as error:
        yield Finding(False, str(error), fatal=True)
        return
    yield Finding(True, f"joined {identity.url} as node {identity.node}")
    policy = store.load_policy(state_dir)
    if policy is None:
        yield Finding(False, "no policy yet: the hub gives it at the next contact")
        return
    yield Finding(True, f"policy with {len(policy.targets)} targets")
    for target in policy.targets:
        if target.probe not in PROBES:
            yield Finding(False, f"target {target.name}: no probe {target.probe!r} here")


def _icmp() -> Finding:
    """Whether echo requests may be sent, found out by opening the socket."""
    target = Target(name="self", link="check", probe="icmp", role=Role.GATEWAY, address="127.0.0.1")
    problem = asyncio.run(trouble(target))
    return Finding(True, "ICMP is permitted") if problem is None else Finding(False, problem)


def _clock() -> Finding:
    quality = SystemClock().quality()
    if quality.clock_class is ClockClass.D:
        return Finding(
            False, "the clock is not synchronised: the hub's clock will place what is measured"
        )
    return Finding(True, f"clock class {quality.clock_class} ({quality.source})")


def report(state_dir: Path) -> bool:
    """Print the findings; False where the agent could not run."""
    findings = [*_identity(state_dir), _icmp(), _clock()]
    for finding in findings:
        mark = "good" if finding.good else "PROBLEM" if finding.fatal else "note"
        sys.stdout.write(f"{mark}: {finding.text}\n")
    return not any(finding.fatal for finding in findings)
