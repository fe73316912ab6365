"""Many datagrams in one call: sendmmsg(2) and recvmmsg(2), which Python's socket module lacks.

A prober of 1,000 targets spends most of its time on entering and leaving calls, one packet at a
time. Both structures of the kernel's ABI are written out here, for words of 4 and 8 bytes, and the
memory behind them is made once.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

MOST = 128
"""Messages in one call: those of one wake-up at 1,000 packets a second, and some."""
_NAME_BYTES = 32
"""A sockaddr_in6 has 28."""
DATA_BYTES = 448
"""Room for a datagram; the rest of it is padding, and larger buffers cost more than all else in a
receive call."""
CONTROL_BYTES = 256
_STAGE_BYTES = 65_536
_WORD = "Q" if struct.calcsize("P") == 8 else "I"
_WORD_BYTES = struct.calcsize(f"={_WORD}")
_HEADER = struct.Struct("@PIPNPNi0PI0P")
"""struct mmsghdr: name, its length, vector, its length, control, its length, flags; octets."""
_VECTOR = struct.Struct("@PN")
_CONTROL = struct.Struct(f"={_WORD}ii")
_STAMP = f"{_WORD}iiqq32x"
"""A control message with struct scm_timestamping64, whose first stamp is the software's."""
_ERROR = f"{_WORD}iiIBBBBII"
"""A control message with the beginning of struct sock_extended_err."""
STAMP_BYTES = struct.calcsize(f"={_STAMP}")
"""Length of such a control message where it is the only one."""
STAMPED_ERROR_BYTES = STAMP_BYTES + struct.calcsize(f"={_ERROR}")
"""The least length of the control messages of a transmit stamp in the error queue."""
_STRIDE = CONTROL_BYTES + _NAME_BYTES + DATA_BYTES


def _padded(layout: str, octets: int) -> struct.Struct:
    return struct.Struct(f"={layout}{octets - struct.calcsize(f'={layout}')}x")


STAMPED_ERROR = _padded(_STAMP + _ERROR, _STRIDE)
"""A slot of the error queue that begins with a stamp: length, level, kind, seconds, nanoseconds;
then length, level, kind, errno, origin, type, code, padding, info, data."""


@lru_cache(maxsize=16)
def stamped(length: int) -> struct.Struct:
    """A slot of IPv4 with a stamp alone and `length` octets of data: length, level, kind, seconds,
    nanoseconds, source address, data."""
    between = CONTROL_BYTES - STAMP_BYTES
    return _padded(f"{_STAMP}{between}x4x4s{_NAME_BYTES - 8}x{length}s", _STRIDE)


def _libc(name: str) -> Any:
    call = getattr(ctypes.CDLL(None, use_errno=True), name)
    call.restype = ctypes.c_int
    return call


def sockaddr(family: int, address: tuple[Any, ...]) -> bytes:
    """The kernel's form of a socket address of Python's: IPv4 or IPv6."""
    octets = socket.inet_pton(family, address[0])
    head = struct.pack("=H", family) + struct.pack(">H", address[1])
    if family == socket.AF_INET:
        return head + octets + bytes(8)
    flow, scope = (*address[2:], 0, 0)[:2]
    return head + struct.pack(">I", flow) + octets + struct.pack("=I", scope)


class _Memory:
    """Octets with an address."""

    def __init__(self, octets: int) -> None:
        self.octets = bytearray(octets)
        self._held = (ctypes.c_char * octets).from_buffer(self.octets)
        self.address = ctypes.addressof(self._held)


class Sender:
    """Sends to many addresses of one family."""

    def __init__(self, fd: int, family: int) -> None:
        self._fd = fd
        self._call = _libc("sendmmsg")
        self._length, self._room = -1, 0
        name_bytes = 16 if family == socket.AF_INET else 28
        self._names, self._stage = _Memory(MOST * name_bytes), _Memory(_STAGE_BYTES)
        self._vectors, self._headers = _Memory(MOST * _VECTOR.size), _Memory(MOST * _HEADER.size)
        for k in range(MOST):
            name, vector = self._names.address + k * name_bytes, k * _VECTOR.size
            fields = name, name_bytes, self._vectors.address + vector, 1, 0, 0, 0, 0
            _HEADER.pack_into(self._headers.octets, k * _HEADER.size, *fields)

    def send(self, packets: Sequence[bytes], names: Sequence[bytes], first: int = 0) -> int:
        """Hand packets from `first` on to the kernel, with the names of their destinations;
        returns how many it took. Where it took none, the first has to be sent alone to learn
        why."""
        last = first + self._fit([*map(len, packets[first : first + MOST])])
        staged = b"".join(packets[first:last])
        self._stage.octets[: len(staged)] = staged
        joined = b"".join(names[first:last])
        self._names.octets[: len(joined)] = joined
        headers = ctypes.c_void_p(self._headers.address)
        taken: int = self._call(self._fd, headers, last - first, 0)
        return max(0, taken)

    def _fit(self, lengths: list[int]) -> int:
        """Lay out room for packets of these lengths; returns for how many there is some."""
        length = lengths[0]
        if lengths.count(length) < len(lengths):
            self._length = -1
            return self._lay_out(lengths)
        if length != self._length:  # packets are alike nearly always
            self._length, self._room = length, self._lay_out([length] * MOST)
        return min(len(lengths), self._room)

    def _lay_out(self, lengths: list[int]) -> int:
        at = 0
        for k, length in enumerate(lengths):
            if at + length > _STAGE_BYTES:
                return k
            place = self._stage.address + at, length
            _VECTOR.pack_into(self._vectors.octets, k * _VECTOR.size, *place)
            at += length
        return len(lengths)


