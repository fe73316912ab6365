"""Maintenance windows as Alertmanager's silences: which there should be, and what to do for it.

Pure. A silence names its window by a key at the end of its comment, so that Alertmanager itself
remembers what was made of which window: nothing is kept here, and nothing is made twice.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from collector.audit.evidence import Span
from collector.contracts import Contracts
from collector.inventory import Inventory, Link
from collector.maintenance import Entry, covering, excused, in_all
from collector.tickets import show_time

CREATED_BY = "pantau-collector"
"""Silences of any other author are not touched."""
_KEY = re.compile(r"\[pantau ([0-9a-f]{12})/(\d+)\]\Z")
_KEY_DIGITS = 12
_MOST_WORDS = 500
"""Of what people typed: a comment is read in a list."""


class _Api(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Spelt as Alertmanager's API v2 does; fields that are not known here are passed over."""


class Matcher(_Api, frozen=True, kw_only=True, order=True):
    """A condition on one label of an alert; Alertmanager anchors a regular expression."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class State(StrEnum):
    """What a silence does now."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"


class _Status(_Api, frozen=True, kw_only=True):
    state: State


class Held(_Api, frozen=True, kw_only=True):
    """A silence as Alertmanager has it."""

    id: str
    status: _Status
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str

    def entry_of(self, ledger_id: bytes) -> int | None:
        """Number of the window that it was made of; None where it is not of this ledger."""
        found = _KEY.search(self.comment)
        if found is None or self.created_by != CREATED_BY:
            return None
        return int(found[2]) if found[1] == _digits(ledger_id) else None


class AlertSilence(NamedTuple):
    """A silence as it should be."""

    entry: int
    """Number of its window in the register."""
    matchers: tuple[Matcher, ...]
    """In order."""
    span: Span
    comment: str

    def is_as(self, held: Held, now_s: float) -> bool:
        """Whether this one needs no change. Alertmanager begins none in the past."""
        start_s, end_s = held.starts_at.timestamp(), held.ends_at.timestamp()
        return (
            (self._both_began(held, now_s) or abs(start_s - self.span.start_s) < 1)
            and abs(end_s - self.span.end_s) < 1
            and held.comment == self.comment
        )

    def _both_began(self, held: Held, now_s: float) -> bool:
        return held.starts_at.timestamp() <= now_s and self.span.start_s <= now_s

    def body(self, held: Held | None, now_s: float) -> bytes:
        """What is posted, in place of `held` if there is one.

        Alertmanager changes a silence that has begun only where the beginning stays.
        """
        start, end = (datetime.fromtimestamp(one, UTC) for one in self.span)
        keeps = held is not None and self._both_began(held, now_s)
        told = _Posted(
            id=None if held is None else held.id,
            matchers=self.matchers,
            starts_at=held.starts_at if held is not None and keeps else start,
            ends_at=end,
            created_by=CREATED_BY,
            comment=self.comment,
        )
        return msgspec.json.encode(told)


class _Posted(_Api, frozen=True, kw_only=True, omit_defaults=True):
    id: str | None = None
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str


class Request(NamedTuple):
    """One request to make."""

    held: Held | None
    """What there is; None where it is to be created."""
    wanted: AlertSilence | None
    """What is to be instead; None where it is to end."""


# --- what there should be ---------------------------------------------------------------------


class Basis(NamedTuple):
    """What silences are made of."""

    entries: Sequence[Entry]
    """All of the register, past ones too: they have their part in a month's cap."""
    inventory: Inventory
    promised: Contracts
    ledger_id: bytes


def wanted(basis: Basis, now_s: float) -> list[AlertSilence]:
    """The silences for all windows that are not over.

    A window silences alerts about a link while the link's contract excludes the time, because what
    the contract does not excuse is the provider's outage and somebody's work; on days without a
    contract, while it is approved. It silences the alert of a whole PoP where it covers all links
    of it, because the one that silences a part would hide the others behind it.
    """
    due = [one for one in basis.entries if one.cancelled is None and one.notice.end_s > now_s]
    by_entry: dict[int, dict[str, list[Span]]] = defaultdict(dict)
    for link in basis.inventory.links.values():
        if not covering(due, link, basis.inventory):
            continue
        about = covering(basis.entries, link, basis.inventory)
        for entry, spans in excused(basis.promised.of(link.id), about).items():
            by_entry[entry][link.id] = spans
    return [
        AlertSilence(entry.id, matchers, span, _comment(entry, basis.ledger_id))
        for entry in due
        for matchers, span in _of_entry(by_entry[entry.id], basis.inventory)
        if span.end_s > now_s
    ]


