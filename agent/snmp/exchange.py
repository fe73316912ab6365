"""The SNMP worker: a process of its own that sends one PDU for each line it reads.

Devices are hostile (delivery.md T14) and pysnmp takes milliseconds of CPU for every message, so it
runs where neither can disturb the measuring: here it may be slow, grow or die. One socket, one
device, one PDU at a time; a datagram that is too large or makes no sense is not the answer, and
after too many of them there is none.

Run as `python -m agent.snmp.exchange` with pipes; ends when its input does.
"""

import asyncio
import errno
import os
import resource
import socket
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from pyasn1.type import univ
from pysnmp.carrier.asyncio.dgram import udp
from pysnmp.carrier.base import AbstractTransportDispatcher
from pysnmp.entity import config
from pysnmp.entity.engine import SnmpEngine
from pysnmp.entity.rfc3413 import cmdgen
from pysnmp.proto import errind, rfc1902, rfc1905

from agent.credentials import AuthProtocol, Credentials, PrivProtocol, SnmpV2c, SnmpV3
from agent.snmp.form import LARGEST_LINE, LARGEST_TEXT, Answer, Ask, Value, Verb
from runtime.clock import SECOND, SystemClock
from wire.observation import Outcome

LARGEST_DATAGRAM = 8192
_MOST_DATAGRAMS = 16
"""Of one exchange; SNMPv3 needs three when it has to learn the device's engine and time."""
_MOST_DEVICES = 64
"""Remembered at once, about 1 MB each."""
_MOST_FAILURES = 20
"""Of one device until it is forgotten: pysnmp keeps all that it still waits for."""
_MEMORY_BYTES = 512 * 1024 * 1024
LATE = "the SNMP worker was not ready in time"
_NICE = 5
"""Measuring goes first."""

_AUTH = {
    AuthProtocol.SHA: config.USM_AUTH_HMAC96_SHA,
    AuthProtocol.SHA224: config.USM_AUTH_HMAC128_SHA224,
    AuthProtocol.SHA256: config.USM_AUTH_HMAC192_SHA256,
    AuthProtocol.SHA384: config.USM_AUTH_HMAC256_SHA384,
    AuthProtocol.SHA512: config.USM_AUTH_HMAC384_SHA512,
}
_PRIV = {
    PrivProtocol.AES128: config.USM_PRIV_CFB128_AES,
    PrivProtocol.AES192: config.USM_PRIV_CFB192_AES,
    PrivProtocol.AES256: config.USM_PRIV_CFB256_AES,
}
_REFUSALS: dict[type[errind.ErrorIndication], str] = {
    errind.UnknownUserName: "the device does not know this SNMP user",
    errind.WrongDigest: "the device refuses the authentication passphrase or protocol",
    errind.DecryptionError: "the device refuses the privacy passphrase or protocol",
    errind.UnsupportedSecurityLevel: "the device does not do authPriv for this SNMP user",
    errind.NotInTimeWindow: "the device and this SNMP engine do not agree on the time",
    errind.UnknownEngineID: "the device does not stand by its own SNMP engine id",
}
"""What the device itself says with a Report: it is there, and refuses."""
_REACHED_BY = {
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.ENOPROTOOPT: Outcome.UNREACHABLE,
}
_NOT_SENT = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENODEV,
                       errno.ENXIO, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})  # fmt: skip
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}


class _Post(AbstractTransportDispatcher):  # type: ignore[misc]
    """pysnmp's way out: hands every message to whoever is asking."""

    def __init__(self) -> None:
        super().__init__()
        self.post: Callable[[bytes], None] | None = None

    def get_transport(self, *_: object) -> type:
        """Only its kind of address is asked for."""
        kind: type = udp.UdpAsyncioTransport
        return kind

    def send_message(self, outgoingMessage: bytes, *_: object) -> None:
        """Send."""
        if self.post is not None:
            self.post(bytes(outgoingMessage))


