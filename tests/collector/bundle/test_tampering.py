"""No tampering goes unseen: of one byte anywhere, and of batches by somebody with the hub's key."""

import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.bundle import documents as d
from collector.bundle.container import BundleError, Container
from collector.bundle.lines import Finding, Line
from collector.bundle.proofs import Outside
from collector.bundle.recompute import name_of
from tests.collector.bundle import forge
from tests.collector.bundle.forge import Records, flipped, with_member, with_records
from tests.collector.bundle.kit import KEY, PUBLIC, Made, bundle, checked, made
from tests.collector.settle.district import T0, Site, Span, lost
from wire import batch as wire_batch
from wire import receipt as wire_receipt
from wire.batch import Batch
from wire.receipt import Receipt

UNTIL_S = 1800
SPAN = Span(T0 + 300, T0 + 1500)
CUT = lost((700, 760))
SITES = (Site("a", hub=CUT, anchor=CUT), Site("b"))
AGENT, OTHER = (1).to_bytes(16, "big").hex(), (2).to_bytes(16, "big").hex()
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
FLIPS, SWAPS = 140, 60


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    one = made(tmp_path_factory.mktemp("small"), SITES, UNTIL_S)
    yield one
    one.district.close()


@pytest.fixture(scope="module")
def good(small: Made, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("bundle") / "a.tar"
    bundle(small, file, "a", SPAN)
    return file.read_bytes()


def against(data: bytes, outside: Outside | None = None) -> list[Line]:
    """The lines that speak against the bundle."""
    return [one for one in checked(data, outside).all if not one.finding.good]


def batch_of(record: d.Record) -> Batch:
    return wire_batch.parse(record.batch)


def test_the_bundle_itself_holds(good: bytes) -> None:
    lines = checked(good)
    assert lines.good
    assert {one.check for one in lines.all} >= {
        "file",
        "members",
        "batches",
        "receipts",
        "chain",
        "heads",
        "tree",
        "findings",
    }
    assert any("outages: 1 computed anew" in one.text for one in lines.all)


@pytest.mark.parametrize("seed", range(FLIPS))
def test_no_altered_byte_goes_unseen(good: bytes, seed: int) -> None:
    """Of every member and of everything between them, in turn."""
    rng = random.Random(seed)
    places = sorted(forge.regions(good).items())
    name, (start, end) = places[seed % len(places)]
    at = rng.randrange(start, end)
    forged = flipped(good, at, rng.randrange(8))
    try:
        found = against(forged)
    except BundleError as error:
        assert "manifest.json" in str(error) or "first header" in str(error)
        assert name in ("header 0", "manifest.json", "manifest.sig", "header 1")
        return
    assert found, f"byte {at} of {name}"
    if name in Container(io.BytesIO(good)).members:
        assert any(one.check == "members" and name in one.text for one in found), found
    else:
        assert any(one.check in ("file", "members") for one in found), found


def drop(rows: Records, k: int) -> Records:
    return rows[:k] + rows[k + 1 :]


def twice(rows: Records, k: int) -> Records:
    return [*rows[: k + 1], rows[k], *rows[k + 1 :]]


def moved(rows: Records, k: int) -> Records:
    other = (k + 5) % len(rows)
    rows = list(rows)
    rows[k], rows[other] = rows[other], rows[k]
    return rows


def cut_bytes(part: str) -> Callable[[Records, int], Records]:
    """One bit of a part of the batch."""
    start, end = {"header": (0, 292), "signature": (292, 356), "body": (356, 400)}[part]

    def change(rows: Records, k: int) -> Records:
        at = start + k % (end - start)
        altered = rows[k]._replace(batch=flipped(rows[k].batch, at))
        return [*rows[:k], altered, *rows[k + 1 :]]

    return change


def other_time(rows: Records, k: int) -> Records:
    """The hub's owner dates a receipt back, and signs it."""
    batch = batch_of(rows[k])
    header = batch.header
    old = wire_receipt.parse(rows[k].receipt, PUBLIC)
    new = Receipt(
        old.ledger_id,
        header.agent_id,
        header.epoch,
        header.seq,
        batch.digest,
        old.received_wall_ns - 1,
    )
    return [*rows[:k], rows[k]._replace(receipt=new.sign(KEY)), *rows[k + 1 :]]


def forged_by_a_stranger(rows: Records, k: int) -> Records:
    """Another body, sealed by another key."""
    batch, donor = batch_of(rows[k]), batch_of(rows[(k + 3) % len(rows)])
    header = donor.header._replace(
        seq=batch.header.seq, epoch=batch.header.epoch, previous=batch.header.previous
    )
    sealed = wire_batch.seal(header, donor.body, STRANGER)
    return [*rows[:k], rows[k]._replace(batch=sealed.to_bytes()), *rows[k + 1 :]]


DEEDS: dict[str, tuple[Callable[[Records, int], Records], Finding]] = {
    "drop": (drop, Finding.MISSING),
    "twice": (twice, Finding.INSERTED),
    "reorder": (moved, Finding.REORDERED),
    "header": (cut_bytes("header"), Finding.ALTERED),
    "signature": (cut_bytes("signature"), Finding.ALTERED),
    "body": (cut_bytes("body"), Finding.ALTERED),
    "date back": (other_time, Finding.ALTERED),
    "forge": (forged_by_a_stranger, Finding.ALTERED),
}


@pytest.mark.parametrize("seed", range(SWAPS))
def test_no_batch_is_touched_unseen_by_who_holds_the_hubs_key(good: bytes, seed: int) -> None:
    """The manifest is signed anew: agents' signatures, chains and the tree tell which."""
    rng = random.Random(seed)
    name, (deed, finding) = sorted(DEEDS.items())[seed % len(DEEDS)]
    agent = rng.choice([AGENT, OTHER])
    rows = forge.records_of(good, agent)
    k = rng.randrange(len(rows))
    forged = with_records(good, agent, lambda found: deed(found, k))
    found = against(forged)
    batch = batch_of(rows[k])
    number = f"epoch {batch.header.epoch.hex()} seq {batch.header.seq}"
    named = [one for one in found if one.finding is finding]
    if name == "reorder":
        other = batch_of(rows[(k + 5) % len(rows)])
        numbers = [number, name_of(other.header)]
        assert any(text in one.text for one in named for text in numbers), found
    else:
        assert any(number in one.text and agent in one.text for one in named), found


# --- what else the hub's owner may want to change ---------------------------------------------


def edited(data: bytes, name: str, change: Callable[[object], None]) -> bytes:
    def rewrite(content: bytes) -> bytes:
        told = json.loads(content)
        change(told)
        return d.canonical(told)

    return with_member(data, name, rewrite)


def test_another_contract_is_seen(good: bytes) -> None:
    def cheaper(told) -> None:
        for one in told:
            if one["statement"]["kind"] == "contract":
                body = json.loads(one["statement"]["body"])
                body["availability_target"] = 0.5
                one["statement"]["body"] = d.canonical(body).decode()

    found = against(edited(good, d.STATEMENTS, cheaper))
    assert any(one.check == "tree" and "contract a 2026-01-01" in one.text for one in found)
    assert any("availability: row 0: budget_left_s" in one.text for one in found)


def test_a_dropped_statement_or_entry_is_seen(good: bytes) -> None:
    found = against(edited(good, d.STATEMENTS, lambda told: told.pop()))
    assert any(one.finding is Finding.MISSING and "leaf" in one.text for one in found)
    found = against(edited(good, d.REGISTERS, lambda told: told["maintenance"].pop()))
    assert any(one.finding is Finding.MISSING and "leaf" in one.text for one in found)


def test_a_cancellation_cannot_be_taken_back(good: bytes) -> None:
    def uncancelled(told) -> None:
        for one in told["maintenance"]:
            one["cancelled"] = one["cancelled_position"] = None

    found = against(edited(good, d.REGISTERS, uncancelled))
    assert any(one.finding is Finding.MISSING and one.check == "tree" for one in found)


def test_another_ticket_or_entry_is_seen(good: bytes) -> None:
    def later(told) -> None:
        told["tickets"][0]["end_s"] += 60

    found = against(edited(good, d.REGISTERS, later))
    assert any("ticket T1 revision 1: not in file 1" in one.text for one in found)

    def longer(told) -> None:
        told["maintenance"][0]["notice"][2] += 60

    found = against(edited(good, d.REGISTERS, longer))
    assert any("maintenance entry 2: is not what leaf" in one.text for one in found)


def test_what_is_said_beside_the_evidence_is_seen(good: bytes) -> None:
    def shorter(told) -> None:
        told["availability"][0]["down_s"] -= 60

    found = against(edited(good, d.SAID, shorter))
    assert [one.text for one in found] == [
        "availability: row 0: down_s: computed 60, said 0 (1 computed, 1 said)"
    ]
    found = against(edited(good, d.SAID, lambda told: told["outages"].clear()))
    assert [one.text for one in found] == [
        "outages: said.json does not say what history.json says last",
        "outages: 1 computed, 0 said",
    ]
    found = against(edited(good, d.SAID, lambda told: told.update(bonus=1)))
    assert found[0].finding is Finding.INSERTED


def test_what_was_said_last_of_an_outage_cannot_be_another(good: bytes) -> None:
    def kinder(told) -> None:
        told[-1]["outage"]["charge"] = "excluded"

    found = against(edited(good, d.HISTORY, kinder))
    assert [one.text for one in found] == [
        "outages: said.json does not say what history.json says last"
    ]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (d.BUNDLE, lambda told: told["windows"].clear(), "windows: the batches ask for"),
        (d.BUNDLE, lambda told: told.update(to_s=2**70), "nothing that could be compared"),
        (d.BUNDLE, lambda told: told.update(made_wall_ns=5), "made at another moment"),
        (d.WORLD, lambda told: told[0].update(pop="P9"), "link a is not as it was stated"),
        (d.WORLD, lambda told: told[0]["roles"].pop("gateway"), "link a is not as it was stated"),
        (
            d.AGENTS,
            lambda told: told[0]["runs"][0].update(last_seq=2**60),
            "batches are listed",
        ),
        (
            d.REGISTERS,
            lambda told: told["maintenance"][1].update(cancelled_position=3),
            "cancellation of maintenance entry",
        ),
    ],
)
def test_what_the_collector_says_of_the_bundle_itself_has_to_fit(
    good: bytes, name: str, change: Callable[[object], None], said: str
) -> None:
    found = against(edited(good, name, change))
    assert any(said in one.text for one in found), found


