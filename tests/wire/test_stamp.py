"""STAMP packets against the byte vectors of methodology 3.4 and against scapy's dissector."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import stamp
from wire.errors import Refusal, WireError

KEY = bytes(range(32))
SENT_NS = 1_700_000_000_500_000_000
SENDER = stamp.SenderPacket(7, stamp.ntp64(SENT_NS), 0x9282, 0x2A)
REFLECTED = stamp.ReflectorPacket(
    5,
    stamp.ntp64(SENT_NS + 13_200_000),
    0x9282,
    0x2A,
    stamp.ntp64(SENT_NS + 13_000_000),
    7,
    SENDER.timestamp,
    0x9282,
    62,
)


def test_unauthenticated_sender_equals_vector_v3_6() -> None:
    assert stamp.pack_sender(SENDER).hex() == ("00000007e8fe6f80800000009282002a" + "00" * 28)


def test_authenticated_sender_equals_vector_v3_6() -> None:
    packet = stamp.pack_sender(SENDER, KEY)
    assert len(packet) == stamp.AUTHENTICATED_BYTES
    assert packet[96:].hex() == "59eb740a4ceb382e71e12088bc9eba12"
    assert stamp.parse_sender(packet, KEY) == SENDER


def test_unauthenticated_reflector_equals_vector_v3_6() -> None:
    assert stamp.pack_reflector(REFLECTED).hex() == (
        "00000005e8fe6f80836113409282002ae8fe6f808353f7cf00000007e8fe6f8080000000928200003e000000"
    )


def test_authenticated_reflector_equals_vector_v3_6() -> None:
    packet = stamp.pack_reflector(REFLECTED, KEY)
    assert packet[96:].hex() == "d0f008e13c7f220955387ae8a238e00e"
    assert stamp.parse_reflector(packet, KEY) == REFLECTED


@pytest.mark.parametrize(
    ("error_ns", "synchronised", "field"),
    [(7_926_771, True, 0x9282), (1_000_000, True, 0x8F84), (100_000_000, False, 0x15CD)],
)
def test_error_estimate_equals_vector_v3_5(error_ns: int, synchronised: bool, field: int) -> None:
    assert stamp.error_estimate(error_ns, synchronised=synchronised) == field
    assert (stamp.error_ns(field) or 0) >= error_ns


def test_error_estimate_with_multiplier_zero_is_corrupt() -> None:
    assert stamp.error_ns(0x8F00) is None


@given(st.integers(min_value=0, max_value=2**50), st.booleans())
def test_error_estimate_is_never_below_the_error(error_ns: int, synchronised: bool) -> None:
    field = stamp.error_estimate(error_ns, synchronised=synchronised)
    told = stamp.error_ns(field)
    assert told is not None
    assert error_ns - 1 <= told <= max(error_ns * 1.02, 1)


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_timestamps_subtract_across_the_ntp_era_of_2036(delta_ns: int) -> None:
    era_end_ns = (2**32 - 2_208_988_800) * 10**9
    difference = stamp.ntp64_difference_ns(
        stamp.ntp64(era_end_ns + delta_ns), stamp.ntp64(era_end_ns)
    )
    assert abs(difference - delta_ns) <= 1


@pytest.mark.parametrize("key", [None, KEY])
def test_a_short_packet_is_malformed(key: bytes | None) -> None:
    for length in range(stamp.OPEN_BYTES if key is None else stamp.AUTHENTICATED_BYTES):
        with pytest.raises(WireError) as caught:
            stamp.parse_sender(bytes(length), key)
        assert caught.value.refusal is Refusal.MALFORMED


def test_one_changed_bit_breaks_the_hmac() -> None:
    packet = bytearray(stamp.pack_sender(SENDER, KEY))
    packet[20] ^= 1
    with pytest.raises(WireError) as caught:
        stamp.parse_sender(bytes(packet), KEY)
    assert caught.value.refusal is Refusal.BAD_SIGNATURE


def test_padding_makes_the_probe_as_long_as_asked() -> None:
    assert len(stamp.pack_sender(SENDER, padding=100)) == 144
    assert stamp.parse_sender(stamp.pack_sender(SENDER, padding=100)) == SENDER


def test_session_id_is_read_before_verification() -> None:
    assert stamp.sender_ssid(stamp.pack_sender(SENDER), authenticated=False) == 0x2A
    assert stamp.sender_ssid(stamp.pack_sender(SENDER, KEY), authenticated=True) == 0x2A
    assert stamp.sender_ssid(b"short", authenticated=True) == 0


def test_scapy_reads_our_packets() -> None:
    from scapy.contrib import stamp as scapy_stamp

    sender = scapy_stamp.STAMPSessionSenderTestUnauthenticated(stamp.pack_sender(SENDER))
    assert (sender.seq, sender.ssid, bytes(sender.err_estimate)) == (7, 0x2A, b"\x92\x82")
    assert sender.ts == pytest.approx(SENT_NS / 1e9 + 2_208_988_800, abs=1e-6)
    reflector = scapy_stamp.STAMPSessionReflectorTestUnauthenticated(
        stamp.pack_reflector(REFLECTED)
    )
    assert (reflector.seq, reflector.seq_sender, reflector.ttl_sender) == (5, 7, 62)
    assert reflector.ts_rx == pytest.approx(SENT_NS / 1e9 + 2_208_988_800 + 0.013, abs=1e-6)


@given(st.integers(min_value=0, max_value=4_100_000_000 * 10**9))
def test_a_timestamp_is_told_back_as_unix_time_across_the_era_of_2036(wall_ns: int) -> None:
    assert abs(stamp.unix_ns(stamp.ntp64(wall_ns)) - wall_ns) <= 1
