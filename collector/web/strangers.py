"""Bytes that are no HTTP: a port scanner's visit is one line of the log, not a traceback."""

import logging

from aiohttp.http_exceptions import HttpProcessingError


class _OneLine(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = "not HTTP: %s", (" ".join(error.message.split())[:200],)
        return True


log = logging.getLogger(__name__)
"""For the HTTP server to log its errors to."""
log.addFilter(_OneLine())
