"""UDP packets with numbers, stamped by the kernels at both ends; run inside a namespace by path.

`traffic.py send ADDRESS PORT COUNT PPS SIZE` prints one JSON object with the transmit stamps;
`traffic.py receive PORT IDLE_S` prints "ready", then one object with what arrived, in order.
SIZE is that of the IPv4 packet. Uses the standard library only, so any Python runs it.
"""

import json
import select
import socket
import struct
import sys
import time
from typing import Any

SO_TIMESTAMPNS = 35
SO_TIMESTAMPING = 37
SO_RCVBUFFORCE = 33
# TX_SOFTWARE | SOFTWARE | OPT_ID | OPT_TSONLY of linux/net_tstamp.h
TX_STAMPS = 1 << 1 | 1 << 4 | 1 << 7 | 1 << 11
MSG_ERRQUEUE = 0x2000
HEADERS = 28


def stamp_of(ancillary: list[tuple[int, int, bytes]], kind: int) -> int:
    """Kernel stamp in a control message, in ns; 0 when there is none."""
    for level, type_, data in ancillary:
        if level == socket.SOL_SOCKET and type_ == kind:
            seconds, nanoseconds = struct.unpack_from("qq", data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0


def collect_stamps(sock: socket.socket, stamps: dict[int, int]) -> None:
    """Read the error queue dry: one message for each packet sent, with its number."""
    while True:
        try:
            _, ancillary, _, _ = sock.recvmsg(64, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        error = next(d for level, type_, d in ancillary if type_ == 11 and level == 0)
        number = struct.unpack_from("I", error, 12)[0]
        stamps[number] = stamp_of(ancillary, SO_TIMESTAMPING)


def send(address: str, port: int, count: int, pps: float, size: int) -> dict[str, Any]:
    """Send on an absolute schedule; a late packet does not shift the next one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_STAMPS)
        # DF off: the kernel would otherwise learn a path MTU, and refuse to send.
        sock.setsockopt(socket.IPPROTO_IP, 10, 0)
        sock.connect((address, port))
        stamps: dict[int, int] = {}
        padding = bytes(max(0, size - HEADERS - 8))
        start = time.monotonic_ns()
        for number in range(count):
            wait = start + int(number * 1e9 / pps) - time.monotonic_ns()
            if wait > 0:
                time.sleep(wait / 1e9)
            sock.send(number.to_bytes(8, "big") + padding)
            collect_stamps(sock, stamps)
        elapsed = time.monotonic_ns() - start
        time.sleep(0.01)
        collect_stamps(sock, stamps)
    return {"sent": count, "elapsed_ns": elapsed, "tx_ns": stamps}


def receive(port: int, idle_s: float) -> dict[str, Any]:
    """Receive until standard input ended and then nothing came for a while."""
    got: list[tuple[int, int, int]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        sock.bind(("0.0.0.0", port))
        print("ready", flush=True)
        waiting: list[Any] = [sock, sys.stdin]
        while ready := select.select(waiting, [], [], idle_s if len(waiting) == 1 else None)[0]:
            if sock in ready:
                data, ancillary, _, _ = sock.recvmsg(65536, 128)
                number = int.from_bytes(data[:8], "big")
                got.append((number, stamp_of(ancillary, SO_TIMESTAMPNS), len(data) + HEADERS))
            else:
                waiting = [sock]
    return {"got": got}


def main(argv: list[str]) -> None:
    """Run one of the two ends."""
    if argv[0] == "send":
        result = send(argv[1], int(argv[2]), int(argv[3]), float(argv[4]), int(argv[5]))
    else:
        result = receive(int(argv[1]), float(argv[2]))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
