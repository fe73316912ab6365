"""When what was measured goes to disk: right behind the first answer of a second, if that is soon.

The audit knows a link second by second of the hub's clock: a second in which the hub or an anchor
answered is UP, and the answer that counts is the first. If the box dies, the seconds that were not
saved are UNKNOWN. Saved by a timer, that would be what fell into its period and one second more;
saved behind that answer, at no more cost, it is the second in which the box died.
"""

import asyncio
from collections.abc import Callable

from runtime.clock import SECOND
from wire.policy import Role

SECOND_S = 1.0
"""Seconds of the audit, and how often beyond the CPE is asked at least."""
BEYOND = (Role.HUB, Role.ANCHOR)
"""Roles of the targets whose answers make a second UP."""


class Saving:
    """Tells when a second was answered for the first time, and waits for it."""

    def __init__(self, since_ns: Callable[[], int]) -> None:
        """`since_ns` is UTC less the boot clock, as well as it is known now."""
        self._since_ns = since_ns
        self._newest = -1
        self._opened = asyncio.Event()

    @property
    def opened(self) -> bool:
        """Whether a second was answered that is not being saved yet."""
        return self._opened.is_set()

    def answered(self, sent_ns: int) -> None:
        """A packet beyond the CPE that was sent at this time of the boot clock was answered."""
        second = (sent_ns + self._since_ns()) // SECOND
        if second != self._newest:
            self._newest = second
            self._opened.set()

    def begins(self) -> None:
        """What was answered until now is being saved."""
        self._opened.clear()

    async def wait(self, most_s: float) -> None:
        """Wait for the next second's first answer in the last second before `most_s` are over, or
        for that."""
        if most_s > SECOND_S:
            await asyncio.sleep(most_s - SECOND_S)
            # Those of seconds before are as well saved with the next one's.
            self._opened.clear()
        try:
            async with asyncio.timeout(min(most_s, SECOND_S)):
                await self._opened.wait()
        except TimeoutError:
            return
