"""Room in a socket of the event loop, for load that shares its connection with small requests."""

import asyncio
import select
import socket

_LOOK_S = 0.001


async def room(sock: socket.socket) -> None:
    """Wait until the kernel takes more, so that nothing waits in this program's own buffers.

    Asked again and again, because the socket belongs to a transport of the loop; at once for one
    that is closed.
    """
    number = sock.fileno()
    if number < 0:
        return
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    while not poll.poll(0):  # noqa: ASYNC110  no event tells it: the transport has the socket
        await asyncio.sleep(_LOOK_S)
