"""What is known now of each link: the live road, newest wins, provisional by nature.

Silence is not downtime. When the reflector stops hearing an agent the link is UNKNOWN until
somebody says more: the prober beside the hub that loses the CPE too, the agent itself over another
way, or its evidence later. Audits never read this.
"""

import math
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from collector.audit.provisional import Sight
from collector.audit.states import EvidenceClass, State
from collector.inventory import HUB_TARGET, Link
from collector.ledger import Agent
from collector.reading import CPE_TARGET
from collector.sessions import MAX_RECENT_S, RecentForward, SessionView
from wire.message import Status, TargetStatus, mostly_lost

SECOND = 1_000_000_000
STATUS_FRESH_S = 25.0
"""A status older than two and a half of its 10-s intervals says nothing about now."""
WINDOW_S = 10
"""Ten bad seconds make a link unavailable (MEF 10.3 n = 10)."""
SILENT_INTERVALS = 3.0
"""Packets that must fail to come before silence means anything, on links that are probed rarely."""
_EPOCHS_REMEMBERED = 64
_LAGS_REMEMBERED = 32
"""Statuses by whose least delay the others' is known; about five minutes of them, in which no
quartz drifts by what matters here."""


class LinkState(StrEnum):
    """State of a link."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why the live state is what it is; the settled cause comes from the evidence."""

    HEARD = "heard"
    FORWARD_LOSS = "forward_loss"
    ROUND_TRIP_LOSS = "round_trip_loss"
    NODE_REPORTS_LOSS = "node_reports_loss"
    OUTSIDE_LOSS = "outside_loss"
    """silent, and the prober beside the hub has lost the CPE"""
    CPE_ANSWERS = "cpe_answers"
    """silent, and the CPE answers the prober: the agent or its LAN, hardly the link"""
    SILENT = "silent"
    NEVER_HEARD = "never_heard"


class Known(NamedTuple):
    """State of a link, and why."""

    state: LinkState
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class Signs:
    """All that bears on one link's state at one moment."""

    heard_ago_s: float | None
    """Seconds since the reflector heard the link; None if never."""
    forward: RecentForward | None
    """Packets expected and received at the hub in the last WINDOW_S."""
    reported: TargetStatus | None
    """The node's own view of its hub target, if it is fresh."""
    since: RecentForward | None = None
    """Packets expected and received at the hub since the first of which `reported` tells."""
    outside: TargetStatus | None = None
    """The view of the CPE that the prober beside the hub has, if it is fresh and names it."""


def _bad(lost: int, total: int) -> bool:
    return mostly_lost(lost, total, WINDOW_S)


def _bad_here(reported: TargetStatus, since: RecentForward | None) -> bool:
    """Whether most is lost behind the hub, on a link that it hears.

    What did not come to the hub was not lost on the way back. So a link that has just returned is
    not said to be down once more because its node still tells of the seconds before; a status that
    waited in a queue while nothing passed arrives only then.
    """
    lost_before = 0 if since is None else since.expected - since.received
    return _bad(max(0, reported.lost - lost_before), reported.sent)


def _silent(outside: TargetStatus | None) -> Known:
    """A CPE that never answered is one that does not answer probes: it says nothing."""
    if outside is None or outside.last_reply_boot_ns is None or outside.sent < WINDOW_S / 2:
        return Known(LinkState.UNKNOWN, Reason.SILENT)
    if _bad(outside.lost, outside.sent):
        return Known(LinkState.DOWN, Reason.OUTSIDE_LOSS)
    return Known(LinkState.UNKNOWN, Reason.CPE_ANSWERS)


def judge(signs: Signs, silence_after_s: float) -> Known:
    """The live state, from what is known now."""
    reported = signs.reported
    says_loss = reported is not None and _bad(reported.lost, reported.sent)
    if signs.heard_ago_s is None or signs.heard_ago_s > silence_after_s:
        if says_loss:
            return Known(LinkState.DOWN, Reason.NODE_REPORTS_LOSS)
        if signs.heard_ago_s is None:
            return Known(LinkState.UNKNOWN, Reason.NEVER_HEARD)
        return _silent(signs.outside)
    forward = signs.forward
    if forward is not None and _bad(forward.expected - forward.received, forward.expected):
        return Known(LinkState.DOWN, Reason.FORWARD_LOSS)
    if reported is not None and _bad_here(reported, signs.since):
        return Known(LinkState.DOWN, Reason.ROUND_TRIP_LOSS)
    return Known(LinkState.UP, Reason.HEARD)


@dataclass(frozen=True, kw_only=True)
class AgentNow:
    """The newest status of an agent and when it came."""

    agent: Agent
    status: Status
    received_boot_ns: int
    received_wall_ns: int
    made_boot_ns: int
    """When it was made, by the hub's clock: at the latest, and nearer the more of them came."""


def _reach_s(now: AgentNow, now_boot_ns: int, timeout_s: float) -> int:
    """How long ago the first packet was sent that this status tells of."""
    made_ago_s = (now_boot_ns - now.made_boot_ns) / SECOND
    return min(MAX_RECENT_S, math.ceil(made_ago_s + timeout_s + now.status.window_s) + 1)