def test_an_agents_key_cannot_be_exchanged(good: bytes) -> None:
    """All batches sealed anew by another key, which the bundle names as the agent's."""

    def resealed(rows: Records) -> Records:
        found = []
        for one in rows:
            batch = batch_of(one)
            sealed = wire_batch.seal(batch.header, batch.body, STRANGER)
            found.append(one._replace(batch=sealed.to_bytes()))
        return found

    def renamed(told) -> None:
        for one in told:
            if one["agent_id"] == AGENT:
                one["public_key"] = STRANGER.public_key().public_bytes_raw().hex()

    forged = edited(with_records(good, AGENT, resealed), d.AGENTS, renamed)
    found = against(forged)
    assert any(f"agent {AGENT}: not as its enrolment was stated" in one.text for one in found)


def test_a_batch_dropped_everywhere_breaks_the_chain_and_the_tree(good: bytes) -> None:
    """The owner also forgets to list it, and says that it never came."""
    rows = forge.records_of(good, AGENT)
    gone = batch_of(rows[12]).header
    forged = with_records(good, AGENT, lambda found: drop(found, 12))

    def unlisted(told) -> None:
        for one in told:
            if one["agent_id"] == AGENT:
                (run,) = one["runs"]
                after = dict(run, first_seq=gone.seq + 1)
                one["runs"] = [dict(run, last_seq=gone.seq - 1), after]
                one["absent"] = [dict(run, first_seq=gone.seq, last_seq=gone.seq)]

    found = against(edited(forged, d.AGENTS, unlisted))
    assert any(one.check == "tree" and one.finding is Finding.MISSING for one in found)


