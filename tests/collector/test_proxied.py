"""Who asks, by what proxies say; their addresses are documentation's (RFC 5737, RFC 3849)."""

from ipaddress import ip_network

import pytest

from collector.web.proxied import client

TRUSTED = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")]


@pytest.mark.parametrize(
    ("peer", "told", "expected"),
    [
        ("203.0.113.1", [], "203.0.113.1"),
        # A stranger's header is nothing.
        ("203.0.113.1", ["198.51.100.1"], "203.0.113.1"),
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.1"], "198.51.100.1"),
        # Two proxies of ours, and what the stranger wrote before.
        ("192.0.2.1", ["10.0.0.1, 198.51.100.1, 192.0.2.9"], "198.51.100.1"),
        ("192.0.2.1", ["10.0.0.1", "198.51.100.1", "192.0.2.9"], "198.51.100.1"),
        # All of them ours: the outermost.
        ("192.0.2.1", ["192.0.2.7, 192.0.2.9"], "192.0.2.7"),
        ("192.0.2.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("2001:db8::1", ["[2001:db8:1::5]:4711"], "2001:db8:1::5"),
        ("2001:db8::1", ["2001:db8:1::5"], "2001:db8:1::5"),
        ("::ffff:192.0.2.1", ["198.51.100.1"], "198.51.100.1"),
        # What is no address ends it at the last that was one.
        ("192.0.2.1", ["198.51.100.1, unknown"], "192.0.2.1"),
        ("192.0.2.1", ["<script>"], "192.0.2.1"),
        ("192.0.2.1", [","], "192.0.2.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_the_client_is_the_last_stranger(peer: str, told: list[str], expected: str) -> None:
    assert client(peer, told, TRUSTED) == expected