class Receiver:
    """Receives from a socket, or from its error queue by `flags`."""

    def __init__(self, fd: int, flags: int = 0) -> None:
        self._fd, self._flags = fd, flags | socket.MSG_DONTWAIT
        self._call = _libc("recvmmsg")
        self._slots, self._headers = _Memory(MOST * _STRIDE), _Memory(MOST * _HEADER.size)
        self._vectors = _Memory(MOST * _VECTOR.size)
        for k in range(MOST):
            slot, vector = self._slots.address + k * _STRIDE, k * _VECTOR.size
            name = slot + CONTROL_BYTES
            _VECTOR.pack_into(self._vectors.octets, vector, name + _NAME_BYTES, DATA_BYTES)
            fields = name, _NAME_BYTES, self._vectors.address + vector, 1, slot, CONTROL_BYTES
            _HEADER.pack_into(self._headers.octets, k * _HEADER.size, *fields, 0, 0)
        self._fresh = bytes(self._headers.octets)
        self._likeness = (-1, -1, -1, -1)
        self._alike = memoryview(b"")

    def fetch(self) -> int:
        """Receive at most MOST; how many came. Raises OSError: a pending error of the socket."""
        self._headers.octets[:] = self._fresh
        headers = ctypes.c_void_p(self._headers.address)
        count: int = self._call(self._fd, headers, MOST, self._flags, None)
        if count >= 0:
            return count
        code = ctypes.get_errno()
        if code in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(code, os.strerror(code))

    def shape(self, count: int) -> tuple[int, int] | None:
        """Octets of control messages and of data, where the first `count` are alike in both."""
        _, name, _, _, _, control, flags, length = _HEADER.unpack_from(self._headers.octets)
        if (name, control, flags, length) != self._likeness:
            self._likeness = name, control, flags, length
            alike = bytearray(self._fresh)
            for at in range(0, len(alike), _HEADER.size):
                row = list(_HEADER.unpack_from(alike, at))
                row[1], row[5:] = name, self._likeness[1:]
                _HEADER.pack_into(alike, at, *row)
            self._alike = memoryview(bytes(alike))
        octets = count * _HEADER.size
        if memoryview(self._headers.octets)[:octets] != self._alike[:octets]:
            return None
        return control, length

    def rows(self, layout: struct.Struct, count: int) -> Iterator[tuple[Any, ...]]:
        """The first `count` by one of the layouts above."""
        return layout.iter_unpack(memoryview(self._slots.octets)[: count * _STRIDE])

    def lengths(self, k: int) -> tuple[int, int]:
        """Octets of control messages and of data of message `k`."""
        row = _HEADER.unpack_from(self._headers.octets, k * _HEADER.size)
        return row[5], row[7]

    def data(self, k: int, length: int) -> bytes:
        """The octets that came, as far as there was room."""
        at = k * _STRIDE + CONTROL_BYTES + _NAME_BYTES
        return bytes(self._slots.octets[at : at + length])

    def source(self, k: int, family: int) -> str:
        """Address of the sender, or in the error queue of who was asked."""
        at = k * _STRIDE + CONTROL_BYTES
        octets = self._slots.octets
        if family == socket.AF_INET:
            return socket.inet_ntop(family, octets[at + 4 : at + 8])
        return socket.inet_ntop(family, octets[at + 8 : at + 24])

    def control(self, k: int, length: int) -> Iterator[tuple[int, int, bytes]]:
        """Level, kind and octets of each control message."""
        octets = bytes(self._slots.octets[k * _STRIDE : k * _STRIDE + length])
        at = 0
        while at + _CONTROL.size <= length:
            size, level, kind = _CONTROL.unpack_from(octets, at)
            if size < _CONTROL.size:
                return
            yield level, kind, octets[at + _CONTROL.size : at + size]
            at += (size + _WORD_BYTES - 1) // _WORD_BYTES * _WORD_BYTES
