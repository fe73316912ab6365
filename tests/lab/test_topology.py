"""The ready-made networks are what they say, and leave nothing behind."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.lab.build import LabSettings
from runtime.lab.emulator import EmulatorError
from runtime.lab.link import BOTH, DOWN, UP, Knobs
from runtime.lab.namespaces import Namespace, NamespaceError, existing, sweep
from runtime.lab.topology import Province, cable, pair, province, star
from tests.lab.flow import Flow, run_flow
from tests.lab.watch import Watch

pytestmark = pytest.mark.lab


def reaches(space: Namespace, address: str) -> bool:
    return space.run(["ping", "-q", "-c1", "-W1", address], check=False).returncode == 0


def test_a_hub_in_the_root_namespace_is_reached_and_goes_away(watch: Watch) -> None:
    with star(("north", "south"), hub_in_root=True) as net:
        watch.lab(net.lab)
        assert net.hub.is_root
        assert re.fullmatch(r"198\.18\.\d+\.1", net.hub_address)
        for site in net.sites.values():
            assert reaches(site.node, net.hub_address)
            site.link.set(BOTH, Knobs(delay_ms=1))
            assert reaches(net.hub, site.node_address)
        with pair(hub_in_root=True) as second:
            assert second.hub_address != net.hub_address
            assert reaches(second.node, second.hub_address)
        child = net.hub.popen(["sleep", "100"])
    assert child.returncode == -signal.SIGKILL
    assert watch.left() == set()


def test_the_links_of_a_star_are_independent(watch: Watch) -> None:
    with star([f"n{index}" for index in range(12)]) as net:
        watch.lab(net.lab)
        net.sites["n3"].link.down()
        for name, site in net.sites.items():
            assert reaches(site.node, net.hub_address) is (name != "n3")
        assert net.sites["n4"].link.count(UP).in_packets == 1
        assert net.sites["n3"].link.count(UP).down == 1
    assert watch.left() == set()


def test_a_cable_has_no_emulator() -> None:
    with cable() as net:
        flow = Flow(sender=net.a, receiver=net.b, address=net.b_address, count=100, pps=2000)
        delays = run_flow(flow).delays_ms()
        assert len(delays) == 100
        assert sorted(delays)[50] < 0.2
        assert set(net.lab.links) == set()


@pytest.fixture(scope="module")
def net() -> Iterator[Province]:
    with province({"site1": "pop1", "site2": "pop1", "site3": "pop2"}) as made:
        yield made


def hop(net: Province, site: str, ttl: int) -> str:
    """Who answers a packet with this many hops to live."""
    argv = ["ping", "-n", "-c1", "-W1", "-t", str(ttl), net.hub_address]
    text = net.sites[site].node.run(argv, check=False).stdout
    match = re.search(r"[Ff]rom ([\d.]+)", text)
    return match[1] if match else text


def test_the_way_to_the_hub_leads_through_cpe_and_pop(net: Province) -> None:
    site = net.sites["site3"]
    assert hop(net, "site3", 1) == site.cpe_address
    assert hop(net, "site3", 2) == net.pops["pop2"].address
    assert hop(net, "site3", 3) == net.hub_address
    assert reaches(site.node, net.anchor_address)
    assert reaches(net.hub, site.node_address)
    assert site.cpe_wan_address is not None
    assert reaches(net.hub, site.cpe_wan_address)


def test_a_cut_access_link_takes_one_site(net: Province) -> None:
    net.sites["site1"].link.down()
    assert not reaches(net.sites["site1"].node, net.hub_address)
    assert reaches(net.sites["site1"].node, str(net.sites["site1"].cpe_address))
    assert reaches(net.sites["site2"].node, net.hub_address)
    net.sites["site1"].link.up()
    assert reaches(net.sites["site1"].node, net.hub_address)


def test_a_cut_core_link_takes_the_pop_but_not_the_anchor(net: Province) -> None:
    net.pops["pop1"].core.down()
    assert not reaches(net.sites["site2"].node, net.hub_address)
    assert reaches(net.sites["site2"].node, net.anchor_address)
    assert reaches(net.sites["site3"].node, net.hub_address)
    net.pops["pop1"].core.up()


def test_a_dead_anchor_takes_only_itself(net: Province) -> None:
    net.pops["pop1"].anchor.down()
    assert not reaches(net.sites["site1"].node, net.anchor_address)
    assert reaches(net.sites["site1"].node, net.hub_address)
    net.pops["pop1"].anchor.up()


def test_power_off_kills_everything_at_once_and_silences_the_site(net: Province) -> None:
    site = net.sites["site1"]
    children = [site.node.popen(["sh", "-c", "sleep 100 & sleep 100"]) for _ in range(3)]
    spared = net.sites["site2"].node.popen(["sleep", "100"])
    stamp = site.power_off()
    assert site.node.pids() == []
    assert [child.returncode for child in children] == [-signal.SIGKILL] * 3
    assert spared.poll() is None
    assert not reaches(net.hub, str(site.cpe_wan_address))
    back = site.power_on()
    assert reaches(net.hub, str(site.cpe_wan_address))
    assert net.lab.truth().cuts("site1", UP, "power") == [(stamp, back)]
    assert site.link.count(DOWN).power == 1
    net.sites["site2"].node.kill()


def test_an_exception_leaves_nothing_behind(watch: Watch) -> None:
    with pytest.raises(KeyboardInterrupt), pair() as net:
        watch.lab(net.lab)
        child = net.node.popen(["sleep", "100"])
        raise KeyboardInterrupt
    assert child.returncode == -signal.SIGKILL
    assert watch.left() == set()


def test_a_failed_build_leaves_nothing_behind(watch: Watch) -> None:
    with pytest.raises(NamespaceError), star(("same", "same")):
        pass
    assert watch.left() == set()


def test_the_emulator_s_death_is_noticed(watch: Watch) -> None:
    with pair() as net:
        watch.lab(net.lab)
        os.kill(net.lab.emulator.pid, signal.SIGKILL)
        with pytest.raises(EmulatorError, match=r"gone|reset|pipe"):
            net.link.down()
    assert watch.left() == set()


OWNER = """
    import sys
    sys.path.insert(0, {root!r})
    from runtime.lab.topology import pair
    with pair() as net:
        net.node.popen(["sleep", "100"])
        print(net.lab.run.prefix, flush=True)
        sys.stdin.read()
