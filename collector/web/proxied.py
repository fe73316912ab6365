"""Who asks where a proxy stands before this program: as the proxy says, if it is one we trust.

Anybody can write these headers, so they count only from the addresses that the settings name.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Of `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` and `[2001:db8::1]:4711`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket that takes both families tells an IPv4 peer so.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def client(peer: str, forwarded_for: Iterable[str], trusted: Sequence[Network]) -> str:
    """Address of whoever asked the outermost proxy that is trusted.

    `forwarded_for` are the values of X-Forwarded-For in their order. Each proxy appends its own
    peer, so it is read from the end: what stands before the first stranger was written by them.
    """
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    found = peer
    while hops:
        at = _address(found)
        if at is None or not any(at in network for network in trusted):
            break
        before = _address(hops.pop())
        if before is None:
            break
        found = str(before)
    return found


def behind(trusted: Sequence[Network]) -> Middleware:
    """For the application, before all that asks who it is."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = request.remote or ""
        asks = client(peer, request.headers.getall("X-Forwarded-For", []), trusted)
        if asks == peer:
            return await handler(request)
        changes: dict[str, Any] = {"remote": asks}
        if request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https":
            changes["scheme"] = "https"
        return await handler(request.clone(**changes))

    return middleware
