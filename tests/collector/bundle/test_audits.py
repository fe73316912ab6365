"""The audits in a bundle: made anew of its batches, number by number, and what that cannot show."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from collector.audit.calendar import DAY_S, Month, Zone
from collector.audit.evidence import Span
from collector.bundle import anew as anew_module
from collector.bundle import documents as d
from collector.bundle import verify as verify_module
from collector.bundle.export import Written, export
from collector.bundle.given import Given
from collector.bundle.lines import Finding, Line, Lines
from collector.bundle.proofs import Outside
from collector.bundle.verify import verify
from collector.contracts import Contracts, Limit, Limits
from collector.inventory import Inventory
from collector.ledger.audits import AuditStore
from collector.ledger.derived import DerivedStore
from collector.ledger.outages import Lane, OutageStore
from collector.ledger.verdicts import VerdictStore
from collector.plans import LinkThroughput
from collector.reading import Scope as Reading
from collector.reading import read
from collector.report.gather import AuditMaker
from collector.report.gather import Wanted as WantedAudit
from collector.report.issue import AuditDesk
from collector.report.record import Scope
from collector.restitution import Restitution, Rule
from collector.settle.auditor import Auditor, Gathering
from runtime.clock import SECOND
from tests.collector.bundle import forge
from tests.collector.bundle.kit import PUBLIC, Made, clock_at, made
from tests.collector.contract_kit import contract
from tests.collector.kit import Box, heartbeat
from tests.collector.settle import district as district_module
from tests.collector.settle import line
from tests.collector.settle.district import T0, District, Site, lost
from wire.journal import Anchor

UNTIL_S = 1800
SEPTEMBER = Month(2026, 9, Zone.WIB).span
NAME = "2026-09.json"
AFTER_S = SEPTEMBER.end_s + 10 * DAY_S - T0
"""Seconds after T0 at which bundles are written."""
CUT = lost((700, 760))
SITES = (Site("a", hub=CUT, anchor=CUT), Site("b"))
LIMITS = Limits(domestic=Limit(rtt_s=0.05, rtt_percentile=95.0, pdv_s=0.02, loss_ratio=0.01))


class TriedOut(District):
    """A district of which link a is tested for its rate, as a second box at its node tells; one
    test was cut short, and told of days later."""

    def __init__(self, file: Path, sites: tuple[Site, ...] = SITES, until_s: int = UNTIL_S) -> None:
        super().__init__(file, sites, until_s, limits=LIMITS)
        self.box = Box(98, "n-a")
        self.ledger.add_token(self.box.token)
        self.ledger.enrol(self.box.token.token_id, self.box.agent)
        self._nodes[self.box.agent_id] = "a"
        plain = Inventory(
            tuple(self.inventory.nodes.values()),
            tuple(
                msgspec.structs.replace(one, throughput=LinkThroughput(zone="WIB"))
                for one in self.inventory.links.values()
            ),
        )
        self.inventory = plain.promised(lambda one: self.contracts.promise(one, T0))

    def test(self, received_ns: int, *starts: int) -> None:
        tests = [line.transfer("a", second * SECOND, 0.9 + second / 1e5) for second in starts]
        cut_short = msgspec.structs.replace(
            line.skipped("a", 5 * DAY_S * SECOND, line.TransferOutcome.ABORTED),
            ago_ns=(5 * DAY_S - 1500) * SECOND,
        )
        told = {second: [] for second in range(0, self.until_s, 600)} | {max(starts) + 30: tests}
        batches = [
            self.box.batch([heartbeat(second, known(second)), *told[second]])
            for second in sorted(told)
        ]
        self.box.begin()
        late = 5 * DAY_S + 60
        batches.append(self.box.batch([heartbeat(late, known(late)), cut_short]))
        self.ledger.store([read(one, received_ns, Reading(["a"], [])) for one in batches])
        self.take([])


def known(second: int) -> Anchor:
    return Anchor(second * SECOND, (district_module.T0 + second) * SECOND, 5_000_000)


def written(one: Made, file: Path, link: str = "a", span: Span = SEPTEMBER) -> Written:
    return export(one.source._replace(clock=clock_at(AFTER_S)), link, span, file)


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """With tests, a verdict, a ticket and maintenance."""
    folder = tmp_path_factory.mktemp("tested")
    one = made(folder, district=TriedOut(folder / "ledger.db"))
    assert isinstance(one.district, TriedOut)
    one.district.test((T0 + UNTIL_S) * SECOND, 300, 900, 1200)
    ledger, promised = one.source.ledger, one.source.promised
    gathering = Gathering(ledger, one.district.derived, one.district.kept, lambda: promised)
    Auditor(gathering, VerdictStore(ledger)).look(date(2026, 10, 1), SEPTEMBER.end_s + DAY_S)
    yield one
    one.district.close()


@pytest.fixture(scope="module")
def good(tested: Made, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("bundle") / "a.tar"
    written(tested, file)
    return file.read_bytes()


def lines_of(data: bytes, *given: Given) -> Lines:
    return verify(io.BytesIO(data), Outside(key=PUBLIC, audits=given))


def audits(lines: Lines, *findings: Finding) -> list[str]:
    return [x.text for x in lines.all if x.check == "audits" and x.finding in findings]


def audit_of(data: bytes) -> Any:
    return json.loads(forge.members(data)["audit/" + NAME])


def edited(data: bytes, change: Callable[[Any], None]) -> bytes:
    def rewrite(content: bytes) -> bytes:
        told = json.loads(content)
        change(told)
        return d.canonical(told)

    return forge.with_member(data, "audit/" + NAME, rewrite)


# --- what follows -----------------------------------------------------------------------------


def test_the_audit_is_made_anew_to_the_byte(good: bytes) -> None:
    lines = lines_of(good)
    assert lines.good, [one for one in lines.all if not one.finding.good]
    assert audits(lines, Finding.HOLDS) == [f"{NAME}: made anew of the batches, equal to the byte"]
    (link,) = audit_of(good)["links"]
    (period,) = link["periods"]
    # It says something of everything that an audit is of.
    assert [one["cause"] for one in period["outages"]] == ["access_link"]
    assert period["outages"][0]["batches"] and period["evidence_batches"] > 30
    assert [one["tests"] for one in period["throughput"]] == [4]
    assert period["throughput"][0]["counted"] == 3
    assert period["delays"][0]["jitter"] and period["smoke"] and period["days"]
    assert [one["ticket"] for one in period["tickets"]] == [None, "T1"]
    assert [one["notice"] for one in period["excluded"]] == []
    assert [one["id"] for one in period["notices"]] == [2, 1]
    assert len(link["verdicts"]) == 1


def test_what_the_bundle_cannot_show_is_named(good: bytes) -> None:
    told = audits(lines_of(good), Finding.UNCOVERED)
    places = [one.removeprefix(f"{NAME}: ").split(": ")[0] for one in told]
    assert places == ["links[a].verdicts", "summary.trend", "tickets.tolerance_s"]
    assert "1 said: dedicated verdicts compare the tests of all links" in told[0]
    assert told[1].endswith("2026-04, 2026-05, 2026-06, 2026-07, 2026-08")


def test_an_outage_is_called_as_in_the_collectors_ledger(tested: Made, good: bytes) -> None:
    """The ledger that is made for verifying counts from 1 too; so this one begins elsewhere."""
    (period,) = audit_of(good)["links"][0]["periods"]
    (kept,) = tested.district.kept.newest(Lane.EVIDENCE, "a", SEPTEMBER)
    assert (period["outages"][0]["id"], period["outages"][0]["revision"]) == kept[:2]
    found = lines_of(edited(good, lambda told: outage(told).update(id=kept.id + 1)))
    assert audits(found, Finding.DIFFERS) == [
        f"{NAME}: links[a].periods[0].outages[{kept.id + 1}]: computed nothing, said "
        + json.dumps(outage_with(good, kept.id + 1), separators=(",", ":"), sort_keys=True)[:120]
        + "...",
        f"{NAME}: links[a].periods[0].outages[{kept.id}]: computed "
        + json.dumps(outage_with(good, kept.id), separators=(",", ":"), sort_keys=True)[:120]
        + "..., said nothing",
    ]


def outage(told: Any) -> Any:
    return told["links"][0]["periods"][0]["outages"][0]


def outage_with(data: bytes, number: int) -> Any:
    return outage(audit_of(data)) | {"id": number}


class Leaf(NamedTuple):
    """A number or word of an audit."""

    holder: Any
    key: Any
    path: str
    """Without the places in lists."""


def leaves(value: Any, path: str = "") -> Iterator[Leaf]:
    """One for each path."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        at = f"{path}.{key}" if isinstance(value, dict) else path
        if isinstance(inner, dict | list):
            yield from leaves(inner, at)
        else:
            yield Leaf(value, key, at)


