"""The mail that tells a provider of tree heads: pure."""

from datetime import UTC, datetime

from collector.mail import Attachment, Letter
from collector.tree.leaf import canonical
from collector.tree.store import KeptHead
from runtime.clock import SECOND

_TEXT = """\
Berikut tanda tangan (tree head) atas semua bukti ukur yang tersimpan sampai saat itu. Simpanlah
surat ini: dengannya Anda dapat membuktikan bila bukti diubah, disisipkan atau dihapus kemudian.

These are the collector's signed tree heads (RFC 9162) over all evidence held at those moments.
Keep this mail: with it you can prove any later change, insertion or removal. In `verify`:
  pantau-collector verify BUNDLE --head HEX

{rows}
"""


def row(one: KeptHead) -> str:
    """One head in words and hex."""
    at = datetime.fromtimestamp(one.head.wall_ns // SECOND, UTC)
    return (
        f"head {one.id}: {at:%Y-%m-%d %H:%M:%S} UTC, {one.head.size} leaves\n"
        f"  root {one.head.root.hex()}\n"
        f"  {one.data.hex()}"
    )


def plain(one: KeptHead) -> dict[str, object]:
    """One head as data for JSON."""
    return {
        "id": one.id,
        "tree_size": one.head.size,
        "signed_s": one.head.wall_ns / SECOND,
        "root": one.head.root.hex(),
        "head": one.data.hex(),
    }


def letter(address: str, heads: list[KeptHead]) -> Letter:
    """All of these heads, the oldest first; at least one."""
    newest = heads[-1]
    subject = f"Pantau tree head {newest.id}: {newest.head.size} leaves"
    attached = Attachment(
        f"heads-{newest.id}.json", "application/json", canonical([plain(one) for one in heads])
    )
    return Letter(address, subject, _TEXT.format(rows="\n".join(map(row, heads))), (attached,))
