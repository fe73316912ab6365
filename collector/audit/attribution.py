"""Why a link was not up and who answers for it: the decision table of methodology 2.3.

`attribute` cuts each run where the evidence changes and judges each piece; the first row that
matches wins. The window of a piece is the piece and 30 s around it. Rows A1, A2, A3 and A7 are in
`silence`, A4 in `lan`, A5 and A6 in `beyond`, A8 and A9 in `ends`; A0 and A10 are here.

| row | condition | cause | state, charge |
|---|---|---|---|
| A0 | an approved window covers the second | MAINTENANCE | as seen, excluded |
| A1 | silence, box booted, CPE booted within 120 s of it or mains off | SITE_POWER | UNKNOWN, P |
| A1 | agent lived (battery), CPE lost on the LAN, mains off | SITE_POWER | DOWN, P |
| A2 | silence, box booted anew, CPE ran on | AGENT_POWER | UNKNOWN, unknown, unless A7 |
| A3 | silence, same boot, another process | AGENT_CRASH | UNKNOWN, unknown, unless A7 |
| A4 | agent lived, CPE or carrier lost 10 s or more, CPE restarted | CPE_RESTART | DOWN, owner |
| A4 | the same, CPE not known to have restarted | LAN | DOWN, owner |
| A5 | CPE answers, hub and anchors lost or no way out, no event | ACCESS_LINK | DOWN, provider |
| A6 | the run is part of a CORE event, or the first hop answers | PROVIDER_CORE | DOWN, provider |
| A7 | unknown; CPE's counters or hub's prober saw packets pass | RESOLVED_UP | UP, none |
| A8 | hub lost, an anchor answers | HUB_OR_ANCHOR | UP, none |
| A8 | hub off, or lost by all links at once; no anchor asked | HUB_OR_ANCHOR | UNKNOWN, unknown |
| A9 | hub answers, all anchors lost ten times | UPSTREAM | DOWN, provider; no Internet sold: UP |
| A10 | anything else | UNDETERMINED | as seen, unknown |

P: excluded where the contract excludes site power and takes this proof, else unknown; it lasts from
the last record to the box's boot. Owner: of the CPE; the customer's own is excluded.

Rules beside the table:

- Silence is never downtime: where no record shows that the agent lived, the state is UNKNOWN or,
  by A7, UP. So a run that begins as ACCESS_LINK and goes on in silence is cut where it fell silent.
- After the box's boot and before the agent's first record nobody's power is to blame: UNDETERMINED.
- A CPE that restarted gets 120 s to connect; that time belongs to what restarted it.
- A target that does not answer while the link is up proves nothing by silence when it is down.
  The first hop's silence never proves anything; its answer does.
- Where node and hub's prober disagree, nobody is charged: DOWN, unknown.
- The hub alone proves nothing (A5) unless a peer reached it, the CPE's WAN was down, or B was lost.
- To charge PROVIDER or EXCLUDED two classes of evidence must agree; else the charge is UNKNOWN.
  DOWN with charge UNKNOWN stays DOWN for the reader and counts as Uk, not as D: the charge alone
  enters the arithmetic (NONE: U, PROVIDER: D, EXCLUDED: X, UNKNOWN: Uk).
"""

from collections.abc import Sequence

from collector.audit.beyond import Beyond
from collector.audit.correlation import Context
from collector.audit.ends import Ends
from collector.audit.evidence import Evidence, Span
from collector.audit.finding import Case, Claim, Finding, nothing, painted, unknown
from collector.audit.intervals import Interval, Run
from collector.audit.lan import Lan
from collector.audit.lives import Site
from collector.audit.rules import Terms
from collector.audit.sights import Sights, without
from collector.audit.silence import Silence
from collector.audit.states import Cause, Charge, State
from collector.audit.states import EvidenceClass as Witness
from collector.audit.why import Clause, clause

SILENCE_S = 10
"""Heartbeats come every 10 s: a shorter hole in a run says nothing of the agent's life."""


def attribute(
    evidence: Evidence, runs: tuple[Run, ...], terms: Terms, context: Context
) -> tuple[Interval, ...]:
    """Intervals over exactly the seconds of `runs`, each with its cause and charge."""
    judge = _Judge(evidence, terms, context)
    found: list[Interval] = []
    for run in runs:
        for span, finding in judge.run(run):
            found.extend(judge.excused(finding.over(span)))
    return tuple(_merged(found))


def _merged(intervals: Sequence[Interval]) -> list[Interval]:
    whole: list[Interval] = []
    for one in intervals:
        if whole and whole[-1][2:] == one[2:]:
            whole[-1] = whole[-1]._replace(end_s=one.end_s)
        else:
            whole.append(one)
    return whole


class _Judge:
    """One link's evidence."""

    def __init__(self, evidence: Evidence, terms: Terms, context: Context) -> None:
        case = Case(evidence, terms, context, Sights(evidence.strip), Site(evidence))
        self._case, self._ends, self._silence = case, Ends(case), Silence(case)
        self._lan, self._beyond = Lan(case, self._silence), Beyond(case, self._silence)

    def run(self, run: Run) -> list[Claim]:
        """The pieces of a run, in order."""
        span = Span(run.start_s, run.end_s)
        if run.state in (State.UP, State.DEGRADED):
            claims, rest = painted(span, self._ends.while_up(run.state, span))
            claims.extend((one, nothing(run.state)) for one in rest)
            return sorted(claims)
        silences = [
            one
            for one in self._case.sights.silences(span)
            if one.length_s >= min(SILENCE_S, span.length_s)
        ]
        found: list[Claim] = []
        for one in silences:
            found.extend(self._silence.over(one))
        for one in without(span, silences):
            found.extend(self._alive(run, one))
        return sorted(found)

    def excused(self, one: Interval) -> list[Interval]:
        """A0: what approved windows cover of an interval that is not up."""
        if one.state not in (State.DOWN, State.UNKNOWN):
            return [one]
        claims = [
            (
                Span(window.start_s, window.end_s),
                Finding(
                    one.state,
                    Cause.MAINTENANCE,
                    Charge.EXCLUDED,
                    frozenset({Witness.OPERATOR, *one.witnesses}),
                    clause(Clause.MAINTENANCE, window=window.id, kind=window.kind),
                    one.event,
                ),
            )
            for window in self._case.context.windows
        ]
        covered, rest = painted(Span(one.start_s, one.end_s), claims)
        found = [finding.over(span) for span, finding in covered]
        found.extend(one._replace(start_s=a, end_s=b) for a, b in rest)
        return sorted(found)

    def _alive(self, run: Run, span: Span) -> list[Claim]:
        claims = [*self._ends.while_not_up(span), *self._lan.lost(span), *self._lan.settling(span)]
        found, rest = painted(span, claims)
        for one in rest:
            if run.state is State.UNKNOWN:
                nothing = unknown(Cause.UNDETERMINED, clause(Clause.NOTHING_ASKED), Witness.JOURNAL)
                found.append((one, self._silence.counted(one) or nothing))
            else:
                found.append((one, self._beyond.over(run, one)))
        return found
