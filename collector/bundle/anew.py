"""Makes a bundle's audits anew of its batches, and says where the collector's say otherwise.

What follows from the batches, contracts and registers in the bundle is made by the code that made
it at the hub, and has to be equal to the byte. What does not follow from them is taken from the
audit as it is said, so that what hangs on it is checked all the same, and is named: a reader has to
know what nobody computed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from collector.audit.calendar import Month
from collector.bundle import audits
from collector.bundle.documents import KeptDocument
from collector.bundle.given import Given
from collector.bundle.lines import Finding, Lines
from collector.bundle.recompute import Papers, Recomputed, register_entries, tickets
from collector.bundle.statement import Wanted
from collector.ledger.outages import Lane
from collector.ledger.sqlite import SqliteLedger
from collector.report import summary
from collector.report.assemble import Frame, audit, link_part
from collector.report.document import canonical, digest, places
from collector.report.reader import LinkReader, registered
from collector.report.record import (
    Audit,
    LinkPart,
    Match,
    OutagePart,
    Part,
    PeriodPart,
    RestitutionPart,
    Scope,
    TrendMonth,
)
from collector.restitution import Rule

AUDITS = "audits"
MOST_PLACES = 20
"""Of one audit, places that are told one by one."""
MOST_LETTERS = 120
"""Of a value."""


class Uncovered(NamedTuple):
    """What an audit says and this bundle cannot show."""

    place: str
    why: str


class _Issued(msgspec.Struct, frozen=True, kw_only=True):
    """See report.record.Document; the audit byte for byte."""

    revision: int
    audit_sha256: str
    audit: msgspec.Raw


class _Told(NamedTuple):
    """An audit that is to be compared."""

    name: str
    data: bytes
    month: Month
    issued: bool = False
    """Given from elsewhere: another release may have made it."""


class _Name(NamedTuple):
    """What the collector's ledger calls an outage."""

    id: int
    revision: int


class _Made(NamedTuple):
    """An audit made anew, with what of it is as said."""

    audit: Audit
    uncovered: tuple[Uncovered, ...]


P = TypeVar("P", bound=Part)
_decode = msgspec.json.Decoder(Audit).decode
_plain = msgspec.json.decode
_sorted = msgspec.json.Encoder(order="sorted").encode