def other(value: Any) -> Any:
    """A value of the same kind, a little different."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value + 0.001
    return "x" if value is None else value + "x"


UNSHOWN = (
    ".links.verdicts.",
    ".summary.trend.",
    ".tickets.tolerance_s",
)


def test_no_number_of_an_audit_is_changed_unseen(
    good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the collector's owner, who signs anew: of each path one number or word; each is named."""
    unseen: list[str] = []
    unnamed: list[tuple[str, list[str]]] = []
    tried = 0

    class Every(anew_module.Anew):
        def check(self, documents: Any, lines: Lines) -> None:
            nonlocal tried
            super().check(documents, lines)
            assert lines.good
            data = documents[NAME]
            paths = {leaf.path for leaf in leaves(json.loads(data))}
            for path in sorted(paths):
                told = json.loads(data)
                leaf = next(one for one in leaves(told) if one.path == path)
                leaf.holder[leaf.key] = other(leaf.holder[leaf.key])
                found = Lines()
                super().check({NAME: d.canonical(told)}, found)
                tried += 1
                against = [one.text for one in found.all if not one.finding.good]
                if not against:
                    unseen.append(path)
                elif not any(path.rsplit(".", 1)[-1] in text for text in against):
                    unnamed.append((path, against))

    monkeypatch.setattr(verify_module, "Anew", Every)
    lines_of(good)
    assert tried > 200
    assert [one for one in unseen if not one.startswith(UNSHOWN)] == []
    # A name that names an element of a list is told as an element gone and another come.
    keys = {"link", "provider", "month", "id", "direction", "target"}
    assert [one for one in unnamed if one[0].rsplit(".", 1)[-1] not in keys] == []
    assert any(one.startswith(".links.verdicts.") for one in unseen)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda told: told["links"][0]["periods"][0]["availability"].update(down_s=0),
            "links[a].periods[0].availability.down_s: computed 60, said 0",
        ),
        (
            lambda told: told["links"][0]["periods"][0]["restitution"].update(rupiah=1),
            "links[a].periods[0].restitution.rupiah: computed ",
        ),
        (lambda told: told["links"][0]["periods"][0]["outages"].clear(), "said nothing"),
        (lambda told: told["links"][0]["periods"][0]["smoke"].pop(), ".smoke[0]: computed ["),
        (lambda told: told.update(bonus=1), "bonus: computed nothing, said 1"),
        (lambda told: told["summary"]["dedicated"].update(dedicated=7), "dedicated: computed 0"),
        (
            lambda told: told["links"][0].update(judgement="splendid"),
            "audit: Invalid enum value 'splendid' - at `$.links[0].judgement`",
        ),
        (lambda told: told["links"].clear(), "links[a]: computed {"),
    ],
)
def test_a_forged_audit_is_told_by_its_place(
    good: bytes, change: Callable[[Any], None], said: str
) -> None:
    lines = lines_of(edited(good, change))
    assert not lines.good
    found = audits(lines, Finding.DIFFERS, Finding.ALTERED)
    assert any(said in text for text in found), found
    # Nothing but the audit is touched, and said to be.
    assert {one.check for one in lines.all if not one.finding.good} == {"audits"}


