"""The router's counters around a test, from a real snmpd: what the gate makes of them."""

from pathlib import Path

import pytest

from agent.counters import SnmpCounters
from agent.credentials import folders
from agent.gate import cross, look
from runtime.clock import SystemClock
from tests.agent.snmp_kit import COMMUNITY, IFX, device, needs_snmpd, rows, snmpd
from tests.agent.test_plan import plan
from wire.observation import Outcome
from wire.plan import Gate
from wire.policy import Target

COUNTED = plan(gate=Gate(target="cpe"), vlan=False)


def reader(folder: Path, target: Target) -> SnmpCounters:
    place = folder / "credentials"
    place.mkdir(exist_ok=True)
    file = place / "v2c.yaml"
    file.touch(0o600)
    file.write_text(f"version: v2c\ncommunity: {COMMUNITY}\n")
    return SnmpCounters(target, SystemClock(), folders(place))


@needs_snmpd
async def test_the_users_traffic_is_read_from_a_real_device(tmp_path: Path) -> None:
    with snmpd(tmp_path) as one:
        one.show(rows())
        counters = reader(tmp_path, device(one.port))
        try:
            first = await counters.read()
            assert (first.outcome, first.counter_bits) == (Outcome.OK, 64)
            before = {"in": 2**40 + 6, "out": 2**41 + 10}
            one.show(
                rows()
                | {
                    f"{IFX}.6.2": ("counter64", before["in"] + 5_000_000),
                    f"{IFX}.10.2": ("counter64", before["out"] + 1_000_000),
                    f"{IFX}.7.2": ("counter64", 2**33 + 7 + 4_000),
                }
            )
            second = await counters.read()
        finally:
            counters.close()
    seen = cross(first, second, COUNTED)
    assert seen is not None
    seconds = (second.boot_ns - first.boot_ns) / 1e9
    assert seen.down_bits_per_s == pytest.approx(8 * (5_000_000 - 18 * 4_000) / seconds)
    assert seen.up_bits_per_s == pytest.approx(8 * 1_000_000 / seconds)
    assert look([first, second], COUNTED).cross == seen


@pytest.mark.parametrize("credentials", ["v2c", "missing"])
async def test_a_device_that_does_not_answer_is_a_reading_and_no_error(
    tmp_path: Path, credentials: str
) -> None:
    target = device(9, credentials=credentials, timeout_s=1.0)
    counters = reader(tmp_path, target)
    try:
        reading = await counters.read()
    finally:
        counters.close()
    assert reading.outcome is not Outcome.OK
    assert (reading.link, reading.target) == (target.link, target.name)
    assert look([reading], COUNTED).cross is None


def test_a_target_without_credentials_is_refused_before_a_worker_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="target cpe names no credentials"):
        reader(tmp_path, device(161, credentials=None))
