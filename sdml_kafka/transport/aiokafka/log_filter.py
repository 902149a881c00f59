"""Limit aiokafka's log lines in an outage, and read the reason of a failed start from them."""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager

LOGGERS = (
    "aiokafka",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.producer.sender",
)
BURST = 3
WINDOW_S = 10.0
MAX_KINDS = 1000
MAX_ERROR_LINES = 20


class RepeatFilter(logging.Filter):
    """Lets `BURST` lines of a kind through in `WINDOW_S`; the next one says how many were left out.

    An idle consumer writes forty lines a second while its broker is away.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if _shows_credentials(record):
            return False
        for lines in _collectors:
            lines.collect(record)
        key = (record.name, record.msg)
        now = time.monotonic()
        since, count = self._seen.get(key, (now, 0))
        if now - since >= WINDOW_S:
            if count > BURST:
                record.msg = f"{record.msg} [and {count - BURST} more like it]"
            since, count = now, 0
        if len(self._seen) > MAX_KINDS:  # some lines carry their values in the text
            self._seen.clear()
        self._seen[key] = (since, count + 1)
        return count < BURST


def _shows_credentials(record: logging.LogRecord) -> bool:
    """Return whether a line holds a password: aiokafka's DEBUG lines hold each request as it is."""
    args = record.args if isinstance(record.args, tuple) else ()
    return any(type(arg).__name__.startswith("SaslAuthenticate") for arg in args)


_collectors: "list[ErrorLines]" = []
_filter = RepeatFilter()
_users = 0


@contextmanager
def limited_logs() -> Generator[None]:
    """Limit the lines of aiokafka's loggers while any client of this package is open."""
    global _users
    _users += 1
    if _users == 1:
        for name in LOGGERS:
            logging.getLogger(name).addFilter(_filter)
    try:
        yield
    finally:
        _users -= 1
        if _users == 0:
            for name in LOGGERS:
                logging.getLogger(name).removeFilter(_filter)


class ErrorLines:
    """Collects what aiokafka logs at ERROR inside `limited_logs`, also lines that are left out.

    aiokafka's exception for a failed start has no cause, but its log lines name one.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def collect(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR and len(self.lines) < MAX_ERROR_LINES:
            self.lines.append(record.getMessage())

    def __enter__(self) -> "ErrorLines":
        _collectors.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _collectors.remove(self)

    def authentication_failure(self) -> str | None:
        """Return the broker's own words if a line says that it refused the credentials."""
        for line in self.lines:
            at = line.find("SaslAuthenticationFailed")
            if at < 0:
                at = line.find("UnsupportedSaslMechanism")
            if at >= 0:
                return line[at : at + 300]
        return None

    def tls_failure(self) -> str | None:
        """Return the end of a line that says why the broker's certificate was not accepted."""
        for line in self.lines:
            if "CERTIFICATE_VERIFY_FAILED" in line or "SSLCertVerificationError" in line:
                return line[-300:]
        return None