def test_another_way_of_writing_is_another_document(good: bytes) -> None:
    forged = forge.with_member(good, "audit/" + NAME, lambda content: content + b" ")
    found = audits(lines_of(forged), Finding.DIFFERS)
    assert found == [f"{NAME}: the same values, written otherwise than docs/audit-json.md has it"]


def test_many_differences_are_counted(good: bytes) -> None:
    def slower(told: Any) -> None:
        for one in told["links"][0]["periods"][0]["days"]:
            one["up_s"] += 1

    found = audits(lines_of(edited(good, slower)), Finding.DIFFERS)
    assert len(found) == 21
    assert found[-1] == f"{NAME}: 10 more places differ"


def test_audits_cannot_be_left_out_or_put_in(good: bytes) -> None:
    content = forge.members(good)
    data = content.pop("audit/" + NAME)
    found = audits(lines_of(forge.packed(content)), Finding.MISSING)
    assert found == [f"{NAME}: follows, and is not here"]
    more = forge.packed(content | {"audit/" + NAME: data, "audit/2026-08.json": data})
    found = audits(lines_of(more), Finding.INSERTED)
    assert found == ["2026-08.json: no audit that follows from this bundle"]


def test_another_record_is_another_audit(good: bytes) -> None:
    """A batch is dropped, by who holds the collector's key."""
    agent = (1).to_bytes(16, "big").hex()
    forged = forge.with_records(good, agent, lambda rows: rows[:8] + rows[9:])
    found = audits(lines_of(forged), Finding.DIFFERS)
    assert any("periods[0].evidence_batches: computed" in text for text in found)
    assert any("periods[0].evidence_sha256: computed" in text for text in found)
    assert any("periods[0].delays[hub].packets: computed" in text for text in found)
    # Its minute is known all the same, by the router's counters around it; its packets are not.
    assert any("periods[0].smoke[0][1]: computed 1740, said 1800" in text for text in found)