class Live:
    """The newest status of every agent, and the state of links from it and the reflector."""

    def __init__(self, silence_after_s: float) -> None:
        self._silence_after_s = silence_after_s
        self._agents: dict[bytes, AgentNow] = {}
        self._former_epochs: dict[bytes, deque[str]] = {}
        self._lags: dict[bytes, deque[int]] = {}
        # A link's node and the prober beside the hub both speak of it, each of its own targets.
        self._told: dict[bytes, dict[tuple[str, str], TargetStatus]] = {}
        self._teller: dict[tuple[str, str], bytes] = {}

    def hear(self, agent: Agent, status: Status, boot_ns: int, wall_ns: int) -> bool:
        """Take a status; False where a newer one of this agent is here already."""
        last = self._agents.get(agent.agent_id)
        # Epoch ids are random: what orders them is that a former one never speaks again.
        former = self._former_epochs.setdefault(agent.agent_id, deque(maxlen=_EPOCHS_REMEMBERED))
        if status.epoch in former:
            return False
        if last is not None and last.status.epoch == status.epoch:
            if status.counter <= last.status.counter:
                return False
        elif last is not None:
            former.append(last.status.epoch)
            # Another boot counts its time from elsewhere.
            self._lags.pop(agent.agent_id, None)
        lags = self._lags.setdefault(agent.agent_id, deque(maxlen=_LAGS_REMEMBERED))
        lags.append(boot_ns - status.boot_ns)
        now = AgentNow(
            agent=agent,
            status=status,
            received_boot_ns=boot_ns,
            received_wall_ns=wall_ns,
            made_boot_ns=status.boot_ns + min(lags),
        )
        self._agents[agent.agent_id] = now
        told = {(one.link, one.target): one for one in status.targets}
        self._told[agent.agent_id] = told
        self._teller.update(dict.fromkeys(told, agent.agent_id))
        return True

    def keep(self, agent_ids: Collection[bytes]) -> None:
        """Forget what agents other than these said: they were revoked."""
        self._agents = {key: now for key, now in self._agents.items() if key in agent_ids}
        self._lags = {key: lags for key, lags in self._lags.items() if key in agent_ids}
        self._told = {key: told for key, told in self._told.items() if key in agent_ids}
        self._teller = {key: teller for key, teller in self._teller.items() if teller in agent_ids}

    def agents(self) -> list[AgentNow]:
        """Newest status of every agent heard since this collector started."""
        return list(self._agents.values())

    def reported(self, link: str, target: str, now_boot_ns: int) -> TargetStatus | None:
        """The newest word on a target, if it is fresh."""
        told = self._fresh(link, target, now_boot_ns)
        return None if told is None else told[1]

    def _fresh(
        self, link: str, target: str, now_boot_ns: int
    ) -> tuple[AgentNow, TargetStatus] | None:
        teller = self._teller.get((link, target))
        now = None if teller is None else self._agents.get(teller)
        if now is None or now_boot_ns - now.made_boot_ns > STATUS_FRESH_S * SECOND:
            return None
        one = self._told[now.agent.agent_id].get((link, target))
        return None if one is None else (now, one)

    def state(
        self,
        link: Link,
        view: SessionView | None,
        recent: Callable[[int], RecentForward | None],
        now_boot_ns: int,
    ) -> Known:
        """State of a link, from its session and what was told of it.

        `recent` tells what came of its packets in so many last seconds (1..MAX_RECENT_S).
        """
        told = self._fresh(link.id, HUB_TARGET, now_boot_ns)
        signs = Signs(
            heard_ago_s=None if view is None else (now_boot_ns - view.last_heard_boot_ns) / SECOND,
            forward=recent(WINDOW_S),
            reported=None if told is None else told[1],
            since=None if told is None else recent(_reach_s(told[0], now_boot_ns, link.timeout_s)),
            outside=self.reported(link.id, CPE_TARGET, now_boot_ns),
        )
        return judge(signs, max(self._silence_after_s, SILENT_INTERVALS * link.interval_s))


_WITNESSES = {
    Reason.FORWARD_LOSS: (EvidenceClass.HUB_SIDE,),
    Reason.ROUND_TRIP_LOSS: (EvidenceClass.NODE_PROBES,),
    Reason.NODE_REPORTS_LOSS: (EvidenceClass.NODE_PROBES,),
    Reason.OUTSIDE_LOSS: (EvidenceClass.HUB_SIDE,),
}
_WHILE_HEARD = frozenset({Reason.HEARD, Reason.FORWARD_LOSS, Reason.ROUND_TRIP_LOSS})


def sight(link: str, known: Known, now_s: float, heard_ago_s: float | None) -> Sight:
    """What the live state means for the link's provisional outage (UTC seconds of the hub)."""
    return Sight(
        link=link,
        now_s=now_s,
        state=State(known.state),
        witnesses=_WITNESSES.get(known.reason, ()),
        silent=known.reason not in _WHILE_HEARD,
        heard_s=None if heard_ago_s is None else now_s - heard_ago_s,
        window_s=WINDOW_S,
    )
