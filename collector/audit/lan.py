"""The CPE was gone from its own LAN, or was starting: rows A4, and A1 where the agent lived on."""

from collector.audit import why
from collector.audit.evidence import Span
from collector.audit.finding import Case, Claim, Finding, outside_lost
from collector.audit.lives import RESTART_S, WINDOW_S
from collector.audit.rules import Party, PowerProof
from collector.audit.sights import within
from collector.audit.silence import Silence
from collector.audit.states import Cause, Charge, State
from collector.audit.states import EvidenceClass as Witness
from collector.audit.strip import View
from collector.audit.why import Clause, clause

PHASE_S = 2
"""Two targets are asked at different moments of a second, and what a packet on its way meets is not
what the next one will: the edges of one fault may lie so far apart."""
LATE_S = 10
"""A router answers on the LAN for so long before its SNMP agent counts its uptime."""


class Lan:
    """CPE and cable of one link."""

    def __init__(self, case: Case, silence: Silence) -> None:
        self._case, self._silence = case, silence

    def lost(self, span: Span) -> list[Claim]:
        """A4, and A1 where the agent ran on without mains."""
        if not self._case.sights.believed(View.GATEWAY):
            return []
        return [(one, self._lan_or_cpe(one)) for one in self._gateway_lost(span)]

    def _gateway_lost(self, span: Span) -> list[Span]:
        """The CPE is asked every few seconds: to the edges of `span` where it never answered."""
        lost = self._case.sights.lost(View.GATEWAY, span)
        found = []
        for one in lost:
            before, after = Span(span.start_s, one.start_s), Span(one.end_s, span.end_s)
            answered = [
                part.length_s > PHASE_S and self._case.sights.count(View.GATEWAY, part).ok > 0
                for part in (before, after)
            ]
            start_s = one.start_s if answered[0] else span.start_s
            end_s = one.end_s if answered[1] else span.end_s
            found.append(Span(start_s, end_s))
        return found

    def _lan_or_cpe(self, span: Span) -> Finding:
        gateway = self._case.sights.count(View.GATEWAY, span)
        said = [
            clause(
                Clause.GATEWAY_LOST,
                lost=gateway.lost + gateway.unsent,
                asked=gateway.asked + gateway.unsent,
            )
        ]
        witnesses = {Witness.NODE_LAN}
        mains_s = self._case.site.mains_off(span)
        if mains_s is not None:
            terms = self._case.terms
            agreed = terms.site_power_excluded and PowerProof.MAINS_SENSE in terms.site_power_proofs
            said.append(clause(Clause.SITE_POWER_SENSED, mains_at=int(mains_s)))
            if not agreed:
                said.append(clause(Clause.NOT_AGREED))
            return Finding(
                State.DOWN,
                Cause.SITE_POWER,
                Charge.EXCLUDED if agreed else Charge.UNKNOWN,
                frozenset({Witness.NODE_LAN, Witness.MAINS}),
                why.join(*said),
            )
        if self._case.beyond_lost(span):
            witnesses.add(Witness.NODE_PROBES)
        cause = self._which_end(span, witnesses, said)
        owned = self._case.terms.cpe_owner is Party.PROVIDER
        charge = Charge.PROVIDER if owned else Charge.EXCLUDED
        return Finding(State.DOWN, cause, charge, frozenset(witnesses), why.join(*said))

    def _which_end(self, span: Span, witnesses: set[Witness], said: list[str]) -> Cause:
        cpe_s = self._case.site.cpe_boot(span.start_s)
        outside = self._case.sights.count(View.OUTSIDE, span)
        if cpe_s is not None and span.start_s - WINDOW_S <= cpe_s <= span.end_s + WINDOW_S:
            witnesses.add(Witness.DEVICE)
            said.append(clause(Clause.CPE_RESTART, cpe_at=int(cpe_s)))
            if outside.silent and self._case.sights.believed(View.OUTSIDE):
                witnesses.add(Witness.HUB_SIDE)
                said.append(outside_lost(outside))
            return Cause.CPE_RESTART
        if cpe_s is not None and cpe_s < span.start_s:
            witnesses.add(Witness.DEVICE)
            said.append(clause(Clause.CPE_RAN, cpe_at=int(cpe_s)))
        if outside.answers:
            witnesses.add(Witness.HUB_SIDE)
            said.append(clause(Clause.OUTSIDE_ANSWERED, ok=outside.ok, asked=outside.asked))
        return Cause.LAN

    def settling(self, span: Span) -> list[Claim]:
        """A4: the time that a restarted CPE takes to connect."""
        cpe_s = self._case.site.cpe_boot(span.start_s)
        if cpe_s is None:
            return []
        # Its uptime counts from the start of its SNMP agent, a little after its own.
        covered = within([Span(int(cpe_s) - LATE_S, int(cpe_s) + RESTART_S)], span)
        said = clause(Clause.SETTLING, cpe_at=int(cpe_s))
        # Where nothing was asked nothing was down, whatever had just restarted.
        return [(one, self._settles(cpe_s, said)) for one in covered if self._case.beyond_lost(one)]

    def _settles(self, cpe_s: float, said: str) -> Finding:
        cut = self._case.site.cut_at(cpe_s)
        if cut is not None:
            power = self._silence.site_power(cut, State.DOWN)
            return power._replace(
                why=why.join(said, power.why),
                witnesses=power.witnesses | {Witness.NODE_PROBES},
            )
        owned = self._case.terms.cpe_owner is Party.PROVIDER
        charge = Charge.PROVIDER if owned else Charge.EXCLUDED
        witnesses = frozenset({Witness.DEVICE, Witness.NODE_PROBES})
        return Finding(State.DOWN, Cause.CPE_RESTART, charge, witnesses, said)