# --- which months -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span", "at_s", "whole", "left"),
    [
        (SEPTEMBER, AFTER_S, ["2026-09"], []),
        (Span(SEPTEMBER.start_s - DAY_S, SEPTEMBER.end_s), AFTER_S, ["2026-09"],
         ["2026-08: the bundle holds a part of it only"]),
        (Span(SEPTEMBER.start_s + 1, SEPTEMBER.end_s), AFTER_S, [],
         ["2026-09: the bundle holds a part of it only"]),
        (SEPTEMBER, SEPTEMBER.end_s - 1 - T0, [],
         ["2026-09: it was not over when the bundle was made"]),
        (Span(T0 + 300, T0 + 1500), AFTER_S, [],
         ["2026-09: the bundle holds a part of it only"]),
    ],
)  # fmt: skip
def test_months_that_are_whole_have_an_audit_and_others_are_named(
    tested: Made, tmp_path: Path, span: Span, at_s: int, whole: list[str], left: list[str]
) -> None:
    source = tested.source._replace(clock=clock_at(at_s))
    found = export(source, "a", span, tmp_path / "a.tar")
    assert [str(one) for one in found.months.whole] == whole
    assert [f"{one.month}: {one.why}" for one in found.months.left] == left
    data = (tmp_path / "a.tar").read_bytes()
    lines = lines_of(data)
    assert lines.good
    assert [one for one in forge.members(data) if one.startswith("audit/")] == [
        f"audit/{one}.json" for one in whole
    ]
    noted = [one.replace(": ", ".json: no audit is here: ", 1) for one in left]
    assert audits(lines, Finding.NOTED) == noted


def test_months_before_that_the_bundle_holds_are_computed(tested: Made, tmp_path: Path) -> None:
    span = Span(Month(2026, 8, Zone.WIB).span.start_s, SEPTEMBER.end_s)
    written(tested, tmp_path / "a.tar", span=span)
    data = (tmp_path / "a.tar").read_bytes()
    lines = lines_of(data)
    assert lines.good
    uncovered = audits(lines, Finding.UNCOVERED)
    assert f"{NAME}: summary.trend: months that the bundle does not hold whole: 2026-04," in (
        " ".join(uncovered)
    )
    assert not any(one.startswith(NAME) and "2026-08" in one for one in uncovered)

    def brighter(told: Any) -> None:
        rows = {one["month"]: one for one in told["summary"]["trend"]}
        rows["2026-08"]["lower"] = 1.0

    found = audits(lines_of(edited(data, brighter)), Finding.DIFFERS)
    assert found == [f"{NAME}: summary.trend[2026-08].lower: computed 0.0, said 1.0"]


