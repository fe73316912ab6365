"""How long somebody must wait before another try to log in. Pure; `now` is an argument.

Counted apart by name and address together, by address, and by name. A stranger who guesses must
not be able to lock the owner of a name out, so what counts by name alone waits for seconds only.
"""

from collections import OrderedDict
from typing import NamedTuple

FORGOTTEN_S = 3600.0
"""Failures are forgotten after an hour without another."""
REMEMBERED = 10_000
"""Names and addresses kept in mind; beyond it the longest untouched goes."""


class _Rule(NamedTuple):
    free: int
    """Failures before there is any wait."""
    most_s: float
    """The longest wait; it doubles until then."""


_BOTH, _ADDRESS, _NAME = _Rule(4, 900.0), _Rule(20, 900.0), _Rule(50, 20.0)


class _Failures(NamedTuple):
    tries: int
    last_s: float


class Throttle:
    """Failures of late."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, ...], _Failures] = OrderedDict()

    def wait_s(self, name: str, address: str, now_s: float) -> float:
        """Seconds until a try is looked at; 0 where it is at once."""
        return max(self._wait_s(rule, key, now_s) for rule, key in _keys(name, address))

    def failed(self, name: str, address: str, now_s: float) -> None:
        """A try has begun. Counted before it is looked at, so that many at once gain nothing."""
        for _, key in _keys(name, address):
            before = self._of(key, now_s)
            self._failures[key] = _Failures(before.tries + 1, now_s)
            self._failures.move_to_end(key)
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """It was the right password."""
        for _, key in _keys(name, address):
            self._failures.pop(key, None)

    def _of(self, key: tuple[str, ...], now_s: float) -> _Failures:
        known = self._failures.get(key)
        if known is None or now_s - known.last_s > FORGOTTEN_S:
            return _Failures(0, now_s)
        return known

    def _wait_s(self, rule: _Rule, key: tuple[str, ...], now_s: float) -> float:
        known = self._of(key, now_s)
        beyond = known.tries - rule.free
        if beyond < 0:
            return 0.0
        wait_s = min(rule.most_s, 2.0 ** min(beyond, 20))
        return max(0.0, known.last_s + wait_s - now_s)


def _keys(name: str, address: str) -> tuple[tuple[_Rule, tuple[str, ...]], ...]:
    return (_BOTH, (name, address)), (_ADDRESS, ("", address)), (_NAME, (name,))
