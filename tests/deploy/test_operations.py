"""docs/operations.md, word by word: its `sh` blocks from top to bottom, on one machine that is hub
and node."""

import json
import re
from pathlib import Path

import pytest

from collector.demo.proof import prove
from tests.deploy.conftest import PROGRAMS
from tests.deploy.machine import ROOT, Machine

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
FOUND = "pantau-collector links --json | jq -e '.[] | select(.link == \"sukamaju-radio\")'"


def settled_s(machine: Machine) -> float:
    """Until when the evidence of the node's link is whole; 0 where there is none."""
    told = json.loads(machine.run(FOUND).stdout)
    return float(told["evidence_settled_s"] or 0)


class Reader:
    """An operator with the document in hand."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self._token = machine, ""

    def follow(self, block: str) -> None:
        """Type a block; what it asks for is there to be pasted."""
        # The machine has no network to get packages by; they are those of this environment.
        typed = block.replace("deploy/install.sh", f"deploy/install.sh --programs {PROGRAMS}")
        stdin = "secret\n" if "smtp-password" in block else self._token
        done = self.machine.run(typed, stdin=stdin)
        if "invite" in block:
            self._token = done.stdout


def test_blocks_are_of_three_kinds_and_most_are_run() -> None:
    kinds = [kind for kind, _ in BLOCKS]
    assert set(kinds) == {"sh", "console", "ini"}
    assert kinds.count("sh") > kinds.count("console")


def test_every_file_and_every_link_of_the_document_is_there() -> None:
    for name in re.findall(r"\]\(([\w./-]+)\)", DOCUMENT):
        assert (ROOT / "docs" / name).exists(), name
    for name in re.findall(r"`((?:deploy|tests|configs)/[\w./-]+)`", DOCUMENT):
        assert (ROOT / name).exists(), name
    shipped = "/opt/pantau/collector/current/share/"
    for name in re.findall(rf"{shipped}([\w./-]+)", DOCUMENT):
        assert (ROOT / name.rstrip("/.")).exists(), name


@pytest.mark.timeout(400)
@pytest.mark.systemd
@pytest.mark.lab
@pytest.mark.prometheus
@pytest.mark.alertmanager
def test_an_operator_who_follows_it_word_by_word_gets_there(bare: Machine, tmp_path: Path) -> None:
    reader, typed = Reader(bare), [block for kind, block in BLOCKS if kind == "sh"]
    # So that evidence comes within a test's patience; nothing else is not as it is shipped.
    bare.run(
        "mkdir -p /etc/pantau; printf 'rhythm: {seal_s: 1, commit_s: 0.5, status_s: 1}\\n"
        "uplink: {rejoin_spread_s: 0}\\n' >/etc/pantau/agent.yaml"
    )
    for block in typed:
        if "pantau-collector outages" in block:
            # What was installed above is at work.
            bare.until(f"{FOUND} | jq -e 'select(.state == \"up\" and .evidence_settled_s)'")
            up = "http://127.0.0.1:9090/api/v1/query?query=up==1"
            bare.until(f"curl -sf '{up}' | jq -e '.data.result | length >= 1'")
            bare.until("curl -sf http://127.0.0.1:9093/-/ready")
        if "pantau-collector restore" in block:
            before_s = settled_s(bare)
        if "deploy/install.sh collector\ndeploy" in block:
            ran = bare.run("systemctl status pantau-agent pantau-collector").stdout
        reader.follow(block)
    # The copy lacked what came after it; the agent has sent it again.
    bare.until(
        f"{FOUND} | jq -e 'select(.evidence_settled_s > {before_s}"
        " and .evidence_missing_batches == 0)'"
    )
    assert bare.run("systemctl status pantau-agent pantau-collector").stdout != ran
    # Upgraded: the release before is beside the new one, and settings are the operator's.
    for role in ("collector", "agent"):
        kept = bare.run(f"ls /opt/pantau/{role}/releases").stdout.split()
        assert len(kept) == 2
        current = bare.run(f"readlink /opt/pantau/{role}/current").stdout.strip()
        assert current == f"releases/{max(kept)}"
        assert bare.run(f"systemctl is-active pantau-{role}").stdout == "active\n"
    secret = bare.path("/etc/pantau/secrets/smtp-password")
    assert secret.read_text() == "secret\n" and secret.stat().st_mode & 0o777 == 0o640
    assert bare.path("/var/lib/pantau-collector.broken/ledger.db").exists()
    # Every packet of the node is in the ledger once, though the hub lost its disk meanwhile.
    bare.run("systemctl stop pantau-agent; systemctl stop pantau-collector")
    copied = tmp_path / "ledger.db"
    copied.write_bytes(bare.path("/var/lib/pantau-collector/ledger.db").read_bytes())
    proof = prove(copied)
    assert proof.observations > 20 and (proof.repeats, proof.holes) == (0, 0)
