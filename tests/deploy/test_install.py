"""deploy/install.sh: what it puts where, again and again, and what it never touches."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy.conftest import PROGRAMS
from tests.deploy.machine import ROOT, Machine

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes users"),
]


def install(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "deploy" / "install.sh", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def pretend(root: Path, role: str, *words: object) -> None:
    done = install(role, "--root", root, "--programs", PROGRAMS, *words)
    assert done.returncode == 0, done.stderr


def test_help_teaches_and_a_wrong_word_is_told(tmp_path: Path) -> None:
    told = install("--help")
    assert told.returncode == 0
    for word in ("agent|collector", "--prefix", "--root", "--programs", "docs/operations.md"):
        assert word in told.stdout
    assert install().returncode == 2
    for words, said in [
        (("box",), "box: expected agent or collector"),
        (("agent", "collector"), "one of agent and collector"),
        (("agent", "--root", "here"), "expected an absolute path"),
        (("agent", "--prefix"), "--prefix: expected a folder"),
        (("agent", "--prefix", "/a b"), "letters, digits"),
        (("agent", "--root", tmp_path, "--programs", tmp_path), "no pantau-agent there"),
    ]:
        done = install(*words)
        assert done.returncode == 1 and said in done.stderr, words
    assert not list((tmp_path / "opt/pantau/agent/releases").iterdir())


def test_a_scratch_root_gets_all_a_collector_needs(tmp_path: Path) -> None:
    pretend(tmp_path, "collector", "--prefix", "/srv/pantau")
    unit = (tmp_path / "usr/local/lib/systemd/system/pantau-collector.service").read_text()
    assert "ExecStart=/srv/pantau/collector/current/bin/pantau-collector serve" in unit
    assert "/opt/pantau" not in unit
    command = tmp_path / "usr/local/bin/pantau-collector"
    assert "program=/srv/pantau/collector/current/" in command.read_text()
    assert command.stat().st_mode & 0o777 == 0o755
    assert {one.name for one in (tmp_path / "etc/pantau").glob("*.yaml")} == {
        f"{one}.yaml" for one in ("collector", "nodes", "links", "contracts")
    }
    user = next(
        line.split(":")
        for line in (tmp_path / "etc/passwd").read_text().splitlines()
        if line.startswith("pantau-collector:")
    )
    for folder in ("var/lib/pantau-collector", "var/backups/pantau"):
        told = (tmp_path / folder).stat()
        assert (told.st_uid, told.st_mode & 0o777) == (int(user[2]), 0o700)
    current = tmp_path / "srv/pantau/collector/current"
    assert (current / "bin/pantau-collector").exists()
    assert (current / "share/configs/prometheus/prometheus.yml").exists()
    assert (current / "share/docs/operations.md").exists()


@pytest.mark.lab
def test_an_upgrade_keeps_settings_and_the_release_before_and_starts_nothing(
    bare: Machine,
) -> None:
    install_it = f"deploy/install.sh collector --programs {PROGRAMS}"
    bare.run(f"{install_it}; echo '# mine' >>/etc/pantau/nodes.yaml")
    releases = []
    for _ in range(2):
        bare.run(f"sleep 1; {install_it}")
        releases.append(bare.run("readlink /opt/pantau/collector/current").stdout.strip())
    assert bare.run("tail -n 1 /etc/pantau/nodes.yaml").stdout == "# mine\n"
    kept = bare.run("cd /opt/pantau/collector; ls -d releases/*").stdout.split()
    assert kept == releases
    # A release that does not start is not gone over to.
    broken = bare.run(
        "mkdir -p /run/broken; printf '#!/bin/sh\\nexit 1\\n' >/run/broken/pantau-collector;"
        " cp /run/broken/pantau-collector /run/broken/pantau-agent;"
        " chmod 755 /run/broken/*; sleep 1; deploy/install.sh collector --programs /run/broken",
        check=False,
    )
    assert broken.returncode == 1 and "the program does not start" in broken.stderr
    kept = bare.run("cd /opt/pantau/collector; ls -d releases/*; readlink current").stdout.split()
    assert kept == [*releases, releases[-1]]
    bare.run("pantau-collector check")
    assert bare.run("systemctl is-active pantau-collector", check=False).stdout == "inactive\n"
