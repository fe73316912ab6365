"""What one row of the decision table says of a span, and all that a row may look at."""

from collections.abc import Sequence
from typing import NamedTuple

from collector.audit import why
from collector.audit.correlation import Context
from collector.audit.evidence import Evidence, Span
from collector.audit.intervals import Interval
from collector.audit.lives import Site
from collector.audit.rules import Terms
from collector.audit.sights import Count, Sights, within, without
from collector.audit.states import Cause, Charge, State
from collector.audit.states import EvidenceClass as Witness
from collector.audit.strip import View
from collector.audit.why import Clause, clause

_ORDER = list(Witness)


class Case(NamedTuple):
    """One link's evidence, the terms it is judged by, and what others showed."""

    evidence: Evidence
    terms: Terms
    context: Context
    sights: Sights
    site: Site

    def beyond_lost(self, span: Span) -> bool:
        """Packets beyond the CPE were sent, and most of them lost."""
        hub, anchor = (self.sights.count(view, span) for view in (View.HUB, View.ANCHOR))
        lost = hub.lost + anchor.lost
        return lost > hub.ok + anchor.ok and lost > 0


class Finding(NamedTuple):
    """What one row of the table says."""

    state: State
    cause: Cause
    charge: Charge
    witnesses: frozenset[Witness] = frozenset()
    why: str = ""
    event: str | None = None

    def over(self, span: Span) -> Interval:
        """As an interval; one witness can neither charge nor excuse."""
        charge, said = self.charge, self.why
        if charge in (Charge.PROVIDER, Charge.EXCLUDED) and len(self.witnesses) < 2:
            charge, said = Charge.UNKNOWN, why.join(said, clause(Clause.ONE_CLASS))
        witnesses = tuple(sorted(self.witnesses, key=_ORDER.index))
        return Interval(*span, self.state, self.cause, charge, witnesses, said, self.event)


Claim = tuple[Span, Finding]


def painted(span: Span, claims: Sequence[Claim]) -> tuple[list[Claim], list[Span]]:
    """Each second goes to the first claim that covers it; and what is left, in order."""
    taken: list[Claim] = []
    rest = [span]
    for covered, finding in claims:
        taken.extend((part, finding) for one in rest for part in within([covered], one))
        rest = [part for one in rest for part in without(one, [covered])]
    return taken, rest


def nothing(state: State) -> Finding:
    """Nothing is to be explained."""
    return Finding(state, Cause.NONE, Charge.NONE)


def unknown(cause: Cause, said: str, *witnesses: Witness) -> Finding:
    """Nobody can be charged."""
    return Finding(State.UNKNOWN, cause, Charge.UNKNOWN, frozenset(witnesses), said)


def outside_lost(seen: Count) -> str:
    """That the hub's prober lost the CPE."""
    return clause(Clause.OUTSIDE_LOST, lost=seen.lost, asked=seen.asked)
