"""Power: whether the site has mains, and how long the battery lasts.

An observation is one reading of the source, OK when the source answered; every reading leaves a
Power record. What the source cannot tell is None: a site whose UPS is silent is not without mains.
"""

import asyncio
import errno

from agent.mains import (
    Garbled,
    Gpio,
    Nut,
    NutError,
    Supply,
    Sysfs,
    ask_nut,
    parse_source,
    read_files,
)
from agent.probes.attempt import Attempt, AttemptProbe, Ended, met
from agent.probes.site import Site, unsent
from agent.recorder import Stream
from wire.detail import Power
from wire.observation import Outcome

_OURS = 0.95
"""Part of the timeout after which this gives up, before it is given up by others."""


class _Source:
    """One target's source."""

    def __init__(self, site: Site, stream: Stream) -> None:
        target = stream.target
        if target.source is None:
            raise ValueError("a power target needs a source")
        self._source = parse_source(target.source)
        self._site, self._stream = site, stream
        self._reading: asyncio.Future[Supply] | None = None

    async def __call__(self, attempt: Attempt) -> Ended:
        """Read once."""
        local = not isinstance(self._source, Nut)
        if local:
            attempt.flight.suspect = Outcome.LOCAL_ERROR
        began_ns = attempt.begin()
        supply = Supply()
        try:
            async with asyncio.timeout(self._stream.target.timeout_s * _OURS):
                supply = await self._read()
            ended = Ended(Outcome.OK, self._site.clock.boot_ns() - began_ns)
            if local and not supply.known:
                ended = Ended(Outcome.LOCAL_ERROR, trouble="the source says nothing that is known")
        except NutError as error:
            rtt_ns = self._site.clock.boot_ns() - began_ns
            ended = Ended(Outcome.REFUSED, rtt_ns, trouble=f"the NUT server says {error}")
        except Garbled as error:
            ended = Ended(Outcome.BAD_REPLY, trouble=f"this is no NUT server: {error}")
        except TimeoutError:
            ended = Ended(attempt.flight.suspect, trouble="no answer" if local else None)
        except OSError as error:
            ended = _failed(error, None if local else self._site.clock.boot_ns() - began_ns)
        self._tell(attempt, ended, supply)
        return ended

    async def _read(self) -> Supply:
        source = self._source
        if isinstance(source, Nut):
            return await ask_nut(source)
        return await self._in_thread(source)

    async def _in_thread(self, source: Sysfs | Gpio) -> Supply:
        """A battery's driver can block on its bus; while one reading does, no other begins."""
        if self._reading is None or self._reading.done():
            loop = asyncio.get_running_loop()
            self._reading = loop.run_in_executor(None, read_files, source)
            self._reading.add_done_callback(_heard)
        return await asyncio.shield(self._reading)

    def _tell(self, attempt: Attempt, ended: Ended, supply: Supply) -> None:
        target = self._stream.target
        self._site.emit(
            Power(
                link=target.link,
                target=target.name,
                boot_ns=attempt.flight.boot_ns,
                outcome=ended.outcome,
                source=target.source or "",
                mains=supply.mains,
                battery_ratio=supply.battery_ratio,
                battery_seconds=supply.battery_seconds,
            )
        )
        if not self._stream.retired:
            self._site.note(self._stream, ended.trouble)


def _failed(error: OSError, away_ns: int | None) -> Ended:
    """What an error makes of a question to a server `away_ns` ago; None where it is a file."""
    trouble = f"cannot read: {error.strerror or error}"
    if away_ns is None:
        return Ended(Outcome.LOCAL_ERROR, trouble=trouble)
    if error.errno == errno.ENETUNREACH:
        return Ended(unsent(error), trouble=trouble)
    return met(error, away_ns)._replace(trouble=trouble)


def _heard(reading: asyncio.Future[Supply]) -> None:
    """An error that comes when nobody waits any more was told as a timeout."""
    if not reading.cancelled():
        reading.exception()


class PowerProbe(AttemptProbe):
    """All power targets of this agent."""

    def __init__(self, site: Site) -> None:
        super().__init__(site, lambda stream: _Source(site, stream))