class _Device:
    """What pysnmp knows of one device: its SNMPv3 engine, clock and keys."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.failures = 0
        self.engine = SnmpEngine(maxMessageSize=LARGEST_DATAGRAM)
        self.dispatcher = _Post()
        self.engine.register_transport_dispatcher(self.dispatcher)
        if isinstance(credentials, SnmpV2c):
            self.context = b""
            config.add_v1_system(self.engine, "device", credentials.community)
            config.add_target_parameters(self.engine, "way", "device", "noAuthNoPriv", 1)
        else:
            self.context = credentials.context.encode()
            config.add_v3_user(
                self.engine,
                credentials.user,
                _AUTH[credentials.auth],
                credentials.auth_passphrase,
                _PRIV[credentials.priv],
                credentials.priv_passphrase,
            )
            config.add_target_parameters(self.engine, "way", credentials.user, "authPriv", 3)
        # Sockets are ours and connected: the address that pysnmp is given goes nowhere.
        config.add_target_address(
            self.engine, "device", udp.DOMAIN_NAME, ("127.0.0.1", 161), "way", 100, 0
        )

    def send(self, ask: Ask, done: Callable[..., None]) -> None:
        """Send the PDU; `done` is called as pysnmp calls its callbacks."""
        oids = [(rfc1902.ObjectName(oid), rfc1905.unSpecified) for oid in ask.oids]
        common = self.engine, "device", None, self.context
        if ask.verb is Verb.BULK:
            generator = cmdgen.BulkCommandGeneratorSingleRun()
            generator.send_varbinds(*common, 0, ask.repetitions, oids, done)
        else:
            cmdgen.GetCommandGenerator().send_varbinds(*common, oids, done)

    def receive(self, datagram: bytes) -> None:
        """Take in a datagram; calls what `send` was given if it is the answer."""
        self.engine.message_dispatcher.receive_message(
            self.engine, udp.DOMAIN_NAME, ("127.0.0.1", 161), datagram
        )


class _Exchange:
    """One question under way."""

    def __init__(self, ask: Ask, known: _Device | None, clock: SystemClock) -> None:
        self._ask = ask
        self.device = known or _Device(ask.credentials)
        self._known = known is not None
        self._clock = clock
        self._sock: socket.socket | None = None
        self._sent_ns = self._received_ns = 0
        self._heard = 0
        self._suspect = Outcome.TIMEOUT
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def run(self) -> Answer:
        """The answer, at the latest after the timeout."""
        loop = asyncio.get_running_loop()
        left_ns = self._ask.due_ns - self._clock.boot_ns()
        if left_ns < self._ask.fair_ns:
            return Answer(id=self._ask.id, outcome=Outcome.LOCAL_ERROR, trouble=LATE)
        try:
            self._sock = _open(self._ask)
        except OSError as error:
            return _unsent(self._ask, error)
        timer = loop.call_later(left_ns / SECOND, self._give_up)
        loop.add_reader(self._sock, self._hear, self._sock)
        try:
            self._send()
            return await self.answer
        except OSError as error:
            return _unsent(self._ask, error)
        finally:
            timer.cancel()
            self.device.dispatcher.post = None
            loop.remove_reader(self._sock)
            self._sock.close()

    def _send(self) -> None:
        self.device.dispatcher.post = self._post
        self.device.send(self._ask, self._done)

    def _send_anew(self) -> None:
        """Ask again as if the device had never been heard of: it may have restarted, and pysnmp
        does not find a new engine's time by itself."""
        self._known = False
        self.device.dispatcher.post = None
        self.device = _Device(self._ask.credentials)
        try:
            self._send()
        except OSError:
            self._end(Outcome.LOCAL_ERROR, "the device cannot be asked again")

    def _post(self, message: bytes) -> None:
        assert self._sock is not None
        self._sent_ns = self._clock.boot_ns()
        self._sock.send(message)

    def _give_up(self) -> None:
        self._end(self._suspect)

    def _hear(self, sock: socket.socket) -> None:
        self._received_ns = self._clock.boot_ns()
        try:
            datagram = sock.recv(LARGEST_DATAGRAM + 1)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            self._end(Outcome.REFUSED, "nothing answers SNMP at the device's port")
            return
        except OSError as error:
            self._end(_REACHED_BY.get(error.errno or 0, Outcome.LOCAL_ERROR), error.strerror)
            return
        self._take(datagram)

    def _take(self, datagram: bytes) -> None:
        self._heard += 1
        before_ns = self._sent_ns
        if len(datagram) <= LARGEST_DATAGRAM:
            try:
                self.device.receive(datagram)
            except OSError:  # the next message of a discovery could not be sent
                self._end(Outcome.LOCAL_ERROR, "the device cannot be asked again")
            except Exception:  # noqa: BLE001 (bytes of a device can raise anything in there)
                pass
        if self.answer.done() or self._sent_ns != before_ns:
            return
        if self._known and isinstance(self._ask.credentials, SnmpV3):
            self._send_anew()
            return
        self._suspect = Outcome.BAD_REPLY
        if self._heard >= _MOST_DATAGRAMS:
            self._end(Outcome.BAD_REPLY)

    def _done(self, *told: Any) -> None:
        """pysnmp's callback: engine, handle, indication, status, index, rows or row, ours."""
        indication, status, index, found = told[2:6]
        if indication and self._known:
            self._send_anew()
            return
        if indication:
            refusal = _REFUSALS.get(type(indication))
            outcome = Outcome.BAD_REPLY if refusal is None else Outcome.REFUSED
            self._end(outcome, refusal)
            return
        values = _values(found)
        if values is None:
            self._end(Outcome.BAD_REPLY)
            return
        self._end(Outcome.OK, None, status=int(status), index=int(index), values=values)

    def _end(self, outcome: Outcome, trouble: str | None = None, **more: Any) -> None:
        if self.answer.done():
            return
        rtt_ns = None
        if outcome in (Outcome.OK, Outcome.REFUSED):
            rtt_ns = self._received_ns - self._sent_ns
        self.answer.set_result(
            Answer(id=self._ask.id, outcome=outcome, rtt_ns=rtt_ns, trouble=trouble, **more)
        )


