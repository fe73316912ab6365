"""Nothing was recorded: rows A1, A2, A3 and A7 of the table. Silence is never downtime."""

from collector.audit import why
from collector.audit.correlation import Event
from collector.audit.evidence import Span
from collector.audit.finding import Case, Claim, Finding, outside_lost, painted, unknown
from collector.audit.lives import RESTART_S, Cut, Hole
from collector.audit.rules import PowerProof
from collector.audit.sights import Count
from collector.audit.states import Cause, Charge, State
from collector.audit.states import EvidenceClass as Witness
from collector.audit.strip import View
from collector.audit.why import Clause, clause


class Silence:
    """What boots, counters, mains and the hub's prober say of one link's silences."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def over(self, span: Span) -> list[Claim]:
        """The pieces of a silence, in order."""
        claims = self._outside_answered(span)
        hole, cut = self._case.site.hole(span), self._case.site.cut(span)
        if cut is not None:
            claims.append((cut.span, self.site_power(cut, State.UNKNOWN)))
            first = Span(cut.span.end_s, span.end_s)
            if first.length_s > 0:
                claims.append((first, self._unseen(span, _starting(cut.hole))))
        claims.append(
            (span, self._resolved(hole, span) or self._unseen(span, self._gone(hole, span)))
        )
        return sorted(painted(span, claims)[0])

    def _outside_answered(self, span: Span) -> list[Claim]:
        spans = self._case.sights.answered(View.OUTSIDE, span)
        return [(one, self.outside(self._case.sights.count(View.OUTSIDE, one))) for one in spans]

    def outside(self, seen: Count) -> Finding:
        """A7: the hub's prober reached the CPE."""
        said = clause(Clause.OUTSIDE_ANSWERED, ok=seen.ok, asked=seen.asked)
        return Finding(
            State.UP, Cause.RESOLVED_UP, Charge.NONE, frozenset({Witness.HUB_SIDE}), said
        )

    def site_power(self, cut: Cut, state: State) -> Finding:
        """A1."""
        hole, terms = cut.hole, self._case.terms
        witnesses, said = {Witness.JOURNAL}, []
        if cut.cpe_s is not None and PowerProof.CPE_RESTART in cut.proofs:
            witnesses.add(Witness.DEVICE)
            said.append(
                clause(
                    Clause.SITE_POWER_RESTARTS,
                    silent_at=int(hole.before.last_s),
                    first_at=int(hole.after.first_s),
                    boot_at=int(hole.after.booted_s),
                    cpe_at=int(cut.cpe_s),
                    apart_s=round(abs(cut.cpe_s - hole.after.booted_s)),
                )
            )
        if cut.mains_s is not None:
            witnesses.add(Witness.MAINS)
            said.append(clause(Clause.SITE_POWER_SENSED, mains_at=int(cut.mains_s)))
        agreed = terms.site_power_excluded and any(
            proof in terms.site_power_proofs for proof in cut.proofs
        )
        if not agreed:
            said.append(clause(Clause.NOT_AGREED))
        event = self._power_event(cut.span)
        if event is not None:
            witnesses.add(Witness.FLEET)
        charge = Charge.EXCLUDED if agreed else Charge.UNKNOWN
        name = event.name if event else None
        return Finding(state, Cause.SITE_POWER, charge, frozenset(witnesses), why.join(*said), name)

    def _power_event(self, span: Span) -> Event | None:
        return next(
            (
                event
                for event in self._case.context.power
                if abs(event.start_s - span.start_s) <= RESTART_S
            ),
            None,
        )

    def _resolved(self, hole: Hole | None, span: Span) -> Finding | None:
        found = self.counted(span)
        if found is None:
            return None
        gone = self._gone(hole, span)
        return found._replace(
            witnesses=found.witnesses | gone.witnesses, why=why.join(gone.why, found.why)
        )

    def _unseen(self, span: Span, gone: Finding) -> Finding:
        """With what the hub's prober lost meanwhile, which alone is never downtime."""
        outside = self._case.sights.count(View.OUTSIDE, span)
        if not outside.silent or not self._case.sights.believed(View.OUTSIDE):
            return gone
        return gone._replace(why=why.join(gone.why, outside_lost(outside)))

    def _gone(self, hole: Hole | None, span: Span) -> Finding:
        """Why nothing was recorded, as far as the journal says."""
        if hole is None:
            return self._no_hole(span)
        if not hole.booted:
            said = clause(
                Clause.AGENT_CRASH,
                silent_at=int(hole.before.last_s),
                first_at=int(hole.after.first_s),
            )
            return unknown(Cause.AGENT_CRASH, why.join(said, _in_order(hole)), Witness.JOURNAL)
        booted_s = int(hole.after.booted_s)
        cpe_s = self._case.site.cpe_boot_after(span)
        if cpe_s is not None and cpe_s < hole.before.last_s:
            said = clause(Clause.AGENT_POWER, boot_at=booted_s, cpe_at=int(cpe_s))
            said = why.join(said, _in_order(hole))
            return unknown(Cause.AGENT_POWER, said, Witness.JOURNAL, Witness.DEVICE)
        event = self._power_event(span)
        if event is not None:
            said = clause(Clause.SITE_POWER_AREA, boot_at=booted_s, members=len(event.members))
            found = unknown(Cause.SITE_POWER, said, Witness.JOURNAL, Witness.FLEET)
            return found._replace(event=event.name)
        if cpe_s is not None:
            said = clause(Clause.BOX_AND_CPE_APART, boot_at=booted_s, cpe_at=int(cpe_s))
            return unknown(Cause.UNDETERMINED, said, Witness.JOURNAL, Witness.DEVICE)
        said = why.join(clause(Clause.BOX_REBOOT, boot_at=booted_s), _in_order(hole))
        return unknown(Cause.UNDETERMINED, said, Witness.JOURNAL)

    def _no_hole(self, span: Span) -> Finding:
        before = self._case.site.life_before(span)
        if before is None:
            return unknown(Cause.UNDETERMINED, clause(Clause.NEVER_HEARD))
        if before.last_s > span.end_s:
            said = clause(Clause.RECORDS_MISSING, length_s=span.length_s)
        else:
            said = clause(Clause.STILL_SILENT, silent_at=int(before.last_s))
        return unknown(Cause.UNDETERMINED, said, Witness.JOURNAL)

    def counted(self, span: Span) -> Finding | None:
        """A7: the CPE's counters show that traffic flowed."""
        traffic = self._case.site.traffic(span)
        if traffic is None:
            return None
        said = clause(
            Clause.COUNTERS,
            octets=traffic.octets,
            from_at=int(traffic.from_s),
            to_at=int(traffic.to_s),
        )
        return Finding(State.UP, Cause.RESOLVED_UP, Charge.NONE, frozenset({Witness.DEVICE}), said)


def _starting(hole: Hole) -> Finding:
    said = clause(
        Clause.STARTING, boot_at=int(hole.after.booted_s), first_at=int(hole.after.first_s)
    )
    return unknown(Cause.UNDETERMINED, said, Witness.JOURNAL)


def _in_order(hole: Hole) -> str:
    return clause(Clause.AGENT_STOPPED) if hole.before.stopped else ""