def _of_entry(
    links: dict[str, list[Span]], inventory: Inventory
) -> Iterator[tuple[tuple[Matcher, ...], Span]]:
    together: dict[Span, list[str]] = defaultdict(list)
    for link, spans in links.items():
        for span in spans:
            together[span].append(link)
    for span, names in sorted(together.items()):
        yield _links(names), span
    by_pop: dict[tuple[str, str], list[Link]] = defaultdict(list)
    for one in inventory.links.values():
        by_pop[one.pop, one.provider].append(one)
    for (pop, provider), its in sorted(by_pop.items()):
        for span in in_all(links.get(one.id, []) for one in its):
            yield _pop(pop, provider), span


def _links(names: Iterable[str]) -> tuple[Matcher, ...]:
    """As the rules label alerts about links. An id has no other special sign than the dot."""
    ids = sorted(names)
    either = "|".join(one.replace(".", r"\.") for one in ids)
    which = Matcher(name="link", value=either, is_regex=True)
    return (
        Matcher(name="about", value="link"),
        which if len(ids) > 1 else Matcher(name="link", value=ids[0]),
    )


def _pop(pop: str, provider: str) -> tuple[Matcher, ...]:
    return (
        Matcher(name="alertname", value="PantauPopDown"),
        Matcher(name="pop", value=pop),
        Matcher(name="provider", value=provider),
    )


def _comment(entry: Entry, ledger_id: bytes) -> str:
    """Who, what and until when, for whoever finds an alert silenced."""
    notice = entry.notice
    start, end = (show_time(one, notice.zone) for one in (notice.start_s, notice.end_s))
    document = "" if notice.document is None else f", {_short(notice.document)}"
    return (
        f"Jendela pemeliharaan / maintenance window {entry.id} ({notice.kind}):"
        f" {_short(str(notice.scope))}, {start} - {end}. {_short(notice.reason)}{document}."
        f" Disetujui / approved by: {_short(notice.approved_by or '-')}."
        f" Dicatat / recorded by: {_short(entry.recorded.by)}."
        f" [pantau {_digits(ledger_id)}/{entry.id}]"
    )


def _short(words: str) -> str:
    """In one line, of bounded length."""
    line = " ".join(words.split())
    return line if len(line) <= _MOST_WORDS else f"{line[: _MOST_WORDS - 1]}…"


def _digits(ledger_id: bytes) -> str:
    return ledger_id.hex()[:_KEY_DIGITS]


# --- what to do for it ------------------------------------------------------------------------


def plan(
    silences: Iterable[AlertSilence], held: Iterable[Held], ledger_id: bytes, now_s: float
) -> list[Request]:
    """The fewest requests after which Alertmanager has these and no others of this ledger.

    What exists for the same window and the same alerts is changed
    rather than made anew. Additions come first: at no moment is less silenced than before or after.
    """
    there: dict[tuple[int, tuple[Matcher, ...]], list[Held]] = defaultdict(list)
    for one in sorted(held, key=lambda silence: (silence.starts_at, silence.id)):
        entry = one.entry_of(ledger_id)
        if entry is not None and one.status.state is not State.EXPIRED:
            there[entry, tuple(sorted(one.matchers))].append(one)
    missing: list[AlertSilence] = []
    for silence in silences:
        same = there[silence.entry, tuple(sorted(silence.matchers))]
        as_it_is = next((one for one in same if silence.is_as(one, now_s)), None)
        if as_it_is is None:
            missing.append(silence)
        else:
            same.remove(as_it_is)
    changes = []
    for silence in missing:
        same = there[silence.entry, tuple(sorted(silence.matchers))]
        changes.append(Request(same.pop(0) if same else None, silence))
    surplus = [Request(one, None) for rest in there.values() for one in rest]
    return changes + sorted(surplus, key=lambda change: change.held.id if change.held else "")
