"""Every wrong settings file of the collector, through `check`, with its exact message."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector import inventory
from collector.__main__ import main
from collector.inventory import HUB_TARGET, ReflectorAddress
from collector.settings import read
from wire.policy import MAX_TARGETS, Role

TESTDATA = Path(__file__).parent / "testdata"
CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    etc = Path(shutil.copytree(TESTDATA / "good", tmp_path / "etc"))
    shutil.copy(TESTDATA / "promised" / "contracts.yaml", etc)
    return etc


def check(folder: Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["check", "--config.file", str(folder / "collector.yaml")])
    return done.exit_code, done.output


def test_good_files_are_good_and_nothing_is_started_or_made(folder: Path) -> None:
    assert check(folder) == (0, f"{folder}/collector.yaml: good: 2 nodes, 2 links, 3 contracts\n")
    assert sorted(file.name for file in folder.iterdir()) == [
        "collector.yaml",
        "contracts.yaml",
        "links.yaml",
        "nodes.yaml",
    ]


def test_what_is_allowed_and_perhaps_not_meant_is_a_note(folder: Path) -> None:
    (folder / "collector.yaml").write_text("data_dir: data\n")
    (folder / "links.yaml").write_text("links: []\n")
    (folder / "contracts.yaml").unlink()
    assert check(folder) == (
        0,
        f"{folder}/collector.yaml: good: 2 nodes, 0 links, 0 contracts\n"
        "note: nodes without a link: n1, n2\n"
        "note: stamp.address is missing; `serve` needs it\n",
    )


def test_tests_that_will_not_happen_are_a_note(folder: Path) -> None:
    (folder / "contracts.yaml").unlink()
    (folder / "links.yaml").write_text(
        "links:\n  - {id: l1, node: n1, provider: P, medium: M, pop: X, throughput: {zone: WIB}}\n"
        "  - {id: l2, node: n2, provider: P, medium: M, pop: X}\n"
    )
    assert check(folder) == (
        0,
        f"{folder}/collector.yaml: good: 2 nodes, 2 links, 0 contracts\n"
        "note: links without a contract: l1, l2\n"
        "note: throughput tests without a rate to test: l1\n"
        "note: throughput.capacity_mbps is missing: no link is tested\n",
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("collector_unknown_key", "Object contains unknown field `silence_after`"),
        ("collector_missing_data_dir", "Object missing required field `data_dir`"),
        ("collector_port", "http.port: Expected `int` <= 65535"),
        (
            "collector_proxies",
            "http: trusted_proxies: '192.0.2.1/24': expected an address or a network such as"
            " 192.0.2.0/24, without host bits",
        ),
        ("collector_zero_silence", "silence_after_s: Expected `float` > 0.0"),
        ("collector_cert_alone", "http: cert_file and key_file go together"),
        ("collector_no_cert_file", "http: no file {folder}/hub.pem"),
        (
            "collector_stamp_name",
            "stamp: address 'hub.example': expected a literal IPv4 or IPv6 address",
        ),
        ("collector_unknown_limit", "limits: Object contains unknown field `burts`"),
        (
            "collector_backfill_url",
            "backfill[0].url: Expected `str` matching regex '^https?://[^\\\\s]+\\\\Z'",
        ),
        ("collector_backfill_twice", "backfill[1].name: 'a' is given twice"),
        ("collector_backfill_file", "backfill[0]: no file {folder}/password"),
        (
            "collector_backfill_ca",
            "backfill[0].ca_file: {folder}/collector.yaml: expected certificates in PEM form",
        ),
        ("collector_backfill_header", "backfill[0]: header 'Content-Type' is not yours to set"),
        ("collector_backfill_label", "backfill[0]: label 'link' is not yours to set"),
        (
            "collector_backfill_auth",
            "backfill[0]: basic_auth and a header 'Authorization' do not go together",
        ),
        (
            "collector_heads_no_smtp",
            "heads.mail_to needs smtp, the server that takes the mail",
        ),
        (
            "collector_heads_no_root",
            "heads: timestamp_url and timestamp_ca_file go together",
        ),
        (
            "collector_heads_ca",
            "heads.timestamp_ca_file: {folder}/collector.yaml: expected certificates in PEM form",
        ),
        ("collector_smtp_password", "smtp: no file {folder}/secret"),
        ("collector_smtp_security", "smtp.security: Invalid enum value 'ssl'"),
        ("collector_alias", "2:13: aliases are not used here: write the value out"),
        ("nodes_empty", "empty, expected a mapping of settings"),
        ("nodes_kind", "nodes[0].kind: Invalid enum value 'village'"),
        (
            "nodes_id",
            "nodes[0].id: Expected `str` matching regex '^[a-z0-9][a-z0-9._-]{{0,62}}\\\\Z'",
        ),
        ("nodes_twice", "nodes[1].id: 'n1' is nodes[0] already"),
        ("nodes_latitude", "nodes[0].latitude: Expected `float` >= -90.0"),
        ("nodes_number", "nodes[0].district: Expected `str`, got `int`"),
        ("nodes_duplicate_key", "2:23: key 'name' is given twice"),
        ("links_unknown_node", "links[0].node: 'n9' is not a node of {folder}/nodes.yaml"),
        ("links_twice", "links[1].id: 'l1' is links[0] already"),
        ("links_unknown_key", "links[0]: Object contains unknown field `speed`"),
        ("links_missing_provider", "links[0]: Object missing required field `provider`"),
        ("links_interval", "links[0].interval_s: Expected `float` >= 0.01"),
        ("links_timeout", "links[0].timeout_s: Expected `float` <= 600.0"),
        (
            "links_name_as_address",
            "links[0].targets[0]: address 'router.lan': expected a literal IPv4 or IPv6 address",
        ),
        ("links_role", "links[0].targets[0].role: Invalid enum value 'router'"),
        ("links_target_twice", "links[0].targets[1].name: 'g' is links[0].targets[0] already"),
        (
            "links_hub_target",
            "links[0].targets[0]: target name 'hub' is kept for the hub's STAMP reflector",
        ),
        ("links_not_a_list", "links: Expected `array`, got `object`"),
        (
            "links_throughput_zone",
            "links[0].throughput: zone 'Jakarta': expected WIB, WITA, WIT or an offset from"
            " -14:00 to +14:00",
        ),
        (
            "links_throughput_no_zone",
            "links[0].throughput: Object missing required field `zone`",
        ),
        ("links_throughput_rate", "links[0].throughput.down_mbps: Expected `float` > 0.0"),
        (
            "links_throughput_evening",
            "links[0].throughput.tests.evening: Expected `int` <= 4",
        ),
        (
            "links_throughput_unknown_key",
            "links[0].throughput: Object contains unknown field `speed`",
        ),
        (
            "links_throughput_gate",
            "links[0].throughput.gate.target: 'router' is no target of this link with probe snmp",
        ),
        (
            "links_throughput_gate_interface",
            "links[0].throughput.gate.target: target 'g' names no device_interface to read",
        ),
        ("collector_capacity", "throughput.capacity_mbps: Expected `float` > 0.0"),
        (
            "links_probe",
            "links[0].targets[0].probe: Expected `str` matching regex '^[a-z0-9_]+\\\\Z'",
        ),
        ("links_reach", "links[0].targets[0].reach: Invalid enum value 'abroad'"),
        (
            "contracts_overlap",
            "contracts[1].first_day: contracts[0] (K-1) and contracts[1] (K-2), bot"
            "h of link 'l1' in {folder}/contracts.yaml: overlap from 2026-06-30 to "
            "2026-06-30: end the first on the day before",
        ),
        (
            "contracts_overlap_open",
            "contracts[0].first_day: contracts[1] (K-1) and contracts[0] (K-2), bot"
            "h of link 'l1' in {folder}/contracts.yaml: overlap from 2026-07-01 on:"
            " end the first on the day before",
        ),
        (
            "contracts_gap",
            "contracts[0].first_day: contracts[1] (K-1) and contracts[0] (K-2), bot"
            "h of link 'l1' in {folder}/contracts.yaml: leave a gap from 2026-07-01"
            " to 2026-07-02: expected first_day 2026-07-01",
        ),
        (
            "contracts_twice",
            "contracts[1].first_day: contracts[0] (K-1) and contracts[1] (K-1), bot"
            "h of link 'l1' in {folder}/contracts.yaml: overlap from 2026-01-01 to "
            "2026-06-30: end the first on the day before",
        ),
        (
            "contracts_zones",
            "contracts[1].zone: contracts[0] (K-1) and contracts[1] (K-2), both of "
            "link 'l1' in {folder}/contracts.yaml: expected the same zone",
        ),
        (
            "contracts_unknown_link",
            "contracts[0].link: 'l9' is not a link of the links file",
        ),
        (
            "contracts_provider",
            "contracts[1].provider: 'Q', but link 'l2' is of 'P'; a circuit of anot"
            "her provider is another link",
        ),
        (
            "contracts_last_before_first",
            "contracts[0] (template base): last_day 2025-12-31 is before first_day 2026-01-01",
        ),
        (
            "contracts_forever",
            "contracts[0] (template base): last_day 9999-12-31: expected a day from"
            " 2000-01-01 to 2199-12-31",
        ),
        (
            "contracts_day",
            "a value that YAML cannot read: month must be in 1..12",
        ),
        (
            "contracts_moment",
            "contracts[0] (template base).first_day: Expected `date`, got `datetime`",
        ),
        (
            "contracts_template",
            "contracts[0].template: no template 'standard'; known: base",
        ),
        (
            "contracts_unused_template",
            "templates: no contract names other: so nothing checks it",
        ),
        (
            "contracts_template_field",
            "contracts[0] (template base).zone: Invalid enum value 'WIBB'",
        ),
        (
            "contracts_unknown_key",
            "contracts[0] (template base): Object contains unknown field `sla`",
        ),
        (
            "contracts_missing_cir",
            "contracts[0]: Object missing required field `cir`",
        ),
        (
            "contracts_target",
            "contracts[0] (template base).availability_target: Expected `float` <= 1.0",
        ),
        (
            "contracts_layer",
            "contracts[0] (template base).cir.layer: Invalid enum value 'L2'",
        ),
        (
            "contracts_rate",
            "contracts[0] (template base).cir.domestic.down_bps: Expected `int` >= 1",
        ),
        (
            "contracts_fee",
            "contracts[0] (template base).fee_rupiah: Expected `int`, got `float`",
        ),
        (
            "contracts_hours",
            "contracts[0] (template base).exclusions.maintenance: allowed_hours: '2"
            "2.00-05.00': expected HH:MM-HH:MM, as 22:00-05:00",
        ),
        (
            "contracts_no_hours",
            "contracts[0] (template base).exclusions.maintenance: allowed_hours: '0"
            "5:00-05:00' holds no time; a whole day is 00:00-24:00",
        ),
        (
            "contracts_proof",
            "contracts[0] (template base).exclusions.site_power.proofs[0]: Invalid "
            "enum value 'silence'",
        ),
        (
            "contracts_no_proof",
            "contracts[0] (template base).exclusions.site_power.proofs: Expected `a"
            "rray` of length >= 1",
        ),
        (
            "contracts_power",
            "contracts[0] (template base): exclusions.site_power: power for which t"
            "he provider answers cannot excuse it",
        ),
        (
            "contracts_percentile",
            "contracts[0] (template base).limits.domestic.pdv_percentile: Expected "
            "`float` <= 100.0",
        ),
        (
            "contracts_rule",
            "contracts[0] (template base).restitution.rule: Invalid enum value 'PRORATA'",
        ),
        (
            "contracts_no_tiers",
            "contracts[0] (template base).restitution: rule TIER and a table of tiers go together",
        ),
        (
            "contracts_tiers_order",
            "contracts[0] (template base).restitution: tiers: expected availabiliti"
            "es from the highest to the lowest",
        ),
        (
            "contracts_tiers_floor",
            "contracts[0] (template base).restitution: tiers: the last row has to b"
            "egin at availability 0",
        ),
        (
            "contracts_not_a_list",
            "contracts: Expected `array`, got `object`",
        ),
    ],
)
def test_a_wrong_file_is_named_with_place_and_reason(folder: Path, name: str, said: str) -> None:
    file = folder / f"{name.partition('_')[0]}.yaml"
    shutil.copyfile(TESTDATA / f"{name}.yaml", file)
    colon = ":" if said[0].isdigit() else ": "
    assert check(folder) == (
        1,
        f"pantau-collector: {file}{colon}{said.format(folder=folder)}\n",
    )


def test_every_wrong_file_is_in_the_table() -> None:
    text = Path(__file__).read_text()
    assert [one.stem for one in TESTDATA.glob("*.yaml") if f'"{one.stem}"' not in text] == []


def test_a_node_has_no_more_targets_than_its_policy_can_carry(folder: Path) -> None:
    (folder / "contracts.yaml").unlink()
    links = [
        f"  - {{id: k{k}, node: n1, provider: P, medium: M, pop: X}}\n" for k in range(MAX_TARGETS)
    ]
    file = folder / "links.yaml"
    file.write_text("links:\n" + "".join(links))
    assert check(folder)[0] == 0
    with file.open("a") as more:
        more.write("  - {id: one-more, node: n1, provider: P, medium: M, pop: X}\n")
    told = f"the links of node 'n1' have {MAX_TARGETS + 1} targets, at most {MAX_TARGETS}"
    assert check(folder) == (1, f"pantau-collector: {file}: {told}\n")


def test_contracts_that_are_not_named_and_not_there_are_none(folder: Path) -> None:
    (folder / "contracts.yaml").unlink()
    assert check(folder) == (
        0,
        f"{folder}/collector.yaml: good: 2 nodes, 2 links, 0 contracts\n"
        "note: links without a contract: l1, l2\n",
    )


def test_contracts_that_are_named_have_to_be_there(folder: Path) -> None:
    with (folder / "collector.yaml").open("a") as more:
        more.write("contracts_file: promised.yaml\n")
    told = f"pantau-collector: {folder}/promised.yaml: No such file or directory\n"
    assert check(folder) == (1, told)
    (folder / "contracts.yaml").rename(folder / "promised.yaml")
    assert check(folder)[0] == 0


def test_a_contract_at_another_pop_than_its_link_is_a_note(folder: Path) -> None:
    file = folder / "links.yaml"
    file.write_text(file.read_text().replace("fibre, pop: POP-1", "fibre, pop: POP-2"))
    assert check(folder) == (
        0,
        f"{folder}/collector.yaml: good: 2 nodes, 2 links, 3 contracts\n"
        "note: link l2 is at POP-2, its contract K-3 says POP-1\n",
    )


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "links.yaml").unlink()
    expected = f"pantau-collector: {folder}/links.yaml: No such file or directory\n"
    assert check(folder) == (1, expected)


def test_the_shipped_examples_are_good() -> None:
    code, said = check(CONFIGS)
    assert (code, said) == (0, f"{CONFIGS}/collector.yaml: good: 3 nodes, 2 links, 3 contracts\n")


def test_paths_are_relative_to_the_settings_file(folder: Path) -> None:
    located = read(folder / "collector.yaml")
    assert located.data_dir == folder / "data"


def test_a_policy_probes_every_link_to_the_hub_and_its_own_targets_behind(folder: Path) -> None:
    (folder / "links.yaml").write_text(
        "links:\n"
        "  - {id: l2, node: n2, provider: P, medium: M, pop: X}\n"
        "  - id: l1\n    node: n1\n    provider: P\n    medium: M\n    pop: X\n"
        "    interface: eth1\n    interval_s: 0.5\n    dscp: 46\n    targets:\n"
        "      - {name: gw, probe: icmp, role: gateway, address: 10.0.0.1, interval_s: 2,\n"
        "         reach: domestic}\n"
    )
    both = inventory.read(folder / "nodes.yaml", folder / "links.yaml")
    policy = both.policy("n1", ReflectorAddress("192.0.2.1", 862, True), {"l1": 7, "l2": 8})
    hub, gateway = policy.targets
    assert (hub.name, hub.link, hub.probe, hub.role) == (HUB_TARGET, "l1", "stamp", Role.HUB)
    assert (hub.address, hub.port, hub.ssid, hub.authenticated) == ("192.0.2.1", 862, 7, True)
    assert (hub.interval_s, hub.dscp, hub.interface) == (0.5, 46, "eth1")
    assert (gateway.name, gateway.probe, gateway.address) == ("gw", "icmp", "10.0.0.1")
    assert (gateway.interval_s, gateway.interface, gateway.ssid) == (2, "eth1", None)
    reaches = [both.links["l1"].reach_of(name) for name in ("hub", "gw", "other")]
    assert reaches == ["domestic", "domestic", None]
    assert both.policy("n9", ReflectorAddress("192.0.2.1", 862, True), {}).targets == ()
