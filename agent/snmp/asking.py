"""How one poll of a device asks its questions: all of them within the target's timeout."""

from collections.abc import Sequence

from agent.credentials import Credentials
from agent.snmp.form import Answer, Ask, Verb
from agent.snmp.reading import Asker
from agent.snmp.worker import Worker
from agent.sockets import literal
from runtime.clock import SECOND, Clock
from wire.observation import Outcome
from wire.policy import Target

PORT = 161
_MARGIN_PARTS = 10
"""The worker ends a poll so much before its timeout, so that it is the worker that says why."""


def asker(worker: Worker, clock: Clock, target: Target, credentials: Credentials) -> Asker:
    """Asks the target's device; the timeout begins now."""
    _, _, host = literal(target.address)
    timeout_ns = int(target.timeout_s * SECOND)
    due_ns = clock.boot_ns() + timeout_ns - timeout_ns // _MARGIN_PARTS

    async def ask(verb: Verb, oids: Sequence[str], rows: int) -> Answer:
        left_ns = due_ns - clock.boot_ns()
        number = worker.number()
        if left_ns <= 0:
            return Answer(id=number, outcome=Outcome.TIMEOUT)
        return await worker.ask(
            Ask(
                id=number,
                device=f"{target.link} {target.name}",
                host=host,
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
