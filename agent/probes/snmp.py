"""SNMP: one device's account of itself and of one interface, as read (RFC 3418, RFC 2863).

An observation is one poll: it is OK when the device answered with values, and its RTT is that of
the poll's first GET. Every poll leaves a Reading. Nothing is sent twice: a lost poll is a TIMEOUT,
and the counters of the next one bridge it. What decodes devices' bytes is another process.
"""

from collections.abc import Sequence

from agent.credentials import Credentials, CredentialsError
from agent.probes.attempt import Attempt, AttemptProbe, Ended
from agent.probes.site import Site
from agent.recorder import Stream
from agent.snmp.form import Answer, Ask, Verb
from agent.snmp.reading import Asker, DeviceReader, Failed
from agent.snmp.worker import Worker
from agent.sockets import literal
from runtime.clock import SECOND
from wire.detail import Reading
from wire.observation import Outcome

PORT = 161
_MARGIN_PARTS = 10
"""The worker ends a poll so much before its timeout, so that it is the worker that says why."""
_SILENT_POLLS = 3


class _Device:
    """One target's device."""

    def __init__(self, site: Site, worker: Worker, stream: Stream) -> None:
        target = stream.target
        if target.credentials is None:
            raise ValueError("an SNMP target needs the name of its credentials")
        _, _, self._host = literal(target.address)
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
        try:
            reading = await self._reader.read(self._asker(attempt, credentials), attempt.begin())
        except Failed as failed:
            return self._end(attempt, failed.answer)
        self._site.emit(reading)
        self._silent = None
        missing = None
        if self._reader.interface_missing:
            missing = f"the device has no interface {target.device_interface!r}"
        self._site.note(self._stream, missing)
        return Ended(Outcome.OK, reading.rtt_ns, trouble=missing)

    def _asker(self, attempt: Attempt, credentials: Credentials) -> Asker:
        """How this poll asks: everything of it within the target's timeout."""
        target, clock = self._stream.target, self._site.clock
        timeout_ns = int(target.timeout_s * SECOND)
        due_ns = clock.boot_ns() + timeout_ns - timeout_ns // _MARGIN_PARTS

        async def ask(verb: Verb, oids: Sequence[str], rows: int) -> Answer:
            left_ns = due_ns - clock.boot_ns()
            number = self._worker.number()
            if left_ns <= 0:
                return Answer(id=number, outcome=Outcome.TIMEOUT)
            return await self._worker.ask(
                Ask(
                    id=number,
                    device=f"{target.link} {target.name}",
                    host=self._host,
                    port=target.port or PORT,
                    interface=target.interface,
                    dscp=target.dscp,
                    due_ns=due_ns,
                    fair_ns=left_ns // 4,
                    credentials=credentials,
                    verb=verb,
                    oids=tuple(oids),
                    repetitions=rows,
                )
            )

        return ask

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