class Anew:
    """The audits of one link, of what was recomputed."""

    def __init__(
        self,
        ledger: SqliteLedger,
        found: Recomputed,
        papers: Papers,
        history: Sequence[KeptDocument],
    ) -> None:
        """`history` is what the collector's ledger said of the outages, and calls them."""
        self._papers, self._stores = papers, found.stores
        bundle = papers.bundle
        self._wanted = Wanted(bundle.link, bundle.span, bundle.judged_at_s)
        self._reader = LinkReader(
            ledger, found.stores.derived, found.stores.kept, lambda: papers.promised
        )
        self._told = registered(register_entries(papers.registers), tickets(papers.registers))
        newest = {one.id: one for one in history if one.lane == Lane.EVIDENCE}
        self._names = {
            one.outage.start.at_s: _Name(one.id, one.revision)
            for one in newest.values()
            if not one.withdrawn
        }
        self.months = audits.months(papers.promised[1], self._wanted)

    # --- making -------------------------------------------------------------------------------

    def make(self, month: Month, said: Audit, software: str) -> _Made:
        """The audit of a month that the bundle holds whole; what it cannot show is as `said`."""
        inventory, _ = self._papers.promised
        link = inventory.links[self._wanted.link]
        tolerance_s = said.tickets.tolerance_s
        facts = self._reader.facts(link, month, self._wanted.now_s, self._told)
        assert facts is not None, "a whole month has a contract"
        own = self._named(link_part(facts, tolerance_s))
        theirs = next((one for one in said.links if one.link == link.id), None)
        part = own if theirs is None else self._borrowed(own, theirs)
        trend = summary.trend(month, [facts.months], [part])
        frame = Frame(month, Scope(kind="link", value=link.id), tolerance_s, software)
        return _Made(
            audit(frame, [part], self._trend(month, trend, said.summary.trend)),
            tuple(self._uncovered(month, part, said)),
        )

    def _named(self, part: LinkPart) -> LinkPart:
        """An outage is called by its number in the collector's ledger, which says nothing of it:
        here it is found by its beginning."""
        return _with(part, periods=tuple(self._named_in(one) for one in part.periods))

    def _named_in(self, period: PeriodPart) -> PeriodPart:
        return _with(
            period,
            outages=tuple(self._called(one) for one in period.outages),
            tickets=tuple(self._matched(one) for one in period.tickets),
        )

    def _called(self, one: OutagePart) -> OutagePart:
        name = self._names.get(one.start_s, _Name(0, 0))
        return _with(one, id=name.id, revision=name.revision)

    def _matched(self, one: Match) -> Match:
        if one.outage is None or one.start_s is None:
            return one
        return _with(one, outage=self._names.get(one.start_s, _Name(0, 0)).id)

    def _borrowed(self, part: LinkPart, said: LinkPart) -> LinkPart:
        """With what does not follow from the bundle."""
        periods = part.periods
        if len(periods) == len(said.periods):
            periods = tuple(
                _with(mine, restitution=_amounts(mine, theirs)) if self._all_paths(mine) else mine
                for mine, theirs in zip(periods, said.periods, strict=True)
            )
        return _with(part, verdicts=said.verdicts, periods=periods)

    def _all_paths(self, period: PeriodPart) -> bool:
        """Whether the rule asks for links of the node that are not judged here."""
        return period.restitution.rule is Rule.PALAPA and self._beside() != []

    def _beside(self) -> list[str]:
        """The node's other links."""
        link = self._papers.promised[0].links[self._wanted.link]
        return [
            one.link for one in self._papers.links if one.node == link.node and one.link != link.id
        ]

    def _trend(
        self, month: Month, made: Sequence[TrendMonth], said: Sequence[TrendMonth]
    ) -> tuple[TrendMonth, ...]:
        """Rows of the months before that the bundle does not hold are as said."""
        foreign = {str(one) for one in self._foreign(month)}
        theirs = {one.month: one for one in said}
        return tuple(theirs.get(one.month, one) if one.month in foreign else one for one in made)

    def _foreign(self, month: Month) -> list[Month]:
        _, contracts = self._papers.promised
        return [
            one
            for one in summary.before(month, summary.TREND - 1)
            if not audits.holds(contracts, self._wanted, one)
        ]

    # --- what it cannot show ------------------------------------------------------------------

    def _uncovered(self, month: Month, part: LinkPart, said: Audit) -> Iterator[Uncovered]:
        """By place; `part` has what is as said."""
        own = Scope(kind="link", value=part.link)
        yield Uncovered(
            f"links[{part.link}].verdicts",
            f"{len(part.verdicts)} said: dedicated verdicts compare the tests of all links over"
            " months; what the audit counts of them follows from these",
        )
        for at, period in enumerate(part.periods):
            if self._all_paths(period):
                yield Uncovered(
                    f"links[{part.link}].periods[{at}].restitution",
                    f"rule PALAPA asks for the node's other links ({', '.join(self._beside())}),"
                    " which are not judged here",
                )
        foreign = self._foreign(month)
        if foreign and said.scope == own:
            names = ", ".join(map(str, foreign))
            yield Uncovered("summary.trend", f"months that the bundle does not hold whole: {names}")
        yield Uncovered(
            "tickets.tolerance_s",
            f"{said.tickets.tolerance_s} s: the collector's setting, by which outages and tickets"
            " are matched",
        )
        if said.scope != own:
            yield Uncovered(
                f"all but links[{part.link}]", "it is of links that are not in this bundle"
            )

    # --- comparing ----------------------------------------------------------------------------

    def check(self, documents: Mapping[str, bytes], lines: Lines) -> None:
        """The bundle's own audits, by file name."""
        months = {audits.file_of(one): one for one in self.months.whole}
        for name in sorted(documents.keys() - months.keys()):
            text = f"{name}: no audit that follows from this bundle"
            lines.fail(AUDITS, Finding.INSERTED, text)
        for name, month in months.items():
            if name not in documents:
                lines.fail(AUDITS, Finding.MISSING, f"{name}: follows, and is not here")
            else:
                self._whole(_Told(name, documents[name], month), lines)
        for left in self.months.left:
            text = f"{audits.file_of(left.month)}: no audit is here: {left.why}"
            lines.say(AUDITS, Finding.NOTED, text)

    def check_given(self, given: Given, lines: Lines) -> None:
        """A document that was issued: its own digest, and what it says of this link."""
        try:
            document = msgspec.json.decode(given.data, type=_Issued)
            said = _decode(document.audit)
        except (msgspec.MsgspecError, UnicodeError) as error:
            text = f"{given.name}: cannot be read as an audit document: {error}"
            lines.fail(AUDITS, Finding.ALTERED, text)
            return
        made = "a draft" if document.revision == 0 else f"revision {document.revision}"
        name = f"{given.name} ({made} of {said.month}, {said.scope})"
        if digest(bytes(document.audit)) != document.audit_sha256:
            text = f"{name}: audit_sha256 is not that of the audit in it"
            lines.fail(AUDITS, Finding.ALTERED, text)
        else:
            text = f"{name}: SHA-256 {digest(given.data)}: compare it with the signed paper's"
            lines.say(AUDITS, Finding.NOTED, text)
        month = next((one for one in self.months.whole if str(one) == said.month), None)
        link = self._wanted.link
        if month is None or all(one.link != link for one in said.links):
            what = f"of {said.month}" if month is None else f"of link {link}"
            text = f"{name}: this bundle and the document have no audit {what} in common"
            lines.fail(AUDITS, Finding.MISSING, text)
        elif said.scope == Scope(kind="link", value=link):
            self._whole(_Told(name, bytes(document.audit), month, issued=True), lines)
        else:
            self._part(name, said, _plain(document.audit), (month, lines))

    def _whole(self, told: _Told, lines: Lines) -> None:
        """An audit of the link's own scope."""
        name = told.name
        try:
            said = _decode(told.data)
        except (msgspec.MsgspecError, UnicodeError) as error:
            lines.fail(AUDITS, Finding.ALTERED, f"{name}: cannot be read as an audit: {error}")
            return
        software = said.software if told.issued else self._papers.bundle.software
        made = self.make(told.month, said, software)
        anew = canonical(made.audit)
        if anew == told.data:
            text = f"{name}: made anew of the batches, equal to the byte"
            lines.say(AUDITS, Finding.HOLDS, text)
        else:
            _tell(name, _plain(told.data), _plain(anew), lines)
        _name_uncovered(name, made, lines)

    def _part(self, name: str, said: Audit, plain: Any, to: tuple[Month, Lines]) -> None:
        """An audit of several links: what it says of this one."""
        month, lines = to
        made = self.make(month, said, said.software)
        link = self._wanted.link
        theirs = [one for one in plain["links"] if one["link"] == link]
        mine = [_plain(_sorted(one)) for one in made.audit.links]
        if _sorted(theirs) == _sorted(mine):
            text = f"{name}: links[{link}] made anew of the batches, equal to the byte"
            lines.say(AUDITS, Finding.HOLDS, text)
        else:
            _tell(name, {"links": theirs}, {"links": mine}, lines)
        _name_uncovered(name, made, lines)


