"""Path: which routers packets of one flow pass, and when that changes.

An observation is one packet to the target itself, OK with its RTT when the target answered. Then
the hops are asked, one packet at a time and at most 20 a second; a Path is recorded when it is the
first, when it changed or ended elsewhere, and once a day. A silent hop is no change: routers are
free to say nothing, and loss of these answers is never loss on the path (methodology 2.2, E3).

The flow is UDP to the target's port where the policy names one; else ICMP echo, where this process
may have a ping socket; else UDP to traceroute's port.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from pathlib import Path as File
from typing import NamedTuple

from agent.probes.attempt import Attempt, AttemptProbe, Ended, grounded
from agent.probes.site import Site
from agent.recorder import Stream
from agent.sockets import Way, literal
from agent.trace import UDP_PORT, Connected, Flow, Reply, Who, connected, echo_permitted
from runtime.clock import MS, SECOND
from wire.detail import Hop, Path
from wire.observation import Outcome

MOST_HOPS = 30
_MOST_SILENT = 5
_TRIES = 2
"""Packets to one hop limit before it is called silent."""
_PACE_NS = 50 * MS
_WHOLE_WAY = 64
_EVERY_NS = 86_400 * SECOND

_OUTCOME = {
    Who.TARGET: Outcome.OK,
    Who.ROUTER: Outcome.TTL_EXPIRED,
    Who.WALL: Outcome.UNREACHABLE,
}
Ask = Callable[[int], Awaitable[Reply | None]]


class Memory:
    """What was known of a path, and when it was last told."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._told_ns: int | None = None
        self._reached = False

    def changed(self, hops: Sequence[Hop], reached: bool) -> bool:
        """Whether another address answers than was last known there; from now on this is known."""
        now = {hop.ttl: hop.address for hop in hops if hop.address is not None}
        changed = any(self._known.get(ttl, now[ttl]) != now[ttl] for ttl in now)
        self._known |= now
        if reached:
            end = hops[-1].ttl
            self._known = {ttl: who for ttl, who in self._known.items() if ttl <= end}
        return changed

    def due(self, now_ns: int, *, changed: bool, reached: bool) -> bool:
        """Whether this path is worth a record; if so, it counts as told."""
        told_ns = self._told_ns
        due = (
            told_ns is None or changed or reached != self._reached or now_ns - told_ns >= _EVERY_NS
        )
        if due:
            self._told_ns, self._reached = now_ns, reached
        return due


class Walk(NamedTuple):
    """What a walk along a path found."""

    hops: tuple[Hop, ...]
    """Up to the target, to a wall, or to the last router that answers."""
    end: Who | None
    """What the last of them is; None where silence ended the walk."""

    @property
    def routers(self) -> tuple[Hop, ...]:
        """Hops whose place is known: a wall that limits its answers may have been passed over
        nearer, and answers for any hop limit from there on."""
        return self.hops[:-1] if self.end is Who.WALL else self.hops


async def walk(ask: Ask) -> Walk:
    """Ask every hop in turn."""
    hops: list[Hop] = []
    silent = 0
    while len(hops) < MOST_HOPS and silent < _MOST_SILENT:
        ttl = len(hops) + 1
        reply = await ask(ttl)
        for _ in range(_TRIES - 1):
            reply = reply or await ask(ttl)
        if reply is None:
            silent += 1
            hops.append(Hop(ttl))
            continue
        silent = 0
        hops.append(Hop(ttl, reply.address, reply.rtt_ns))
        if reply.who is not Who.ROUTER:
            return Walk(tuple(hops), reply.who)
    return Walk(tuple(hops[: len(hops) - silent]), None)


def first_hop(hops: Sequence[Hop], target: str, own: Sequence[Connected]) -> str | None:
    """The first router outside of the networks that this machine is part of: as far as can be
    told from here, the provider's edge.

    Not known where a silent hop stands before it; but hop 1 may be silent, because that is the
    gateway. Behind a second router of the site's own this is that router: an operator who knows
    better says so in the policy.
    """
    for hop in hops:
        if hop.address is None:
            if hop.ttl > 1:
                return None
            continue
        address = ip_address(hop.address)
        if hop.address == target:
            return None
        if not any(address in network for network in own):
            return hop.address
    return None


class _Way:
    """One target's path."""

    def __init__(self, site: Site, stream: Stream) -> None:
        target = stream.target
        family, address, self._address = literal(target.address)
        port = target.port
        if port is None and not echo_permitted(family):
            port = UDP_PORT
        way = Way(family, target.interface, target.dscp)
        self._flow = Flow(site.clock, way, address, port)
        self._site, self._stream = site, stream
        self._memory = Memory()
        self._users = 0
        self._walking = False
        self._sent_ns = 0

    async def __call__(self, attempt: Attempt) -> Ended:
        """Ask the target, and let the hops be asked."""
        target = self._stream.target
        self._enter()
        try:
            try:
                self._flow.open(f"{target.link} {target.name}")
                attempt.begin()
                reply = await self._flow.probe(_WHOLE_WAY, target.timeout_s * 0.95)
            except OSError as error:
                raise grounded(error) from error
            if not self._walking:
                self._walking = True
                self._enter()
                self._site.spawn(self._walk(), f"path {target.name}")
        finally:
            self._leave()
        if reply is None:
            return Ended(Outcome.TIMEOUT)
        outcome = _OUTCOME[reply.who]
        return Ended(outcome, reply.rtt_ns if outcome is Outcome.OK else None)

    def _enter(self) -> None:
        self._users += 1

    def _leave(self) -> None:
        """The socket is opened anew for every walk: addresses and interfaces come and go."""
        self._users -= 1
        if self._users == 0:
            self._flow.close()

    async def _walk(self) -> None:
        try:
            boot_ns = self._site.clock.boot_ns()
            try:
                walked = await walk(self._ask)
            except OSError:  # this machine lost its way out meanwhile: the next slot says so
                return
            self._tell(boot_ns, walked)
        finally:
            self._walking = False
            self._leave()

    async def _ask(self, ttl: int) -> Reply | None:
        clock = self._site.clock
        await asyncio.sleep(max(0, self._sent_ns + _PACE_NS - clock.boot_ns()) / SECOND)
        self._sent_ns = clock.boot_ns()
        return await self._flow.probe(ttl, self._stream.target.timeout_s)

    def _tell(self, boot_ns: int, walked: Walk) -> None:
        reached = walked.end is Who.TARGET
        changed = self._memory.changed(walked.routers, reached)
        if not self._memory.due(boot_ns, changed=changed, reached=reached):
            return
        target = self._stream.target
        self._site.emit(
            Path(
                link=target.link,
                target=target.name,
                boot_ns=boot_ns,
                hops=walked.hops,
                reached=reached,
                changed=changed,
                first_hop=first_hop(walked.routers, self._address, connected(_read)),
            )
        )


def _read(name: str) -> str:
    return File(name).read_text()


class PathProbe(AttemptProbe):
    """All path targets of this agent."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, lambda stream: _Way(site, stream))
