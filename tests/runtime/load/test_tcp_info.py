"""TCP_INFO as the kernel gives it, whole and cut short as older kernels do."""

import socket
import struct

from runtime.load import options, tcp_info


def test_a_real_connection_is_read() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as one,
        server.accept()[0] as other,
    ):
        one.sendall(bytes(100_000))
        left = 100_000
        while left:
            left -= len(other.recv(left))
        sender, receiver = tcp_info.read(one), tcp_info.read(other)
        facts = tcp_info.sender_facts(sender, tcp_info.congestion(one), [])
    assert sender.bytes_sent == receiver.bytes_received == 100_000
    assert receiver.segments_in and sender.segments_out
    assert sender.header_bytes in (20, 32)
    assert facts.congestion in {"cubic", "bbr", "reno"} or facts.congestion
    assert facts.bytes_sent == 100_000 and facts.retransmits == 0
    whole = tcp_info.both_ends(facts, 99, 7)
    assert (whole.bytes_sent, whole.received_bytes, whole.received_segments) == (100_000, 99, 7)


def test_what_an_older_kernel_does_not_have_is_not_measured() -> None:
    raw = bytearray(104)
    struct.pack_into("=I", raw, 16, 1448)
    raw[5] = tcp_info.TIMESTAMPS
    info = tcp_info.parse(bytes(raw))
    assert (info.snd_mss, info.header_bytes) == (1448, 32)
    assert info.min_rtt_us is None and info.bytes_acked is None and info.busy_us is None
    assert tcp_info.parse(b"").snd_mss is None


def test_a_minimum_that_was_never_measured_is_none() -> None:
    raw = bytearray(280)
    struct.pack_into("=I", raw, 148, 0xFFFF_FFFF)
    assert tcp_info.parse(bytes(raw)).min_rtt_us is None
    assert tcp_info.rtt_ns(tcp_info.parse(bytes(raw))) is None


def test_options_are_taken_by_this_kernel_or_said_to_be_missing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert options.stamp_arrivals(sock)
        assert options.segment(sock, 1400) in (True, False)
        assert options.gather(sock) in (True, False)
        assert options.dropped(sock) == 0
    with socket.socket() as sock:
        options.pace(sock, 15_000)
        rate = sock.getsockopt(socket.SOL_SOCKET, 47, 8)
        assert int.from_bytes(rate, "little") == 14_480
        options.abort(sock)
        options.abort(sock)