def test_what_lies_across_a_months_end_follows_in_both_months(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut, a power cut and a throughput test, of which each month has its seconds."""
    edge = 4000
    monkeypatch.setattr(district_module, "T0", SEPTEMBER.end_s - edge)
    cuts = lost((700, 760), (3900, 4100), (7000, 7100))
    both = lost((3900, 4050))
    sites = (
        Site("a", hub=cuts, anchor=cuts),
        Site("b", hub=both, anchor=both),
        Site("z", off=((3950, 4300),), cpe_boots=(-1_000_000, 4295)),
    )
    one = made(tmp_path, district=TriedOut(tmp_path / "ledger.db", sites, 8400))
    assert isinstance(one.district, TriedOut)
    one.district.test((SEPTEMBER.end_s + 4400) * SECOND, 600, edge - 500, edge - 5, edge + 900)
    october = Month(2026, 10, Zone.WIB).span
    clock = clock_at(october.end_s + DAY_S - T0)
    for link in "abz":
        seconds = []
        for number, span in enumerate((SEPTEMBER, october)):
            file = tmp_path / f"{link}{number}.tar"
            export(one.source._replace(clock=clock), link, span, file)
            lines = lines_of(file.read_bytes())
            assert lines.good, (link, [x for x in lines.all if not x.finding.good])
            ((name, data),) = (
                (name, json.loads(data))
                for name, data in forge.members(file.read_bytes()).items()
                if name.startswith("audit/")
            )
            assert name == f"audit/2026-{9 + number:02}.json"
            (period,) = data["links"][0]["periods"]
            seconds += [each["within_s"] for each in period["outages"]]
        assert seconds == {"a": [60, 100, 100, 100], "b": [100, 50], "z": [50, 300, 30]}[link]
    one.district.close()


def test_a_month_of_two_contracts_has_both(tmp_path: Path) -> None:
    one = made(tmp_path, SITES, UNTIL_S, last_day=date(2026, 9, 22))
    later = contract(
        link="a", pop="P1", reference="K-a-2", first_day=date(2026, 9, 23), fee_rupiah=1_000_000
    )
    inventory, contracts = one.source.promised
    source = one.source._replace(
        promised=(inventory, Contracts((*contracts.rows, later))), clock=clock_at(AFTER_S)
    )
    export(source, "a", SEPTEMBER, tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    periods = audit_of(data)["links"][0]["periods"]
    assert [one["contract"] for one in periods] == ["K-a", "K-a-2"]
    assert lines_of(data).good
    one.district.close()


def test_a_month_without_a_contract_is_named(tmp_path: Path) -> None:
    one = made(tmp_path, SITES, UNTIL_S, first_day=date(2026, 9, 1))
    span = Span(Month(2026, 8, Zone.WIB).span.start_s, SEPTEMBER.end_s)
    found = written(one, tmp_path / "a.tar", span=span)
    assert [f"{x.month}: {x.why}" for x in found.months.left] == [
        "2026-08: the link has no contract in it"
    ]
    lines = lines_of((tmp_path / "a.tar").read_bytes())
    assert lines.good
    # Without a contract nothing of those months is anybody's word.
    assert not any("summary.trend" in text for text in audits(lines, Finding.UNCOVERED))
    one.district.close()


# --- all paths of a node ----------------------------------------------------------------------


def test_rule_palapa_asks_for_links_that_are_not_judged_here(tmp_path: Path) -> None:
    """Whether the node's second link was up is the collector's word."""
    one = made(tmp_path, SITES, UNTIL_S, restitution=Restitution(rule=Rule.PALAPA))
    inventory, contracts = one.source.promised
    both = Inventory(
        tuple(inventory.nodes.values()),
        (
            *inventory.links.values(),
            msgspec.structs.replace(inventory.links["a"], id="c", targets=()),
        ),
    )
    two = Made(one.district, one.source._replace(promised=(both, contracts)))
    written(two, tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    lines = lines_of(data)
    assert lines.good, [x for x in lines.all if not x.finding.good]
    (told,) = [x for x in audits(lines, Finding.UNCOVERED) if "PALAPA" in x]
    assert told == (
        f"{NAME}: links[a].periods[0].restitution: rule PALAPA asks for the node's other links"
        " (c), which are not judged here"
    )
    # The terms are the contract's all the same, and the sums have to fit.
    for change, said in (
        (lambda told: restitution(told).update(rule="LIN"), "restitution.rule: computed"),
        (lambda told: restitution(told).update(fee_rupiah=1), "restitution.fee_rupiah: computed"),
        (lambda told: restitution(told).update(rupiah=5), "summary.restitution_rupiah: computed 5"),
    ):
        found = audits(lines_of(edited(data, change)), Finding.DIFFERS)
        assert any(said in text for text in found), found
    one.district.close()


def restitution(told: Any) -> Any:
    return told["links"][0]["periods"][0]["restitution"]


# --- documents that were issued ---------------------------------------------------------------


def issued(one: Made, scope: Scope) -> Given:
    ledger, promised = one.source.ledger, one.source.promised
    maker = AuditMaker(ledger, DerivedStore(ledger), OutageStore(ledger), lambda: promised)
    desk = AuditDesk(maker, AuditStore(ledger))
    done = desk.issue(WantedAudit("2026-09", scope), "Sari", T0 + AFTER_S)
    return Given("september.json", done.data)


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        (Scope(), "all): links[a] made anew of the batches, equal to the byte"),
        (Scope(kind="provider", value="P"), "provider P): links[a] made anew"),
        (Scope(kind="link", value="a"), "link a): made anew of the batches, equal to the byte"),
    ],
)
def test_an_issued_audit_is_held_against_the_bundle(
    tested: Made, good: bytes, scope: Scope, holds: str
) -> None:
    given = issued(tested, scope)
    lines = lines_of(good, given)
    assert lines.good, [one for one in lines.all if not one.finding.good]
    assert any(holds in text for text in audits(lines, Finding.HOLDS))
    assert any("SHA-256" in text for text in audits(lines, Finding.NOTED))
    uncovered = [one for one in audits(lines, Finding.UNCOVERED) if one.startswith("september")]
    several = [one for one in uncovered if "all but links[a]" in one]
    assert len(several) == (scope.kind != "link")

    def forged(change: Callable[[Any], None], *, digest: bool = True) -> Lines:
        told = json.loads(given.data)
        change(told["audit"])
        if digest:
            told["audit_sha256"] = d.sha256(d.canonical(told["audit"]))
        return lines_of(good, Given("september.json", d.canonical(told)))

    def kinder(audit: Any) -> None:
        link = next(one for one in audit["links"] if one["link"] == "a")
        link["periods"][0]["availability"]["down_s"] = 0

    found = audits(forged(kinder), Finding.DIFFERS)
    assert any("links[a].periods[0].availability.down_s: computed 60, said 0" in x for x in found)
    # It may have been made by the release before: that speaks against nothing.
    assert forged(lambda audit: audit.update(software="0.0.9")).good
    (altered,) = audits(forged(lambda audit: audit.update(month="2026-08"), digest=False),
                        Finding.ALTERED)  # fmt: skip
    assert "audit_sha256 is not that of the audit in it" in altered


def test_a_document_that_has_nothing_to_do_with_the_bundle_is_said(
    tested: Made, good: bytes
) -> None:
    given = issued(tested, Scope(kind="link", value="b"))
    found = audits(lines_of(good, given), Finding.MISSING)
    assert len(found) == 1 and "no audit of link a in common" in found[0]
    found = audits(lines_of(good, Given("a.pdf", b"%PDF-1.7")), Finding.ALTERED)
    assert len(found) == 1 and "a.pdf: cannot be read as an audit document" in found[0]


def test_lines_that_are_uncovered_speak_against_nothing() -> None:
    lines = Lines()
    lines.say("audits", Finding.UNCOVERED, "x")
    assert lines.good and lines.uncovered == [Line("audits", Finding.UNCOVERED, "x")]
