"""docs/evidence-v1.md against the code."""

import re
from pathlib import Path

from collector.bundle import container
from collector.bundle import documents as d
from collector.bundle.lines import Finding
from collector.bundle.statement import SECTIONS
from collector.tree import head
from collector.tree.leaf import LeafKind, StatementKind
from wire.receipt import RECEIPT_BYTES, Receipt

TEXT = (Path(__file__).parents[3] / "docs" / "evidence-v1.md").read_text()


def table(after: str) -> dict[str, str]:
    """First and last cell of the rows of the first table after a text."""
    part = TEXT[TEXT.index(after) :]
    rows = re.search(r"(?:^\|.*\|\n)+", part, re.M)
    assert rows is not None
    cells = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in rows[0].splitlines()]
    return {row[0]: row[-1] for row in cells[2:]}


def test_every_member_is_described() -> None:
    fixed = {container.MANIFEST, container.SIGNATURE, d.BUNDLE, d.AGENTS, d.WORLD, d.REGISTERS}
    fixed |= {d.STATEMENTS, d.HUB, d.HEADS, d.TREE, d.SAID, d.HISTORY}
    assert set(table("## 2. The file")) == fixed | {d.BATCHES + "AGENT", d.AUDITS + "NAME"}
    assert f"(`{container.FORMAT}`), `version` ({container.VERSION})" in TEXT


def test_every_word_of_verify_is_described() -> None:
    assert set(table("It says one line for each check")) == {one.value for one in Finding}


def test_layouts_have_the_sizes_that_are_told() -> None:
    assert table("## 3. Leaves").keys() == {one.value for one in LeafKind}
    for kind in StatementKind:
        assert f"`{kind.value}`" in TEXT
    sizes = list(table("### `batches/AGENT`"))
    assert [int(one) for one in sizes[:3]] == [8, 4, RECEIPT_BYTES]
    assert sum(int(one) for one in sizes[:3]) == d.RECORD_BYTES
    assert f"{head.HEAD_BYTES} octets" in TEXT
    receipt = Receipt(b"l" * 16, b"a" * 16, b"e" * 16, 1, b"d" * 32, 2)
    assert f"the first {len(receipt.pack())} octets of the batch's receipt" in TEXT
    assert list(table("## 4. Tree heads")) == ["0", "4", "20", "28", "36", "68"]
    assert len(head.TreeHead(b"l" * 16, 1, 2, b"r" * 32).pack()) == 68
    assert len(d.TreeProof(1, [(0, b"h" * 32)], [b"n" * 32]).pack()) == 8 + 4 + 4 + 40 + 32


def test_sections_are_named() -> None:
    part = TEXT[TEXT.index("## 6.") :]
    assert all(f"`{name}`" in part for name in SECTIONS)
