"""Why a link was not up and who answers for it: the decision table of methodology 2.3.

`attribute` cuts each run where the evidence changes and judges each piece; the first row that
matches wins. The window of a piece is the piece and 30 s around it.

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
| A9 | hub answers, anchors lost 10 s or more | UPSTREAM | DOWN, provider; no Internet sold: UP |
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
from typing import NamedTuple

from collector.audit import why
from collector.audit.correlation import NO_PEERS, Context, Event, Peers
from collector.audit.evidence import Evidence, Span
from collector.audit.intervals import Interval, Run
from collector.audit.lives import RESTART_S, WINDOW_S, Cut, Hole, Site
from collector.audit.rules import Party, PowerProof, Terms
from collector.audit.sights import Count, Sights, touching, within, without
from collector.audit.states import Cause, Charge, State
from collector.audit.states import EvidenceClass as Witness
from collector.audit.strip import View
from collector.audit.why import Clause, clause

LATE_S = 10
"""A router answers on the LAN for so long before its SNMP agent counts its uptime."""
SILENCE_S = 10
"""Heartbeats come every 10 s: a shorter hole in a run says nothing of the agent's life."""
_ORDER = list(Witness)


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


def _painted(span: Span, claims: Sequence[Claim]) -> tuple[list[Claim], list[Span]]:
    """Each second goes to the first claim that covers it; and what is left, in order."""
    taken: list[Claim] = []
    rest = [span]
    for covered, finding in claims:
        taken.extend((part, finding) for one in rest for part in within([covered], one))
        rest = [part for one in rest for part in without(one, [covered])]
    return taken, rest


def _nothing(state: State) -> Finding:
    return Finding(state, Cause.NONE, Charge.NONE)


