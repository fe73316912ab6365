"""docs/wire-v1.md against the code: every name is there, and every command in it works."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.web.agents import STATUS
from wire import batch, codec, receipt
from wire.detail import Exchange, Hop, Phase, Power, Reading, Resolution
from wire.detail import Path as Path_
from wire.errors import MAX_DETAIL, Refusal
from wire.journal import (
    Anchor,
    ClockStep,
    Gap,
    GapReason,
    Heartbeat,
    Settings,
    Start,
    Stop,
)
from wire.load import MAX_KNOCK_BYTES
from wire.message import (
    MAX_MESSAGE_BYTES,
    REVISION,
    REVISION_HEADER,
    Closed,
    End,
    Enrol,
    Enrolled,
    Figures,
    Kind,
    LinkTests,
    OrderProgress,
    OrderState,
    SlotReply,
    SlotRequest,
    SpoolStatus,
    Status,
    StatusReply,
    TargetStatus,
    ThroughputStatus,
    Want,
)
from wire.observation import MAX_OBSERVATIONS, Outcome, StampSource, Train
from wire.plan import Gate, Layer, Load, Order, Side, ThroughputPlan
from wire.policy import DeviceValue, Policy, Role, Target, Transport
from wire.slot import Direction, Grant, Method
from wire.transfer import (
    MAX_BINS,
    MAX_SAMPLES,
    Box,
    Flow,
    Headers,
    HubLoad,
    Purpose,
    Transfer,
    TransferOutcome,
)

DOCUMENT = Path(batch.__file__).parent.parent / "docs" / "wire-v1.md"
TEXT = DOCUMENT.read_text()
KEY = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
TOOLS = ("openssl", "zstd", "jq", "xxd", "sha256sum")
CANNOT_READ = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"
)


def section(title: str) -> str:
    """From a heading that begins with `title` to the next heading."""
    found = re.search(rf"^#+ {re.escape(title)}.*?(?=^##|\Z)", TEXT, re.M | re.S)
    assert found is not None, title
    return found[0]


FIELDS: list[tuple[str, tuple[str, ...]]] = [
    ("1.1", batch.Header._fields),
    ("2.1", Train.__struct_fields__),
    *[
        ("2.2", kind.__struct_fields__)
        for kind in (Start, Heartbeat, Anchor, Stop, ClockStep, Settings, Gap)
    ],
    *[
        ("2.3", kind.__struct_fields__)
        for kind in (Exchange, Resolution, Path_, Hop, Reading, Power)
    ],
    *[("2.4", kind.__struct_fields__) for kind in (Transfer, Flow, Headers, Box, HubLoad)],
    ("3.", receipt.Receipt._fields),
    ("4.1", Enrol.__struct_fields__),
    ("4.1", Enrolled.__struct_fields__),
    *[("4.2", kind.__struct_fields__) for kind in (Status, TargetStatus, SpoolStatus, StatusReply)],
    *[
        ("4.4", kind.__struct_fields__)
        for kind in (ThroughputPlan, Gate, Order, ThroughputStatus, LinkTests, OrderProgress)
    ],
    ("4.4", Figures.__struct_fields__),
    *[("4.5", kind.__struct_fields__) for kind in (SlotRequest, Want, SlotReply, Grant)],
    ("4.3", Policy.__struct_fields__),
    ("4.3", Target.__struct_fields__),
    ("4.3", DeviceValue.__struct_fields__),
]


@pytest.mark.parametrize(("title", "fields"), FIELDS)
def test_every_field_is_named_in_its_section(title: str, fields: tuple[str, ...]) -> None:
    missing = [field for field in fields if f"`{field}`" not in section(title)]
    assert missing == []


def test_every_word_of_throughput_is_named() -> None:
    assert f"`{Transfer.__struct_config__.tag}`" in section("2.4")
    words = {
        "2.4": (*TransferOutcome, *Purpose, *Method, *Direction),
        "4.4": (*Layer, *Side, *Load, *End, *OrderState),
        "4.5": (*Direction, *Method, *Closed),
    }
    missing = [
        word for at, told in words.items() for word in told if f"`{word}`" not in section(at)
    ]
    assert missing == []


def test_every_record_type_and_every_code_is_named() -> None:
    for kind in (Train, Start, Heartbeat, Stop, ClockStep, Settings, Gap):
        assert f"`{kind.__struct_config__.tag}`" in section("2") + section("2.1") + section("2.2")
    for kind in (Exchange, Resolution, Path_, Reading, Power):
        assert f"`{kind.__struct_config__.tag}`" in section("2.3")
    for word in (*Phase, *Transport):
        assert f"`{word}`" in section("2.3") + section("4.3")
    for code in (*Outcome, *StampSource):
        assert f"{code.value} {code.name}" in section("2.1")
    for reason in GapReason:
        assert f"`{reason}`" in section("2.2")
    for role in Role:
        assert f"`{role}`" in section("4.3")
    for kind_ in Kind:
        form = kind_.name.title().replace("_", "")
        assert f"{kind_.value} `{form}`" in section("4.")


def test_every_refusal_is_in_the_table_with_the_status_that_is_sent() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", section("5."), re.M))
    assert rows == {refusal.value: str(int(STATUS[refusal])) for refusal in Refusal}


def test_the_header_table_adds_up() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \|", section("1.1"), re.M)
    at = 0
    for offset, size in rows:
        assert int(offset) == at
        at += int(size)
    assert at == batch.HEADER_BYTES


def test_the_receipt_table_adds_up() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \|", section("3."), re.M)
    at = 0
    for offset, size in rows:
        assert int(offset) == at
        at += int(size)
    assert at == receipt.RECEIPT_BYTES


def test_every_limit_is_the_codes_own() -> None:
    for title, limit in [
        ("1. ", batch.MAX_BATCH_BYTES),
        ("1.1", codec.MAX_BODY_BYTES),
        ("1.1", codec.MAX_RAW_BYTES),
        ("2.1", MAX_OBSERVATIONS),
        ("2.4", MAX_BINS),
        ("2.4", MAX_SAMPLES),
        ("7.", MAX_KNOCK_BYTES),
        ("4. ", MAX_MESSAGE_BYTES),
        ("5.", MAX_DETAIL),
    ]:
        assert f"{limit:,}" in section(title)


def test_the_revision_and_its_header_are_told() -> None:
    assert f"`{REVISION_HEADER}: {REVISION}`" in section("5.")


def test_every_signing_context_is_told() -> None:
    sources = "".join(file.read_text() for file in DOCUMENT.parent.parent.glob("wire/*.py"))
    contexts = set(re.findall(r'b"(pantau-[a-z]+-v1)\\x00"', sources))
    assert len(contexts) >= 7
    assert [context for context in contexts if f'"{context}\\0"' not in TEXT] == []


def run(form: str, folder: Path) -> list[str]:
    """What the commands of this form print, block by block, in the document's order."""
    blocks = re.findall(rf"^```{form}\n(.*?)^```", section("6."), re.M | re.S)
    shell = [sys.executable, "-c"] if form == "python" else ["sh", "-euc"]
    return [
        subprocess.run(
            [*shell, block],
            cwd=folder,
            env=os.environ | {"KEY": KEY},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
        for block in blocks
    ]


@CANNOT_READ
def test_an_engineer_can_check_and_read_a_batch_with_the_commands_of_the_document(
    tmp_path: Path, golden_bytes: Callable[[str], bytes]
) -> None:
    data = golden_bytes("batch.bin")
    (tmp_path / "batch.bin").write_bytes(data)
    _, signature, body, chain, rows = run("sh", tmp_path)
    assert signature == "Signature Verified Successfully\n"
    told, computed = body.split()
    assert told == computed
    one = batch.parse(data)
    assert chain.split() == [one.digest.hex(), one.header.previous.hex()]
    lines = rows.splitlines()
    assert len(lines) == one.header.records + one.header.observations
    assert lines[one.header.records :] == [
        "desa-001/icon\thub\t0\t4200250\t24.012345\t0",
        "desa-001/icon\thub\t1\t4201250.012\t-\t1",
        "desa-001/icon\thub\t2\t4202250.007\t23.876001\t0",
        "desa-001/icon\thub\t3\t4203250.02\t-\t16",
    ]


@CANNOT_READ
def test_the_commands_of_the_document_notice_a_forgery(
    tmp_path: Path, golden_bytes: Callable[[str], bytes]
) -> None:
    data = bytearray(golden_bytes("batch.bin"))
    data[60] ^= 1
    (tmp_path / "batch.bin").write_bytes(data)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run("sh", tmp_path)
    assert "Signature Verification Failure" in caught.value.stdout


def test_the_python_of_the_document_reads_the_header(
    tmp_path: Path, golden_bytes: Callable[[str], bytes]
) -> None:
    data = golden_bytes("batch.bin")
    (tmp_path / "batch.bin").write_bytes(data)
    (printed,) = run("python", tmp_path)
    one = batch.parse(data)
    assert f"digest {one.digest.hex()}\n" in printed
    assert f"agent_id {one.header.agent_id.hex()}\n" in printed
    assert f"observations {one.header.observations}\n" in printed
    assert "sealed, as the agent believed: 2026-09-21 14:14:20+00:00\n" in printed
