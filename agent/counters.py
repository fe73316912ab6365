"""The counters of a link's router, read around a throughput test by a worker of its own.

The regular SNMP target goes on by itself; this reader exists only while a test does, so that a
small box does not hold a second worker all day. Nothing here raises for what a device does: a
Reading says what came of it.
"""

from typing import Protocol

from agent.credentials import CredentialsError, CredentialsReader
from agent.snmp.asking import asker
from agent.snmp.reading import DeviceReader, Failed
from agent.snmp.worker import Worker
from runtime.clock import Clock
from wire.detail import Reading
from wire.observation import Outcome
from wire.policy import Target

_STARTS = 4
"""A new worker takes a second or three to be ready, and says so."""


class Counters(Protocol):
    """What the gate and a test read."""

    async def read(self) -> Reading:
        """The counters now; its outcome says whether there are any."""
        ...

    def close(self) -> None:
        """Let go of the worker."""
        ...


class SnmpCounters:
    """The counters that an SNMP target names."""

    def __init__(self, target: Target, clock: Clock, credentials: CredentialsReader) -> None:
        """Raises ValueError for a target that SNMP cannot read."""
        if target.credentials is None:
            raise ValueError(f"target {target.name} names no credentials")
        self._target, self._clock, self._name = target, clock, target.credentials
        self._credentials = credentials
        self._reader = DeviceReader(target)
        self._worker = Worker(clock)
        self._ready = False

    async def read(self) -> Reading:
        """See Counters."""
        reading = await self._read()
        for _ in range(_STARTS):
            if self._ready or reading.outcome is not Outcome.LOCAL_ERROR:
                break
            reading = await self._read()
        self._ready = True
        return reading

    async def _read(self) -> Reading:
        boot_ns = self._clock.boot_ns()
        try:
            credentials = self._credentials(self._name)
            ask = asker(self._worker, self._clock, self._target, credentials)
            return await self._reader.read(ask, boot_ns)
        except Failed as failed:
            return self._nothing(boot_ns, failed.answer.outcome)
        except (CredentialsError, OSError):
            return self._nothing(boot_ns, Outcome.LOCAL_ERROR)

    def _nothing(self, boot_ns: int, outcome: Outcome) -> Reading:
        target = self._target
        return Reading(link=target.link, target=target.name, boot_ns=boot_ns, outcome=outcome)

    def close(self) -> None:
        """End the worker."""
        self._worker.close()