def test_a_history_made_anew_is_not_the_one_that_others_hold(
    good: bytes, small: Made, tmp_path: Path
) -> None:
    """The owner makes another ledger with another tree; only a head that was sent away tells."""
    other = made(tmp_path, (Site("a"), Site("b")), UNTIL_S)
    # It pretends to be the same ledger.
    with other.source.ledger.transaction() as db:
        db.execute(
            "UPDATE meta SET value=? WHERE key='ledger_id'", (small.source.ledger.ledger_id,)
        )
    bundle(other, tmp_path / "a.tar", "a", SPAN)
    forged = (tmp_path / "a.tar").read_bytes()
    other.district.close()
    mailed = bytes.fromhex(json.loads(forge.members(good)[d.HEADS])[0]["head"])
    assert checked(good, Outside(key=PUBLIC, heads=(mailed,))).good
    assert checked(forged).good
    found = against(forged, Outside(key=PUBLIC, heads=(mailed,)))
    assert [one.check for one in found] == ["heads"]
    assert "its history is another" in found[0].text


def test_heads_are_checked_one_by_one(good: bytes) -> None:
    found = against(edited(good, d.HEADS, lambda told: told.reverse()))
    assert any("leaves begins none of" in one.text for one in found)
    found = against(edited(good, d.HEADS, lambda told: told[1]["consistency"].clear()))
    assert any("the head before it is not its beginning" in one.text for one in found)
    found = against(edited(good, d.HEADS, lambda told: told.clear()))
    assert any("no head that could cover anything" in one.text for one in found)