class _Judge:
    """One link's evidence."""

    def __init__(self, evidence: Evidence, terms: Terms, context: Context) -> None:
        self._evidence, self._terms, self._context = evidence, terms, context
        self._sights, self._site = Sights(evidence.strip), Site(evidence)
        whole = Span(self._sights.start_s, self._sights.end_s)
        self._hub_lost = self._sights.lost(View.HUB, whole)
        self._anchors_lost = (
            self._sights.lost(View.ANCHOR, whole) if self._sights.believed(View.ANCHOR) else []
        )

    def run(self, run: Run) -> list[Claim]:
        """The pieces of a run, in order."""
        span = Span(run.start_s, run.end_s)
        if run.state in (State.UP, State.DEGRADED):
            claims, rest = _painted(span, self._one_end_lost(run.state, span))
            claims.extend((one, _nothing(run.state)) for one in rest)
            return sorted(claims)
        silences = [
            one
            for one in self._sights.silences(span)
            if one.length_s >= min(SILENCE_S, span.length_s)
        ]
        found: list[Claim] = []
        for one in silences:
            found.extend(self._silent(one))
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
            for window in self._context.windows
        ]
        covered, rest = _painted(Span(one.start_s, one.end_s), claims)
        found = [finding.over(span) for span, finding in covered]
        found.extend(one._replace(start_s=a, end_s=b) for a, b in rest)
        return sorted(found)

    # --- one end of the measurement was away: A8, A9 ------------------------------------------

    def _one_end_lost(self, state: State, span: Span) -> list[Claim]:
        """Where one end was lost for 10 s or more while the link was up: the loss of a link that
        was down a moment ago, or is lossy, is the link's and no end's."""
        return [
            *(
                (part, self._hub_away(state, part))
                for one in within(touching(self._hub_lost, span), span)
                for part in self._sights.lost(View.HUB, one)
            ),
            *(
                (part, self._upstream(state, one, part))
                for one in touching(self._anchors_lost, span)
                for inside in within([one], span)
                for part in self._sights.lost(View.ANCHOR, inside)
            ),
        ]

    def _hub_event(self, span: Span) -> Event | None:
        return next(
            (
                event
                for event in self._context.hub
                if self._evidence.link in event.members
                and event.start_s < span.end_s + WINDOW_S
                and span.start_s - WINDOW_S < event.end_s
            ),
            None,
        )

    def _hub_away(self, state: State, span: Span) -> Finding:
        lost = self._sights.count(View.HUB, span).lost
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
        kept = (self._context.anchors_kept or {}).get(loss.start_s, 0)
        lost = self._sights.count(View.ANCHOR, part).lost
        said = clause(Clause.ANCHORS_LOST, lost=lost)
        if kept:
            said = why.join(said, clause(Clause.ANCHORS_KEPT, kept=kept))
        witnesses = frozenset({Witness.NODE_PROBES} | ({Witness.FLEET} if kept else set()))
        if not self._terms.internet:
            return Finding(state, Cause.UPSTREAM, Charge.NONE, witnesses, said)
        # Without anybody who reached them the anchors themselves may have been dead.
        seen = State.DOWN if kept else State.UNKNOWN
        return Finding(seen, Cause.UPSTREAM, Charge.PROVIDER, witnesses, said)

    def _hub_or_anchor(self, span: Span) -> list[Claim]:
        """A8 within a run that is not up."""
        answered = [
            (one, self._hub_away(State.UP, one))
            for one in self._sights.answered(View.ANCHOR, span)
            if not self._sights.count(View.HUB, one).ok
        ]
        off: list[tuple[Span, str, Event | None]]
        off = [(one, clause(Clause.HUB_OFF), None) for one in self._evidence.hub_off]
        event = self._hub_event(span)
        if event is not None:
            off.append((Span(event.start_s, event.end_s), _lost_by_all(event), event))
        away: list[Claim] = []
        for (start_s, end_s), said, common in off:
            # The hub was back for half of them; each hears it again when its next packet is due.
            for one in within([Span(start_s - WINDOW_S, end_s + WINDOW_S)], span):
                anchor = self._sights.count(View.ANCHOR, one)
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

    # --- silence: A1, A2, A3, A7 --------------------------------------------------------------

    def _silent(self, span: Span) -> list[Claim]:
        claims = self._outside_answered(span)
        hole, cut = self._site.hole(span), self._site.cut(span)
        if cut is not None:
            claims.append((cut.span, self._site_power(cut, State.UNKNOWN)))
            first = Span(cut.span.end_s, span.end_s)
            if first.length_s > 0:
                claims.append((first, self._unseen(span, _starting(cut.hole))))
        claims.append(
            (span, self._resolved(hole, span) or self._unseen(span, self._gone(hole, span)))
        )
        return sorted(_painted(span, claims)[0])

    def _outside_answered(self, span: Span) -> list[Claim]:
        spans = self._sights.answered(View.OUTSIDE, span)
        return [(one, self._outside(self._sights.count(View.OUTSIDE, one))) for one in spans]

    def _outside(self, seen: Count) -> Finding:
        said = clause(Clause.OUTSIDE_ANSWERED, ok=seen.ok, asked=seen.asked)
        return Finding(
            State.UP, Cause.RESOLVED_UP, Charge.NONE, frozenset({Witness.HUB_SIDE}), said
        )

    def _site_power(self, cut: Cut, state: State) -> Finding:
        hole, terms = cut.hole, self._terms
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
                for event in self._context.power
                if abs(event.start_s - span.start_s) <= RESTART_S
            ),
            None,
        )

    def _resolved(self, hole: Hole | None, span: Span) -> Finding | None:
        found = self._counted(span)
        if found is None:
            return None
        gone = self._gone(hole, span)
        return found._replace(
            witnesses=found.witnesses | gone.witnesses, why=why.join(gone.why, found.why)
        )

    def _unseen(self, span: Span, gone: Finding) -> Finding:
        """With what the hub's prober lost meanwhile, which alone is never downtime."""
        outside = self._sights.count(View.OUTSIDE, span)
        if not outside.silent or not self._sights.believed(View.OUTSIDE):
            return gone
        return gone._replace(why=why.join(gone.why, _outside_lost(outside)))

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
            return _unknown(Cause.AGENT_CRASH, why.join(said, _in_order(hole)), Witness.JOURNAL)
        booted_s = int(hole.after.booted_s)
        cpe_s = self._site.cpe_boot_after(span)
        if cpe_s is not None and cpe_s < hole.before.last_s:
            said = clause(Clause.AGENT_POWER, boot_at=booted_s, cpe_at=int(cpe_s))
            said = why.join(said, _in_order(hole))
            return _unknown(Cause.AGENT_POWER, said, Witness.JOURNAL, Witness.DEVICE)
        event = self._power_event(span)
        if event is not None:
            said = clause(Clause.SITE_POWER_AREA, boot_at=booted_s, members=len(event.members))
            found = _unknown(Cause.SITE_POWER, said, Witness.JOURNAL, Witness.FLEET)
            return found._replace(event=event.name)
        if cpe_s is not None:
            said = clause(Clause.BOX_AND_CPE_APART, boot_at=booted_s, cpe_at=int(cpe_s))
            return _unknown(Cause.UNDETERMINED, said, Witness.JOURNAL, Witness.DEVICE)
        said = why.join(clause(Clause.BOX_REBOOT, boot_at=booted_s), _in_order(hole))
        return _unknown(Cause.UNDETERMINED, said, Witness.JOURNAL)

    def _no_hole(self, span: Span) -> Finding:
        before = self._site.life_before(span)
        if before is None:
            return _unknown(Cause.UNDETERMINED, clause(Clause.NEVER_HEARD))
        if before.last_s > span.end_s:
            said = clause(Clause.RECORDS_MISSING, length_s=span.length_s)
        else:
            said = clause(Clause.STILL_SILENT, silent_at=int(before.last_s))
        return _unknown(Cause.UNDETERMINED, said, Witness.JOURNAL)

    # --- the agent lived: A1, A4, A5, A6, A10 -------------------------------------------------

    def _alive(self, run: Run, span: Span) -> list[Claim]:
        claims = [*self._hub_or_anchor(span), *self._lan(span), *self._settling(span)]
        found, rest = _painted(span, claims)
        for one in rest:
            if run.state is State.UNKNOWN:
                nothing = _unknown(
                    Cause.UNDETERMINED, clause(Clause.NOTHING_ASKED), Witness.JOURNAL
                )
                found.append((one, self._counted(one) or nothing))
            else:
                found.append((one, self._beyond(run, one)))
        return found

    def _counted(self, span: Span) -> Finding | None:
        traffic = self._site.traffic(span)
        if traffic is None:
            return None
        said = clause(
            Clause.COUNTERS,
            octets=traffic.octets,
            from_at=int(traffic.from_s),
            to_at=int(traffic.to_s),
        )
        return Finding(State.UP, Cause.RESOLVED_UP, Charge.NONE, frozenset({Witness.DEVICE}), said)

    def _lan(self, span: Span) -> list[Claim]:
        """A4, and A1 where the agent ran on without mains."""
        if not self._sights.believed(View.GATEWAY):
            return []
        return [(one, self._lan_or_cpe(one)) for one in self._gateway_lost(span)]

    def _gateway_lost(self, span: Span) -> list[Span]:
        """The CPE is asked every few seconds: to the edges of `span` where it never answered."""
        lost = self._sights.lost(View.GATEWAY, span)
        found = []
        for one in lost:
            before, after = Span(span.start_s, one.start_s), Span(one.end_s, span.end_s)
            start_s = one.start_s if self._sights.count(View.GATEWAY, before).ok else span.start_s
            end_s = one.end_s if self._sights.count(View.GATEWAY, after).ok else span.end_s
            found.append(Span(start_s, end_s))
        return found

    def _lan_or_cpe(self, span: Span) -> Finding:
        gateway = self._sights.count(View.GATEWAY, span)
        said = [
            clause(
                Clause.GATEWAY_LOST,
                lost=gateway.lost + gateway.unsent,
                asked=gateway.asked + gateway.unsent,
            )
        ]
        witnesses = {Witness.NODE_LAN}
        mains_s = self._site.mains_off(span)
        if mains_s is not None:
            terms = self._terms
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
        if self._beyond_lost(span):
            witnesses.add(Witness.NODE_PROBES)
        cause = self._which_end(span, witnesses, said)
        owned = self._terms.cpe_owner is Party.PROVIDER
        charge = Charge.PROVIDER if owned else Charge.EXCLUDED
        return Finding(State.DOWN, cause, charge, frozenset(witnesses), why.join(*said))

    def _which_end(self, span: Span, witnesses: set[Witness], said: list[str]) -> Cause:
        cpe_s = self._site.cpe_boot(span.start_s)
        outside = self._sights.count(View.OUTSIDE, span)
        if cpe_s is not None and span.start_s - WINDOW_S <= cpe_s <= span.end_s + WINDOW_S:
            witnesses.add(Witness.DEVICE)
            said.append(clause(Clause.CPE_RESTART, cpe_at=int(cpe_s)))
            if outside.silent and self._sights.believed(View.OUTSIDE):
                witnesses.add(Witness.HUB_SIDE)
                said.append(_outside_lost(outside))
            return Cause.CPE_RESTART
        if cpe_s is not None and cpe_s < span.start_s:
            witnesses.add(Witness.DEVICE)
            said.append(clause(Clause.CPE_RAN, cpe_at=int(cpe_s)))
        if outside.answers:
            witnesses.add(Witness.HUB_SIDE)
            said.append(clause(Clause.OUTSIDE_ANSWERED, ok=outside.ok, asked=outside.asked))
        return Cause.LAN

    def _settling(self, span: Span) -> list[Claim]:
        """The time that a restarted CPE takes to connect."""
        cpe_s = self._site.cpe_boot(span.start_s)
        if cpe_s is None:
            return []
        # Its uptime counts from the start of its SNMP agent, a little after its own.
        covered = within([Span(int(cpe_s) - LATE_S, int(cpe_s) + RESTART_S)], span)
        said = clause(Clause.SETTLING, cpe_at=int(cpe_s))
        # Where nothing was asked nothing was down, whatever had just restarted.
        return [(one, self._settles(one, cpe_s, said)) for one in covered if self._beyond_lost(one)]

    def _settles(self, span: Span, cpe_s: float, said: str) -> Finding:
        cut = self._site.cut_at(cpe_s)
        if cut is not None:
            power = self._site_power(cut, State.DOWN)
            return power._replace(
                why=why.join(said, power.why),
                witnesses=power.witnesses | {Witness.NODE_PROBES},
            )
        owned = self._terms.cpe_owner is Party.PROVIDER
        charge = Charge.PROVIDER if owned else Charge.EXCLUDED
        witnesses = frozenset({Witness.DEVICE, Witness.NODE_PROBES})
        return Finding(State.DOWN, Cause.CPE_RESTART, charge, witnesses, said)

    def _beyond_lost(self, span: Span) -> bool:
        """Packets beyond the CPE were sent, and most of them lost."""
        hub, anchor = (self._sights.count(view, span) for view in (View.HUB, View.ANCHOR))
        lost = hub.lost + anchor.lost
        return lost > hub.ok + anchor.ok and lost > 0

    def _beyond(self, run: Run, span: Span) -> Finding:
        """The way beyond the CPE: A5, A6, A10."""
        facts = _Beyond(self._sights, span)
        peers = (self._context.peers or {}).get(run.start_s, NO_PEERS)
        if facts.outside.answers:
            return self._disagreeing(facts)
        witnesses = {Witness.NODE_PROBES} if self._beyond_lost(span) else set()
        said = [facts.lost_clause()]
        if facts.gateway.answers:
            witnesses.add(Witness.NODE_LAN)
            said.append(
                clause(Clause.GATEWAY_ANSWERED, ok=facts.gateway.ok, asked=facts.gateway.asked)
            )
        if facts.outside.silent and self._sights.believed(View.OUTSIDE):
            witnesses.add(Witness.HUB_SIDE)
            said.append(_outside_lost(facts.outside))
        wan_s = self._site.wan_changed(span)
        if wan_s is not None:
            witnesses.add(Witness.DEVICE)
            said.append(clause(Clause.WAN_DOWN, wan_at=int(wan_s)))
        return self._whose(facts, peers, witnesses, said)

    def _whose(
        self, facts: "_Beyond", peers: Peers, witnesses: set[Witness], said: list[str]
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

    def _disagreeing(self, facts: "_Beyond") -> Finding:
        outside = facts.outside
        if not facts.hub.lost and not facts.anchor.lost:
            # Nothing was sent, so nothing was seen lost: the box had lost its way, not the link.
            resolved = self._outside(outside)
            return resolved._replace(why=why.join(facts.lost_clause(), resolved.why))
        said = clause(Clause.OUTSIDE_DISAGREES, ok=outside.ok, asked=outside.asked)
        return Finding(
            State.DOWN,
            Cause.UNDETERMINED,
            Charge.UNKNOWN,
            frozenset({Witness.NODE_PROBES}),
            why.join(facts.lost_clause(), said),
        )


class _Beyond:
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


def _unknown(cause: Cause, said: str, *witnesses: Witness) -> Finding:
    return Finding(State.UNKNOWN, cause, Charge.UNKNOWN, frozenset(witnesses), said)


def _starting(hole: Hole) -> Finding:
    said = clause(
        Clause.STARTING, boot_at=int(hole.after.booted_s), first_at=int(hole.after.first_s)
    )
    return _unknown(Cause.UNDETERMINED, said, Witness.JOURNAL)


def _in_order(hole: Hole) -> str:
    return clause(Clause.AGENT_STOPPED) if hole.before.stopped else ""


def _outside_lost(seen: Count) -> str:
    return clause(Clause.OUTSIDE_LOST, lost=seen.lost, asked=seen.asked)


def _lost_by_all(event: Event | None) -> str:
    if event is None:
        return ""
    return clause(Clause.HUB_LOST_BY_ALL, members=len(event.members), observed=event.observed)
