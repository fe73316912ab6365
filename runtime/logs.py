"""Log lines for people and machines: one line an event, to standard error."""

import json
import logging
import sys

from runtime.clock import SECOND, Clock

_PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


QUIET_NS = 600 * SECOND
"""How long the same trouble is not said again."""


class Trouble:
    """One kind of trouble that is met again and again: said when it begins or becomes another, and
    every ten minutes while it lasts. A full disk must not be filled by what is said of it."""

    def __init__(self, log: logging.Logger, text: str, clock: Clock) -> None:
        """`text` has one %s, for what happened."""
        self._log, self._text, self._clock = log, text, clock
        self._said: tuple[str, int] | None = None

    def met(self, what: object) -> None:
        """It is here, as `what`."""
        now_ns = self._clock.boot_ns()
        told = str(what)
        if self._said is None or self._said[0] != told or now_ns >= self._said[1] + QUIET_NS:
            self._said = told, now_ns
            self._log.error(self._text, told)

    def over(self) -> None:
        """It is not."""
        self._said = None


def set_up(level: str, form: str) -> None:
    """`level` is debug, info, warning or error; `form` is plain or json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if form == "json" else logging.Formatter(_PLAIN))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
