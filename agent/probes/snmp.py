"""SNMP: one device's account of itself and of one interface, as read (RFC 3418, RFC 2863).

An observation is one poll: it is OK when the device answered with values, and its RTT is that of
the poll's first GET. Every poll leaves a Reading. Nothing is sent twice: a lost poll is a TIMEOUT,
and the counters of the next one bridge it. What decodes devices' bytes is another process.
"""

from agent.credentials import CredentialsError
from agent.probes.attempt import Attempt, AttemptProbe, Ended
from agent.probes.site import Site
from agent.recorder import Stream
from agent.snmp.asking import asker
from agent.snmp.form import Answer
from agent.snmp.reading import DeviceReader, Failed
from agent.snmp.worker import Worker
from agent.sockets import literal
from wire.detail import Reading
from wire.observation import Outcome

_SILENT_POLLS = 3


class _Device:
    """One target's device."""

    def __init__(self, site: Site, worker: Worker, stream: Stream) -> None:
        target = stream.target
        if target.credentials is None:
            raise ValueError("an SNMP target needs the name of its credentials")
        literal(target.address)  # raises ValueError now and not at every poll
        self._reader = DeviceReader(target)
        self._site, self._worker, self._stream = site, worker, stream
        self._silent: int | None = 0
        """Polls without an answer since the beginning; None once there was one."""
        worker.start()

    async def __call__(self, attempt: Attempt) -> Ended:
        """Poll once."""
        attempt.flight.suspect = Outcome.LOCAL_ERROR  # if the worker itself says nothing in time
        target = self._stream.target
        try:
            assert target.credentials is not None
            credentials = self._site.credentials(target.credentials)
        except CredentialsError as error:
            return self._end(attempt, Answer(id=0, outcome=Outcome.LOCAL_ERROR, trouble=str(error)))
        ask = asker(self._worker, self._site.clock, target, credentials)
        try:
            reading = await self._reader.read(ask, attempt.begin())
        except Failed as failed:
            return self._end(attempt, failed.answer)
        self._site.emit(reading)
        self._silent = None
        missing = None
        if self._reader.interface_missing:
            missing = f"the device has no interface {target.device_interface!r}"
        self._site.note(self._stream, missing)
        return Ended(Outcome.OK, reading.rtt_ns, trouble=missing)

    def _end(self, attempt: Attempt, answer: Answer) -> Ended:
        """A poll that brought nothing, told to the evidence and to the operator."""
        target, trouble = self._stream.target, answer.trouble
        if answer.outcome is Outcome.TIMEOUT and self._silent is not None:
            self._silent += 1
            if self._silent >= _SILENT_POLLS:
                trouble = "never answered by SNMP: wrong community or privacy passphrase?"
        self._site.emit(
            Reading(
                link=target.link,
                target=target.name,
                boot_ns=attempt.flight.boot_ns,
                outcome=answer.outcome,
                rtt_ns=answer.rtt_ns,
            )
        )
        if trouble is not None and not self._stream.retired:
            self._site.note(self._stream, trouble)
        return Ended(answer.outcome, answer.rtt_ns, trouble=trouble)


class SnmpProbe(AttemptProbe):
    """All SNMP targets of this agent, and their worker."""

    def __init__(self, site: Site) -> None:
        self._worker = Worker(site.clock)
        super().__init__(site, lambda stream: _Device(site, self._worker, stream))

    def close(self) -> None:
        """End the worker."""
        self._worker.close()
