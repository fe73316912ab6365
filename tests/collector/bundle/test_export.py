"""What is in a bundle, and that it is the same whenever it is written."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from collector.audit.evidence import Span
from collector.audit.states import EvidenceClass
from collector.bundle import documents as d
from collector.bundle.export import Source, export
from collector.bundle.lines import Finding
from collector.bundle.proofs import Outside
from collector.bundle.verify import verify
from collector.contracts import Contracts, Exclusions, MaintenanceRule
from collector.inventory import Inventory, Node, NodeKind
from collector.ledger import LedgerError
from collector.reading import Scope, read
from collector.settle.derive import Speaker
from collector.tree import timestamp
from collector.tree.store import TreeStore
from runtime.clock import SECOND
from tests.collector.bundle import forge
from tests.collector.bundle.kit import (
    KEY,
    PUBLIC,
    SPAN,
    UNTIL_S,
    Made,
    bundle,
    checked,
    clock_at,
    made,
)
from tests.collector.kit import Box, heartbeat, train
from tests.collector.settle.district import T0, District, Site, lost
from tests.collector.tree import authority
from wire.journal import Anchor
from wire.observation import Outcome
from wire.policy import Role


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    made_one = made(tmp_path_factory.mktemp("district"))
    yield made_one
    made_one.district.close()


def against(data: bytes) -> list[str]:
    return [f"{x.check}: {x.finding}: {x.text}" for x in checked(data).all if not x.finding.good]


def test_every_links_bundle_verifies(one: Made, tmp_path: Path) -> None:
    causes = set()
    for site in one.district.sites:
        file = tmp_path / f"{site.name}.tar"
        bundle(one, file, site.name)
        assert against(file.read_bytes()) == [], site.name
        said = msgspec.json.decode(forge.members(file.read_bytes())[d.SAID])
        causes |= {outage["cause"] for outage in said["outages"]}
    assert causes >= {"access_link", "provider_core", "site_power"}


def test_the_same_moment_gives_the_same_bytes(one: Made, tmp_path: Path) -> None:
    bundle(one, tmp_path / "1.tar")
    first = (tmp_path / "1.tar").read_bytes()
    assert forge.packed(forge.members(first)) == first
    head = TreeStore(one.source.ledger).head()
    bundle(one, tmp_path / "2.tar")
    second = forge.members((tmp_path / "2.tar").read_bytes())
    again = TreeStore(one.source.ledger).head()
    assert head is not None and again is not None
    # The second export signs a head of its own; nothing else may differ.
    same = {name for name, data in forge.members(first).items() if second[name] == data}
    assert set(second) - same == {d.HEADS}


def test_anybody_can_unpack_it(one: Made, tmp_path: Path) -> None:
    written = bundle(one, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        names = tar.getnames()
        assert names[:2] == ["manifest.json", "manifest.sig"]
        content = tar.extractfile(d.BUNDLE)
        assert content is not None
        told = msgspec.json.decode(content.read(), type=d.Bundle)
    assert (told.link, told.from_s, told.to_s) == ("a", *SPAN)
    assert written.bytes == (tmp_path / "a.tar").stat().st_size


def test_of_other_links_only_the_windows_are_in_it(tmp_path: Path) -> None:
    """Six hours of which a minute is in question: of the others, an hour and a bit."""
    cut = lost((10_000, 10_060))
    sites = (Site("a", hub=cut, anchor=cut), Site("b"), Site("c", "P2"))
    one = made(tmp_path, sites, 21_600)
    written = bundle(one, tmp_path / "a.tar", "a", Span(T0 + 1800, T0 + 19_800))
    agents = msgspec.json.decode(
        forge.members((tmp_path / "a.tar").read_bytes())[d.AGENTS], type=list[d.AgentDocument]
    )
    by_node = {
        agent.node: sum(run.last_seq + 1 - run.first_seq for run in agent.runs) for agent in agents
    }
    assert written.windows == 1
    assert by_node["n-a"] > 300
    assert 45 < by_node["n-b"] < 90
    assert 45 < by_node["n-c"] < 90
    assert against((tmp_path / "a.tar").read_bytes()) == []
    one.district.close()


def test_a_quiet_period_needs_nobody_else(one: Made, tmp_path: Path) -> None:
    written = bundle(one, tmp_path / "q.tar", "q0")
    assert (written.agents, written.others, written.windows) == (1, 0, 0)


def test_excluded_time_follows_from_the_register(tmp_path: Path) -> None:
    one = made(tmp_path, exclusions=Exclusions(maintenance=MaintenanceRule()))
    bundle(one, tmp_path / "z.tar", "z")
    data = (tmp_path / "z.tar").read_bytes()
    assert against(data) == []
    (row,) = msgspec.json.decode(forge.members(data)[d.SAID])["availability"]
    assert row["excluded_s"] == 300
    one.district.close()


def test_what_never_arrived_is_noted_and_stays_unknown(tmp_path: Path) -> None:
    sites = (Site("a", cpe_boots=()), Site("b"))
    district = District(tmp_path / "l.db", sites, 4800)
    own = [b for b in district.batches if b.header.agent_id[-1] == 1]
    lost_seqs = {40, 41, 42}
    week_s = 8 * 86_400
    district.take([b for b in own if b.header.seq not in lost_seqs], 4800)
    while district.judge.step(T0 + week_s):
        continue
    contracts = Contracts(tuple(district.contracts.rows))
    source = Source(district.ledger, (district.inventory, contracts), KEY, clock_at(week_s))
    export(source, "a", SPAN, tmp_path / "a.tar")
    lines = checked((tmp_path / "a.tar").read_bytes())
    assert lines.good, lines.all
    (noted,) = [x for x in lines.all if x.finding is Finding.NOTED and x.check == "chain"]
    assert "seq 40 to 42: never received" in noted.text
    said = msgspec.json.decode(forge.members((tmp_path / "a.tar").read_bytes())[d.SAID])
    assert said["availability"][0]["unknown_s"] >= 170
    district.close()


def test_timestamps_are_checked_where_a_root_is_given(tmp_path: Path) -> None:
    root = authority.made(tmp_path / "tsa")
    stranger = authority.made(tmp_path / "other")
    one = made(tmp_path, (Site("a"), Site("b")), 1800)
    tree = TreeStore(one.source.ledger)
    for head in tree.heads():
        answer = authority.answer(tmp_path / "tsa", timestamp.ask(head.data).data)
        tree.keep_timestamp(head.id, "http://tsa.example/", answer, 5)
    bundle(one, tmp_path / "a.tar", "a", Span(T0 + 300, T0 + 1500))
    data = (tmp_path / "a.tar").read_bytes()

    def stamps(*roots: Path) -> list[tuple[Finding, str]]:
        certs = tuple(cert for one in roots for cert in timestamp.roots_of(one.read_bytes()))
        lines = checked(data, Outside(key=PUBLIC, roots=certs))
        return [(x.finding, x.text) for x in lines.all if x.check == "timestamps"]

    assert stamps() == [(Finding.NOTED, "2, not checked: give the authority's root with --tsa-ca")]
    assert stamps(root) == [(Finding.HOLDS, "2 by authorities whose roots were given")]
    assert [x[0] for x in stamps(stranger)] == [Finding.ALTERED, Finding.ALTERED]
    one.district.close()


def test_a_file_that_is_there_is_kept(one: Made, tmp_path: Path) -> None:
    file = tmp_path / "a.tar"
    file.write_text("mine")
    with pytest.raises(FileExistsError, match="is there already; a bundle is never overwritten"):
        bundle(one, file)
    assert file.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_left_of_an_export_that_failed(one: Made, tmp_path: Path) -> None:
    def full(what: str, done: int, whole: int) -> None:
        if what == "writing":
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        export(one.source, "a", SPAN, tmp_path / "a.tar", full)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("link", "span", "said"),
    [
        ("nowhere", SPAN, "no link 'nowhere' in the links file"),
        ("a", Span(T0 + 90_000, T0 + 99_000), "there is no evidence of link a from"),
        ("a", Span(T0 - 9000, T0 - 5000), "there is no evidence of link a from"),
    ],
)
def test_what_cannot_be_exported_is_said(
    one: Made, tmp_path: Path, link: str, span: Span, said: str
) -> None:
    with pytest.raises(LedgerError, match=said):
        export(one.source, link, span, tmp_path / "a.tar")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_judged_yet_is_not_exported(tmp_path: Path) -> None:
    district = District(tmp_path / "l.db", (Site("a"), Site("b")), 4800)
    district.take(district.batches[:30])
    own = [b for b in district.batches if b.header.agent_id[-1] == 1]
    scope = Scope(["a", "b"], [])
    received = (T0 + 4800) * SECOND
    district.ledger.store([read(b, received, scope) for b in own[30:]])
    source = Source(district.ledger, (district.inventory, district.contracts), KEY, clock_at(5400))
    with pytest.raises(LedgerError, match=r"is judged yet \(45 batches wait\)"):
        export(source, "a", SPAN, tmp_path / "a.tar")
    export(source, "a", Span(T0 + 300, T0 + 1500), tmp_path / "a.tar")
    assert against((tmp_path / "a.tar").read_bytes()) == []
    district.close()


def test_a_period_beyond_the_evidence_is_told_as_far_as_it_goes(one: Made, tmp_path: Path) -> None:
    bundle(one, tmp_path / "a.tar", "a", Span(T0 - 3600, T0 + UNTIL_S + 3600))
    assert against((tmp_path / "a.tar").read_bytes()) == []


def test_progress_is_told(one: Made, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    export(one.source, "a", SPAN, tmp_path / "a.tar", lambda *one: told.append(one))
    whats = {what for what, _, _ in told}
    assert whats >= {"choosing", "writing"}
    last = [row for row in told if row[0] == "writing"][-1]
    assert last[1] == last[2] > 100_000
    checks: list[str] = []
    verify(
        io.BytesIO((tmp_path / "a.tar").read_bytes()),
        Outside(),
        lambda what, count: checks.append(what),
    )
    assert set(checks) == {"checked", "stored", "read", "judged"}


class Watched(District):
    """A district whose CPEs are probed from beside the hub as well."""

    def __init__(self, file: Path, sites: tuple[Site, ...], until_s: int) -> None:
        super().__init__(file, sites, until_s)
        self.box = Box(99, "hub")
        self.ledger.add_token(self.box.token)
        self.ledger.enrol(self.box.token.token_id, self.box.agent)
        self._hub = Speaker((), lambda link, target: Role.CPE if target == "cpe" else None)

    def _speaker(self, agent_id: bytes) -> Speaker:
        return self._hub if agent_id == self.box.agent_id else super()._speaker(agent_id)

    def watch(self, received_ns: int) -> None:
        """The prober's own batches: each CPE answers while its site's link is good."""
        scope = Scope([one.name for one in self.sites], [], outside=True)
        batches = []
        for minute in range(0, self.until_s, 60):
            records = [
                train(
                    [20.0 if one is Outcome.OK else None for one in fates],
                    outcomes=fates,
                    link=site.name,
                    target="cpe",
                    probe="icmp",
                    first_seq=minute,
                    boot_s=minute + 0.5,
                )
                for site in self.sites
                for fates in [[site.hub(second) for second in range(minute, minute + 60)]]
            ]
            known = Anchor((minute + 50) * SECOND, (T0 + minute + 50) * SECOND, 5_000_000)
            batches.append(self.box.batch([*records, heartbeat(minute + 55, known)]))
        self.ledger.store([read(one, received_ns, scope) for one in batches])
        self.take([])


def test_what_the_prober_beside_the_hub_saw_is_in_it(tmp_path: Path) -> None:
    cut = lost((2000, 2090))
    sites = (Site("a", hub=cut, anchor=cut), Site("b"))
    district = Watched(tmp_path / "l.db", sites, 4800)
    district.watch((T0 + 4800) * SECOND)
    district.take(district.batches)
    (found,) = district.outages("a")
    assert EvidenceClass.HUB_SIDE in found.witnesses
    hub = Node(id="hub", name="hub", kind=NodeKind.HUB, district="K")
    inventory = Inventory(
        (*district.inventory.nodes.values(), hub), tuple(district.inventory.links.values())
    )
    source = Source(district.ledger, (inventory, district.contracts), KEY, clock_at(5400))
    written = export(source, "a", SPAN, tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    assert against(data) == []
    agents = msgspec.json.decode(forge.members(data)[d.AGENTS], type=list[d.AgentDocument])
    assert [one.node for one in agents if one.outside] == ["hub"]
    assert written.agents == 3
    # Without the prober's batches the finding does not follow.
    content = forge.members(data)
    content[d.BATCHES + district.box.agent_id.hex()] = b""
    texts = against(forge.packed(content))
    assert any("chain: missing" in text and district.box.agent_id.hex() in text for text in texts)
    assert any(text.startswith("findings: differs: outages") for text in texts)
    district.close()
