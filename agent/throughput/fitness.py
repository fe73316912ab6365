"""A box proves itself: what it cannot carry over loopback it cannot expect of a link.

Sender and receiver share one interpreter here, and the packets cross no wire: a box that carries
1.2 x CIR this way has processor to spare for one end of it. What a network card adds is only in its
speed and duplex.
"""

import socket
import threading
from contextlib import closing

from runtime.clock import SECOND, Clock
from runtime.load import host, udp
from wire.load import Step
from wire.slot import MAX_BITS_PER_S
from wire.transfer import Box

MARGIN = 1.2
_ENOUGH = 0.99
_PACKET_BYTES = 1500
_TAG = b"selftest"


def asked(cir_bits_per_s: int | None, most_bits_per_s: int) -> int:
    """What the box must carry."""
    if cir_bits_per_s is None:
        return most_bits_per_s
    return min(MAX_BITS_PER_S, round(MARGIN * cir_bits_per_s))


def carried(clock: Clock, bits_per_s: int, seconds: float) -> int:
    """IP bits per second that arrive over loopback of so many offered. Raises OSError."""
    shape = udp.Shape(_TAG, _PACKET_BYTES, 20)
    duration_ns = round(seconds * SECOND)
    with (
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as here,
        closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as there,
    ):
        udp.prepare(there)
        there.bind(("127.0.0.1", 0))
        here.connect(there.getsockname())
        # Whatever comes from elsewhere than `here` is not received.
        there.connect(here.getsockname())
        receiver = udp.Receiver(there, clock, shape, 2 * duration_ns)
        steps = (Step(bits_per_s=bits_per_s, seconds=seconds),)
        sender = threading.Thread(target=udp.send, args=(here, clock, shape, udp.steady(steps)))
        sender.start()
        while sender.is_alive():
            receiver.wait()
            receiver.drain()
        sender.join()
        while receiver.drain():
            continue
    return receiver.arrivals.all_octets * 8 * SECOND // duration_ns


def prove(clock: Clock, bits_per_s: int, seconds: float, nic: host.Nic) -> Box:
    """Whether this box carries `bits_per_s`, and its network card promises to."""
    notes: list[str] = []
    got: int | None = None
    if seconds:
        try:
            got = carried(clock, bits_per_s, seconds)
        except OSError as error:
            notes.append(f"no self-test: {error}")
        else:
            if got < _ENOUGH * bits_per_s:
                notes.append(f"carried {got} of {bits_per_s} bit/s over loopback")
    else:
        notes.append("no self-test was asked for")
    if nic.speed_mbps is not None and nic.speed_mbps * 1_000_000 < bits_per_s:
        notes.append(f"{nic.name} runs at {nic.speed_mbps} Mbit/s")
    if nic.full_duplex is False:
        notes.append(f"{nic.name} is half duplex")
    return Box(
        fit=not notes,
        selftest_bits_per_s=got,
        selftest_offered_bits_per_s=bits_per_s,
        interface=nic.name[:256],
        speed_mbps=nic.speed_mbps,
        full_duplex=nic.full_duplex,
        note="; ".join(notes)[:256],
    )
