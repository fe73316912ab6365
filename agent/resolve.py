"""Names of targets, resolved apart from the probing and never in its way.

A target with a `host` is measured at the address that its name had last; an answer counts for its
TTL, within bounds. While there was none yet, the target's own `address` serves, and where that is
unspecified (`0.0.0.0`, `::`) its slots are DNS_ERROR. The family of `address` decides between A
and AAAA. Every look-up is a Resolution of its target, with its own outcome.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agent.probes.site import Site, unsent
from agent.recorder import Flight, Stream
from wire.detail import Resolution
from wire.observation import Outcome
from wire.policy import Target

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

log = logging.getLogger(__name__)

RESOLV_CONF = Path("/etc/resolv.conf")
PORT = 53
LOOKUP_S = 6.0
"""How long a look-up may take, all name servers together."""
_TRY_S = 2.0
MIN_TTL_S, MAX_TTL_S = 30.0, 3600.0
"""An answer is not asked for again sooner, nor believed for longer."""
RETRY_S = 15.0
"""After a look-up that failed."""
_AT_ONCE = 16
_MOST = 16
"""Addresses in a Resolution."""
_FOR_EVER_S = 1e12
"""dnspython counts its lifetime by the wall clock, which steps; asyncio.timeout counts here."""


class Found(NamedTuple):
    """What a look-up gave, and for how long it is to be believed."""

    outcome: Outcome
    addresses: tuple[str, ...] = ()
    ttl_s: float | None = None
    """None where there is nothing to believe."""


def named(target: Target) -> bool:
    """Whether the target's address comes from a name; a DNS probe's host is its question."""
    return target.host is not None and target.probe != "dns"


def homeless(target: Target) -> bool:
    """Whether nobody knows yet where this target is."""
    return named(target) and ipaddress.ip_address(target.address).is_unspecified


class _Name:
    """One target's name."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.address: str | None = None
        self.dropped = asyncio.Event()
        self.kind = "AAAA" if ipaddress.ip_address(target.address).version == 6 else "A"

    def like(self, other: "_Name") -> bool:
        """Whether the other's address is this one's too."""
        return (self.target.host, self.kind) == (other.target.host, other.kind)


class Names:
    """Keeps the addresses of all targets that have names."""

    def __init__(
        self,
        site: Site,
        changed: Callable[[], None],
        *,
        resolv_conf: Path | None = None,
        port: int | None = None,
    ) -> None:
        """`changed` is called when a target is to be measured at another address than before."""
        self._site = site
        self._changed = changed
        self._resolv_conf = resolv_conf or RESOLV_CONF
        self._port = port or PORT
        self._names: dict[Target, _Name] = {}
        self._seats = asyncio.Semaphore(_AT_ONCE)

    def follow(self, targets: Iterable[Target]) -> None:
        """From now on look up the names of these and of no others."""
        wanted = {target for target in targets if named(target)}
        former = dict(self._names)
        for target in set(former) - wanted:
            self._names.pop(target).dropped.set()
        for target in wanted - set(former):
            name = self._names[target] = _Name(target)
            name.address = next((one.address for one in former.values() if one.like(name)), None)
            self._site.spawn(self._keep(name), f"name of {target.name}")

    def place(self, target: Target) -> Target:
        """`target` at the address to measure now."""
        name = self._names.get(target)
        if name is None or name.address is None:
            return target
        return msgspec.structs.replace(target, address=name.address)

    async def _keep(self, name: _Name) -> None:
        while not name.dropped.is_set():
            async with self._seats:
                ttl_s = await self._look_up(name)
            try:
                async with asyncio.timeout(ttl_s):
                    await name.dropped.wait()
            except TimeoutError:
                continue

    async def _look_up(self, name: _Name) -> float:
        """Ask once and hand on what came; seconds until the next time."""
        target, clock = name.target, self._site.clock
        assert target.host is not None
        resolver = await asyncio.to_thread(load, self._resolv_conf, self._port)
        began_ns = clock.boot_ns()
        found = await ask(resolver, target.host, name.kind)
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # asyncio.wait_for, which dnspython uses, can swallow it up to Python 3.11.
            raise asyncio.CancelledError
        rtt_ns = clock.boot_ns() - began_ns if found.outcome is Outcome.OK else None
        self._site.emit(
            Resolution(
                link=target.link,
                target=target.name,
                boot_ns=began_ns,
                name=target.host,
                outcome=found.outcome,
                rtt_ns=rtt_ns,
                addresses=found.addresses[:_MOST],
            )
        )
        if found.addresses and not name.dropped.is_set():
            self._move(name, found.addresses)
        return RETRY_S if found.ttl_s is None else found.ttl_s

    def _move(self, name: _Name, addresses: Sequence[str]) -> None:
        """An address that is still among the answers is kept: servers shuffle them."""
        if name.address in addresses:
            return
        name.address = addresses[0]
        log.info("%s is at %s", name.target.host, name.address)
        self._changed()