def _open(ask: Ask) -> socket.socket:
    """A socket that hears this device alone. Raises OSError."""
    found = socket.getaddrinfo(
        ask.host, ask.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    try:
        if ask.interface is not None:
            device = ask.interface.encode()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, ask.dscp << 2)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, ask.dscp << 2)
        level, option = _RECVERR[family]
        sock.setsockopt(level, option, 1)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _unsent(ask: Ask, error: OSError) -> Answer:
    outcome = Outcome.NOT_SENT if error.errno in _NOT_SENT else Outcome.LOCAL_ERROR
    return Answer(id=ask.id, outcome=outcome, trouble=f"cannot send: {error.strerror or error}")


def _values(found: Any) -> list[tuple[str, Value]] | None:
    """Plain names and values; None where a value is none that SNMP has."""
    values: list[tuple[str, Value]] = []
    for name, value in found:
        told: Value = None  # also for noSuchObject, noSuchInstance, endOfMibView
        if isinstance(value, univ.Null):  # an OctetString too, as pyasn1 sees it
            pass
        elif isinstance(value, univ.OctetString):
            told = bytes(value).decode("utf-8", "replace")[:LARGEST_TEXT]
        elif isinstance(value, univ.ObjectIdentifier):
            told = str(value)[:LARGEST_TEXT]
        elif isinstance(value, univ.Integer):
            told = int(value)
            if not -(2**63) <= told < 2**64:
                return None
        values.append((str(name), told))
    return values


class _Desk:
    """Reads lines, asks, writes lines."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._devices: OrderedDict[tuple[str, str, int], _Device] = OrderedDict()
        self._decoder = msgspec.json.Decoder(Ask)

    async def serve(self) -> None:
        """Until the input ends."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LARGEST_LINE)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async with asyncio.TaskGroup() as group:
            while line := await reader.readline():
                ask = self._decoder.decode(line)
                group.create_task(self._serve(ask), name=f"ask {ask.id}")
            os._exit(0)  # nobody is there to be answered

    async def _serve(self, ask: Ask) -> None:
        key = ask.device, ask.host, ask.port
        known = self._devices.pop(key, None)
        if known is not None and known.credentials != ask.credentials:
            known = None
        try:
            exchange = _Exchange(ask, known, self._clock)
            answer = await exchange.run()
            device = exchange.device
            device.failures += answer.outcome is not Outcome.OK
            if device.failures < _MOST_FAILURES:
                self._devices[key] = device
        except Exception as error:  # noqa: BLE001 (one device must not end the others' worker)
            trouble = f"the SNMP worker failed: {type(error).__name__}"
            answer = Answer(id=ask.id, outcome=Outcome.LOCAL_ERROR, trouble=trouble)
        if len(self._devices) > _MOST_DEVICES:
            self._devices.popitem(last=False)
        os.write(1, msgspec.json.encode(answer) + b"\n")


def main() -> None:
    """Without core dumps, because there are secrets; within bounds, because there are devices."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    asyncio.run(_Desk().serve())


if __name__ == "__main__":
    main()