"""


def test_what_a_killed_owner_left_is_swept_and_the_living_are_spared(
    watch: Watch,
) -> None:
    root = str(Path(__file__).parents[2])
    program = textwrap.dedent(OWNER.format(root=root))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        prefix = owner.stdout.readline().decode().strip()
        left = [name for name in existing() if name.startswith(prefix)]
        watch.prefixes.add(prefix)
        watch.inodes = {Path("/run/netns", name).stat().st_ino for name in left}
        assert not {*left} & {*sweep()}
        assert len(left) == 3
        owner.kill()
    swept = sweep()
    assert sorted(name.removeprefix(prefix) for name in swept if name.startswith(prefix)) == [
        "-hub",
        "-middle",
        "-node1",
    ]
    assert watch.left() == set()


def test_the_logs_stay_where_they_were_asked_for(tmp_path: Path) -> None:
    with pair(settings=LabSettings(directory=tmp_path / "logs")):
        pass
    assert (tmp_path / "logs" / "truth.jsonl").stat().st_size > 0


@pytest.mark.parametrize("mtu", [575, 9217])
def test_an_mtu_the_emulator_cannot_carry_is_refused(mtu: int) -> None:
    with pytest.raises(ValueError, match="mtu"), pair(settings=LabSettings(mtu=mtu)):
        pass


def test_jumbo_frames_pass() -> None:
    with pair(settings=LabSettings(mtu=9000)) as net:
        argv = ["ping", "-q", "-c1", "-W1", "-M", "do", "-s", str(9000 - 28), net.hub_address]
        assert net.node.run(argv).returncode == 0


def test_forty_links_live_in_one_emulator(watch: Watch) -> None:
    with star([f"n{index}" for index in range(40)]) as net:
        watch.lab(net.lab)
        assert reaches(net.sites["n39"].node, net.hub_address)
    assert watch.left() == set()