def _name_uncovered(name: str, made: _Made, lines: Lines) -> None:
    for one in made.uncovered:
        lines.say(AUDITS, Finding.UNCOVERED, f"{name}: {one.place}: {one.why}")


def _amounts(mine: PeriodPart, theirs: PeriodPart) -> RestitutionPart:
    """Their amounts, under the contract's terms."""
    own, said = mine.restitution, theirs.restitution
    return _with(
        own,
        formula=said.formula,
        values=said.values,
        exact=said.exact,
        rupiah=said.rupiah,
        at_most_rupiah=said.at_most_rupiah,
    )


def _tell(name: str, said: Any, made: Any, lines: Lines) -> None:
    """Each place that differs, as far as a reader bears it."""
    count = 0
    for one in places(said, made):
        count += 1
        if count <= MOST_PLACES:
            text = f"{name}: {one.place}: computed {_short(one.now)}, said {_short(one.before)}"
            lines.fail(AUDITS, Finding.DIFFERS, text)
    if count > MOST_PLACES:
        text = f"{name}: {count - MOST_PLACES} more places differ"
        lines.fail(AUDITS, Finding.DIFFERS, text)
    if count == 0:
        text = f"{name}: the same values, written otherwise than docs/audit-json.md has it"
        lines.fail(AUDITS, Finding.DIFFERS, text)


def _short(value: str | None) -> str:
    text = "nothing" if value is None else value
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def _with(one: P, **changes: Any) -> P:
    return msgspec.structs.replace(one, **changes)