def load(resolv_conf: Path, port: int) -> "Resolver | None":
    """A resolver for the name servers of this moment; None where the system names none.

    In a thread: reading the file may block, and importing dnspython takes a small box a while.
    """
    import dns.asyncresolver
    import dns.resolver

    try:
        resolver = dns.asyncresolver.Resolver(str(resolv_conf))
    except dns.resolver.NoResolverConfiguration:
        return None
    resolver.port = port
    resolver.timeout = _TRY_S
    resolver.lifetime = _FOR_EVER_S
    return resolver


async def ask(resolver: "Resolver | None", host: str, kind: str) -> Found:
    """One look-up of `host` for A or AAAA records."""
    if resolver is None:
        return Found(Outcome.NOT_SENT)
    import dns.exception
    import dns.resolver

    try:
        async with asyncio.timeout(LOOKUP_S):
            while True:
                try:
                    answer = await resolver.resolve(host, kind, search=False)
                    break
                except dns.resolver.LifetimeTimeout:  # the wall clock went backwards
                    continue
    except TimeoutError:
        return Found(Outcome.TIMEOUT)
    except dns.resolver.NoNameservers as error:
        return Found(_none_answered(error))
    except dns.exception.DNSException:
        return Found(Outcome.DNS_ERROR)
    addresses = tuple(str(one) for one in answer)
    ttl_s = float(answer.chaining_result.minimum_ttl)
    return Found(Outcome.OK, addresses, min(MAX_TTL_S, max(MIN_TTL_S, ttl_s)))


def _none_answered(error: Exception) -> Outcome:
    """NOT_SENT where no question left this machine, else DNS_ERROR."""
    causes = [one[3] for one in getattr(error, "kwargs", {}).get("errors", ())]
    if causes and all(
        isinstance(one, OSError) and unsent(one) is Outcome.NOT_SENT for one in causes
    ):
        return Outcome.NOT_SENT
    return Outcome.DNS_ERROR


class NamelessProbe:
    """Stands in for the probe of a target that is nowhere yet: every slot is a DNS_ERROR."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def add(self, stream: Stream) -> None:
        """Nothing to begin."""

    def remove(self, stream: Stream) -> None:
        """Take the note back: whoever follows has its own."""
        self._site.note(stream, None)

    def send(self, due: Sequence[tuple[Stream, int]]) -> int:
        """Record that there was nobody to send to."""
        clock = self._site.clock
        for stream, seq in due:
            flight = Flight(seq)
            flight.boot_ns, flight.wall_ns = clock.boot_ns(), clock.wall_ns()
            stream.ground(flight, Outcome.DNS_ERROR)
            self._site.note(stream, f"{stream.target.host} was not resolved")
        return 0

    def poll(self) -> None:
        """Nothing comes."""

    def close(self) -> None:
        """Nothing is open."""
