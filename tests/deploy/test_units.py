"""The units: valid, hardened, and not so hardened that the programs cannot do their work."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from agent.socket_options import _RECEIVE_BUFFER_BYTES
from collector.reflector import _RECEIVE_BUFFER
from runtime.load.options import _RECEIVE_BYTES
from tests.deploy.machine import ROOT, Machine
from tests.deploy.units import last, parse

pytestmark = pytest.mark.systemd
UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(one.stem for one in UNITS.glob("*.service"))
EXPOSURE = {"pantau-agent": 2.0, "pantau-collector": 2.2, "pantau-backup": 0.9}
"""Of 10, by `systemd-analyze security`; no more than these."""
LINKS = """
links:
  - id: l1
    node: opd-diskominfo
    provider: Penyedia A
    medium: fibre
    pop: POP-1
    throughput: {zone: WIB, down_mbps: 20, up_mbps: 20, layer: ip}
    targets:
      - {name: icmp, probe: icmp, role: gateway, address: 203.0.113.10}
      - {name: path, probe: path, role: hub, address: 203.0.113.10, interval_s: 3}
      - {name: router, probe: snmp, role: gateway, address: 203.0.113.10, interval_s: 3,
         timeout_s: 2, credentials: router, device_interface: lo}
      - {name: web, probe: http, role: anchor, address: 203.0.113.10, interval_s: 3, timeout_s: 2,
         url: "http://203.0.113.10:8460/-/healthy"}
"""


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    for file in UNITS.iterdir():
        # The programs are not on this machine.
        text = file.read_text().replace("/opt/pantau/", f"{tmp_path}/")
        (tmp_path / file.name).write_text(text)
        for program in re.findall(rf"^Exec\w+=({tmp_path}\S+)", text, re.MULTILINE):
            Path(program).parent.mkdir(parents=True, exist_ok=True)
            Path(program).write_text("#!/bin/sh\n")
            Path(program).chmod(0o755)
    done = analyze("verify", *(str(tmp_path / one.name) for one in UNITS.iterdir()))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("service", SERVICES)
def test_a_unit_leaves_little_open(service: str) -> None:
    done = analyze(
        "security",
        "--offline=yes",
        f"--threshold={EXPOSURE[service] * 10:.0f}",
        str(UNITS / f"{service}.service"),
    )
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@pytest.mark.parametrize("service", ["pantau-agent", "pantau-collector"])
def test_a_unit_survives_poor_power_and_waits_for_no_network(service: str) -> None:
    unit = parse((UNITS / f"{service}.service").read_text())
    assert last(unit, "Type") == "notify" and last(unit, "WatchdogSec")
    assert (last(unit, "Restart"), last(unit, "StartLimitIntervalSec")) == ("always", "0")
    waits = " ".join(unit["After"] + unit["Wants"] + unit.get("Requires", []))
    assert "time-set.target" in unit["After"][0]
    assert "network-online" not in waits and "time-sync.target" not in waits
    assert last(unit, "User") == service == last(unit, "StateDirectory")


@pytest.mark.lab
def test_both_programs_do_all_their_work_inside_their_units_walls(installed: Machine) -> None:
    installed.path("/etc/pantau/links.yaml").write_text(LINKS)
    installed.run(
        """
        echo 'contracts: []' >/etc/pantau/contracts.yaml
        printf 'rocommunity public\n' >/run/snmpd.conf
        snmpd -C -c /run/snmpd.conf -Lf /dev/null udp:203.0.113.10:161
        printf 'version: v2c\\ncommunity: public\\n' \
          | install -m 0640 -g pantau-agent /dev/stdin /etc/pantau/credentials/router.yaml
        printf 'rhythm: {status_s: 1}\\n' >/etc/pantau/agent.yaml
        systemctl enable --now pantau-collector
        """
    )
    token = installed.run("pantau-collector invite opd-diskominfo").stdout
    installed.run(
        "pantau-agent enrol http://hub.example:8460 --token -; systemctl enable --now pantau-agent",
        stdin=token,
    )
    told = installed.until(
        "pantau-agent status --json"
        " | jq -e 'select([.targets[] | select(.rtt_median_ns != null)] | length == 5)'"
    )
    assert json.loads(told)["notes"] == [] and json.loads(told)["clock_class"] != "D"
    # Load in processes of their own at both ends; on a busy machine these find themselves unfit.
    tested = installed.run(
        "pantau-collector test opd-diskominfo --direction up --duration 1 --rate 5", check=False
    )
    assert re.search("^up: (done|unfit), [2-5]", tested.stdout), tested.stdout
    for service in ("pantau-agent", "pantau-collector"):
        state = json.loads(installed.run(f"systemctl status {service}").stdout)
        assert state["ready"] and state["beats"] >= 1, state
    # Settings that are wrong are told to who reloads, and not taken.
    installed.path("/etc/pantau/nodes.yaml").write_text("nodes: nonsense\n")
    refused = installed.run("systemctl reload pantau-collector", check=False)
    assert refused.returncode == 1 and "/etc/pantau/nodes.yaml: nodes" in refused.stderr
    assert "not taken" not in installed.logs()
    installed.run("systemctl stop pantau-agent pantau-collector")
    assert "stopped: asked to stop" in installed.logs()


@pytest.mark.lab
def test_the_kernel_takes_every_setting(installed: Machine) -> None:
    installed.run("ip link add v0 type veth peer name v1")
    done = installed.run("/lib/systemd/systemd-sysctl /usr/local/lib/sysctl.d/90-pantau.conf")
    # The size of buffers and what new interfaces begin with are not a namespace's to set.
    wrong = [one for one in done.stderr.splitlines() if not re.search("rmem_max|default", one)]
    assert wrong == []
    told = installed.run(
        "sysctl -n net.ipv4.ping_group_range net.ipv4.neigh.v0.retrans_time_ms"
    ).stdout.split()
    # Kept in ticks of the kernel's, of up to 10 ms.
    assert told[:2] == ["0", "2147483647"] and 250 <= int(told[2]) < 260
    assert Path("/proc/sys/net/ipv4/neigh/default/retrans_time_ms").exists()
    room = re.search(r"rmem_max = (\d+)", (ROOT / "deploy/sysctl.d/90-pantau.conf").read_text())
    assert room is not None and int(room[1]) >= max(
        _RECEIVE_BYTES, _RECEIVE_BUFFER, _RECEIVE_BUFFER_BYTES
    )
