"""aiokafka's log lines: rate-limited in an outage, and read for the reason of a failed start."""

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
MAX_LINES = 1000


class RepeatFilter(logging.Filter):
    """Lets a few of each line through in a window; then says how many it kept back.

    An idle consumer writes forty lines a second while its broker is away.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, object], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if _tells_credentials(record):
            return False
        for lines in _listening:
            lines.hear(record)
        key = (record.name, record.msg)
        now = time.monotonic()
        since, count = self._seen.get(key, (now, 0))
        if now - since >= WINDOW_S:
            if count > BURST:
                record.msg = f"{record.msg} [and {count - BURST} more like it]"
            since, count = now, 0
        if len(self._seen) > MAX_LINES:  # some lines carry their values in the text
            self._seen.clear()
        self._seen[key] = (since, count + 1)
        return count < BURST


def _tells_credentials(record: logging.LogRecord) -> bool:
    """aiokafka's DEBUG lines hold each request as it is, the one with the password too."""
    args = record.args if isinstance(record.args, tuple) else ()
    return any(type(arg).__name__.startswith("SaslAuthenticate") for arg in args)


_listening: "list[ErrorLines]" = []
_filter = RepeatFilter()
_users = 0


@contextmanager
def quieter_logs() -> Generator[None]:
    """Rate-limit aiokafka's loggers while any client of ours is open."""
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
    """Collects what aiokafka logs at ERROR, inside `quieter_logs`, those that it keeps back too:
    aiokafka's exception for a failed start has no cause."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def hear(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR and len(self.lines) < 20:
            self.lines.append(record.getMessage())

    def __enter__(self) -> "ErrorLines":
        _listening.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _listening.remove(self)

    def authentication_failure(self) -> str | None:
        """The broker's own words, when a line says that it refused our credentials."""
        for line in self.lines:
            at = line.find("SaslAuthenticationFailed")
            if at < 0:
                at = line.find("UnsupportedSaslMechanism")
            if at >= 0:
                return line[at : at + 300]
        return None

    def tls_failure(self) -> str | None:
        for line in self.lines:
            if "CERTIFICATE_VERIFY_FAILED" in line or "SSLCertVerificationError" in line:
                return line[-300:]
        return None
