"""The way beyond the CPE: rows A5, A6 and what of A10 is left of them."""

from collector.audit import why
from collector.audit.correlation import NO_PEERS, Peers
from collector.audit.evidence import Span
from collector.audit.finding import Case, Finding, outside_lost
from collector.audit.intervals import Run
from collector.audit.sights import Sights
from collector.audit.silence import Silence
from collector.audit.states import Cause, Charge, State
from collector.audit.states import EvidenceClass as Witness
from collector.audit.strip import View
from collector.audit.why import Clause, clause


class Beyond:
    """Access, aggregation and core, as one link's packets and its peers show them."""

    def __init__(self, case: Case, silence: Silence) -> None:
        self._case, self._silence = case, silence

    def over(self, run: Run, span: Span) -> Finding:
        """Of a piece of a run in which the agent lived and nothing nearer was lost."""
        facts = _Seen(self._case.sights, span)
        peers = (self._case.context.peers or {}).get(run.start_s, NO_PEERS)
        if facts.outside.answers:
            return self._disagreeing(facts)
        witnesses = {Witness.NODE_PROBES} if self._case.beyond_lost(span) else set()
        said = [facts.lost_clause()]
        if facts.gateway.answers:
            witnesses.add(Witness.NODE_LAN)
            said.append(
                clause(Clause.GATEWAY_ANSWERED, ok=facts.gateway.ok, asked=facts.gateway.asked)
            )
        if facts.outside.silent and self._case.sights.believed(View.OUTSIDE):
            witnesses.add(Witness.HUB_SIDE)
            said.append(outside_lost(facts.outside))
        wan_s = self._case.site.wan_changed(span)
        if wan_s is not None:
            witnesses.add(Witness.DEVICE)
            said.append(clause(Clause.WAN_DOWN, wan_at=int(wan_s)))
        return self._whose(facts, peers, witnesses, said)

    def _whose(
        self, facts: "_Seen", peers: Peers, witnesses: set[Witness], said: list[str]
    ) -> Finding:
        down, charge, event = State.DOWN, Charge.PROVIDER, peers.event
        if event is not None:
            witnesses.add(Witness.FLEET)
            said.append(
                clause(Clause.PEERS_DOWN, members=len(event.members), observed=event.observed)
            )
            core = Finding(down, Cause.PROVIDER_CORE, charge, frozenset(witnesses))
            return core._replace(why=why.join(*said), event=event.name)
        fine = 2 * peers.fine > peers.observed
        if fine:
            witnesses.add(Witness.FLEET)
            said.append(clause(Clause.PEERS_FINE, fine=peers.fine, observed=peers.observed))
        cause = Cause.ACCESS_LINK
        if facts.first_hop.answers:
            cause = Cause.PROVIDER_CORE
            said.append(
                clause(
                    Clause.FIRST_HOP_ANSWERED, ok=facts.first_hop.ok, asked=facts.first_hop.asked
                )
            )
        elif not facts.gateway.answers and Witness.DEVICE not in witnesses:
            cause, charge = Cause.UNDETERMINED, Charge.UNKNOWN
            said.append(clause(Clause.GATEWAY_UNKNOWN))
        if charge is Charge.PROVIDER and not (
            fine or facts.elsewhere or Witness.DEVICE in witnesses
        ):
            cause, charge = Cause.UNDETERMINED, Charge.UNKNOWN
            said.append(clause(Clause.HUB_ALONE))
        return Finding(down, cause, charge, frozenset(witnesses), why.join(*said))

    def _disagreeing(self, facts: "_Seen") -> Finding:
        outside = facts.outside
        if not facts.hub.lost and not facts.anchor.lost:
            # Nothing was sent, so nothing was seen lost: the box had lost its way, not the link.
            resolved = self._silence.outside(outside)
            return resolved._replace(why=why.join(facts.lost_clause(), resolved.why))
        said = clause(Clause.OUTSIDE_DISAGREES, ok=outside.ok, asked=outside.asked)
        return Finding(
            State.DOWN,
            Cause.UNDETERMINED,
            Charge.UNKNOWN,
            frozenset({Witness.NODE_PROBES}),
            why.join(facts.lost_clause(), said),
        )


class _Seen:
    """What was seen of the way beyond the CPE in a span."""

    def __init__(self, sights: Sights, span: Span) -> None:
        self.span = span
        self.hub, self.anchor, self.first_hop, self.gateway, self.outside = (
            sights.count(view, span)
            for view in (View.HUB, View.ANCHOR, View.FIRST_HOP, View.GATEWAY, View.OUTSIDE)
        )
        self.elsewhere = (
            self.anchor.silent
            and (
                # Without a way out the hub is not to blame, whichever target was due.
                sights.believed(View.ANCHOR) or not self.anchor.lost
            )
        ) or (not self.hub.lost and self.hub.unsent > 0)
        """Something other than the hub was out of reach too."""

    def lost_clause(self) -> str:
        """How much of it was lost."""
        length_s = self.span.length_s
        unsent = max(self.hub.unsent, self.anchor.unsent)
        if unsent > max(self.hub.lost, self.anchor.lost):
            return clause(Clause.NO_WAY_OUT, unsent=unsent, length_s=length_s)
        return clause(
            Clause.BEYOND_LOST, hub=self.hub.lost, anchor=self.anchor.lost, length_s=length_s
        )
