"""Limit aiokafka's log lines in an outage, and let none show a password."""

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
