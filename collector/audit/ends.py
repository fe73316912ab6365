"""One end of the measurement was away and the link was not: rows A8 and A9 of the table."""

from collector.audit import why
from collector.audit.correlation import Event
from collector.audit.evidence import Span
from collector.audit.finding import Case, Claim, Finding
from collector.audit.lives import WINDOW_S
from collector.audit.sights import touching, within
from collector.audit.states import Cause, Charge, State
from collector.audit.states import EvidenceClass as Witness
from collector.audit.strip import View
from collector.audit.why import Clause, clause

LEAST_LOST = 10
"""Seconds with packets lost that make a loss of all anchors more than lossy (n = 10, methodology
1.3): of anchors asked every 10 s three losses in a row span as many seconds and prove little."""


class Ends:
    """Hub and anchors of one link."""

    def __init__(self, case: Case) -> None:
        self._case = case
        sights = case.sights
        whole = Span(sights.start_s, sights.end_s)
        self._hub_lost = sights.lost(View.HUB, whole)
        self._anchors_lost = sights.lost(View.ANCHOR, whole) if sights.believed(View.ANCHOR) else []

    def while_up(self, state: State, span: Span) -> list[Claim]:
        """Where one end was lost for 10 s or more while the link was up: the loss of a link that
        was down a moment ago, or is lossy, is the link's and no end's."""
        return [
            *(
                (part, self._hub_away(state, part))
                for one in within(touching(self._hub_lost, span), span)
                for part in self._case.sights.lost(View.HUB, one)
            ),
            *(
                (part, self._upstream(state, one, part))
                for one in touching(self._anchors_lost, span)
                for inside in within([one], span)
                for part in self._case.sights.lost(View.ANCHOR, inside)
                if self._case.sights.count(View.ANCHOR, part).lost >= LEAST_LOST
            ),
        ]

    def _hub_event(self, span: Span) -> Event | None:
        return next(
            (
                event
                for event in self._case.context.hub
                if self._case.evidence.link in event.members
                and event.start_s < span.end_s + WINDOW_S
                and span.start_s - WINDOW_S < event.end_s
            ),
            None,
        )

    def _hub_away(self, state: State, span: Span) -> Finding:
        lost = self._case.sights.count(View.HUB, span).lost
        event = self._hub_event(span)
        return Finding(
            state,
            Cause.HUB_OR_ANCHOR,
            Charge.NONE,
            frozenset({Witness.NODE_PROBES} | ({Witness.FLEET} if event else set())),
            why.join(clause(Clause.ANCHOR_ANSWERED, lost=lost), _lost_by_all(event)),
            event.name if event else None,
        )

    def _upstream(self, state: State, loss: Span, part: Span) -> Finding:
        """A9 in `part` of a loss of all anchors."""
        kept = (self._case.context.anchors_kept or {}).get(loss.start_s, 0)
        lost = self._case.sights.count(View.ANCHOR, part).lost
        said = clause(Clause.ANCHORS_LOST, lost=lost)
        if kept:
            said = why.join(said, clause(Clause.ANCHORS_KEPT, kept=kept))
        witnesses = frozenset({Witness.NODE_PROBES} | ({Witness.FLEET} if kept else set()))
        if not self._case.terms.internet:
            return Finding(state, Cause.UPSTREAM, Charge.NONE, witnesses, said)
        # Without anybody who reached them the anchors themselves may have been dead.
        seen = State.DOWN if kept else State.UNKNOWN
        return Finding(seen, Cause.UPSTREAM, Charge.PROVIDER, witnesses, said)

    def while_not_up(self, span: Span) -> list[Claim]:
        """A8 within a run that is not up."""
        answered = [
            (one, self._hub_away(State.UP, one))
            for one in self._case.sights.answered(View.ANCHOR, span)
            if not self._case.sights.count(View.HUB, one).ok
        ]
        off: list[tuple[Span, str, Event | None]]
        off = [(one, clause(Clause.HUB_OFF), None) for one in self._case.evidence.hub_off]
        event = self._hub_event(span)
        if event is not None:
            off.append((Span(event.start_s, event.end_s), _lost_by_all(event), event))
        away: list[Claim] = []
        for (start_s, end_s), said, common in off:
            # The hub was back for half of them; each hears it again when its next packet is due.
            for one in within([Span(start_s - WINDOW_S, end_s + WINDOW_S)], span):
                anchor = self._case.sights.count(View.ANCHOR, one)
                if anchor.lost or anchor.unsent:
                    continue
                witness = Witness.FLEET if common else Witness.HUB_SIDE
                away.append(
                    (
                        one,
                        Finding(
                            State.UNKNOWN,
                            Cause.HUB_OR_ANCHOR,
                            Charge.UNKNOWN,
                            frozenset({witness}),
                            said,
                            common.name if common else None,
                        ),
                    )
                )
        return [*answered, *away]


def _lost_by_all(event: Event | None) -> str:
    if event is None:
        return ""
    return clause(Clause.HUB_LOST_BY_ALL, members=len(event.members), observed=event.observed)