def test_a_bundle_of_another_collector_is_not_this_ones(good: bytes) -> None:
    content = forge.members(good)
    forged = forge.packed(content, STRANGER)
    found = against(forged)
    assert any("expected was --key" in one.text for one in found)
    found = against(forged, Outside())
    assert any(one.check == "receipts" for one in found)


@pytest.mark.parametrize("name", [d.SAID, d.TREE, d.HEADS, d.HISTORY, d.AGENTS])
def test_a_member_that_is_gone_or_no_document_is_named(good: bytes, name: str) -> None:
    content = forge.members(good)
    del content[name]
    found = against(forge.packed(content))
    assert any(name in one.text and one.finding is Finding.MISSING for one in found)
    found = against(with_member(good, name, lambda content: content[:-1]))
    assert any(f"{name}: cannot be read" in one.text for one in found)


def test_strange_members_are_named(good: bytes) -> None:
    content = forge.members(good)
    found = against(forge.packed(content | {"notes.txt": b"x"}))
    assert any("notes.txt: no member of a bundle" in one.text for one in found)
    found = against(forge.packed(content | {d.BATCHES + "ff" * 16: b""}))
    assert any(one.finding is Finding.INSERTED and "ffff" in one.text for one in found)
    found = against(forge.packed(content | {"audit/2026-10.json": b"{}"}))
    assert any("no audit that follows from this bundle" in one.text for one in found)


@pytest.mark.parametrize("cut", [100, 600, 5000, -1, -1024, -2000])
def test_a_bundle_that_was_cut_off_is_seen(good: bytes, cut: int) -> None:
    try:
        found = against(good[:cut])
    except BundleError:
        return
    assert any("cut off" in one.text or one.check == "members" for one in found)
    more = against(good + b"\x00")
    assert any("1 bytes after the end" in one.text for one in more)


@pytest.mark.parametrize("data", [b"", b"x" * 2000, bytes(4096)])
def test_what_is_no_bundle_is_said(data: bytes) -> None:
    with pytest.raises(BundleError, match="no evidence bundle"):
        checked(data)
