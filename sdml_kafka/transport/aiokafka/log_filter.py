# pyright: basic
# aiokafka is not typed.
"""Keep of aiokafka's log lines what this package does not say itself, and limit those.

Lines of this package's own clients that it says better, once, become DEBUG lines; those of clients
that the program uses beside it are only limited. No line shows a password.
"""

import logging
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError

LOGGERS = (
    "aiokafka",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.coordinator.assignors.range",
    "aiokafka.coordinator.assignors.roundrobin",
    "aiokafka.coordinator.assignors.sticky.sticky_assignor",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.consumer.subscription_state",
    "aiokafka.producer.producer",
    "aiokafka.producer.sender",
)
BURST = 3
WINDOW_S = 30.0
MAX_KINDS = 1000

_SAID_BY_US = (
    "Unable connect to node with id %s",  # `Health.unreachable`
    "Unable to bootstrap from",  # the error of the start, or a line if another address did
    "Unable to request metadata from",
    "Unable to update metadata from",
    "Topic %s not found in cluster metadata",  # `Health.missing_topics`, or TopicMissing
    "No partition metadata for topic",
    "Topic %s is not available during auto-create",
    "Topic %s is not authorized for this client",  # AuthorizationFailed, as the next
    "Not authorized to read from topic",
    "Error sending %s to node %s [%s] -- marking coordinator dead",  # an outage, or a rebalance
    "Marking the coordinator dead",
    "Group Coordinator Request failed",
    "Heartbeat",
    "LeaveGroup request failed",
    "Got error produce response on topic-partition",  # tried again until the deadline: SendFailed
    "OffsetCommit failed for group",  # CommitFailed, CommitRejected
    "Attempt to join group failed due to fatal error",  # raised by the next poll
)
"""The beginnings of the templates of lines that say what this package says itself."""
_CONNECTION = (KafkaConnectionError, NodeNotReadyError)


_is_own: ContextVar[bool] = ContextVar("sdml_kafka_client", default=False)
"""True if what runs in this context belongs to a client of this package."""


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
        if _is_own.get() and _is_said_by_us(record):
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
            return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
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


def _is_said_by_us(record: logging.LogRecord) -> bool:
    if record.levelno <= logging.INFO or str(record.msg).startswith(_SAID_BY_US):
        return True
    args = record.args if isinstance(record.args, tuple) else ()
    error = record.exc_info[1] if record.exc_info else None
    # aiokafka's own errors are raised by the next call as well.
    return isinstance(error, KafkaError) or any(isinstance(arg, _CONNECTION) for arg in args)


_filter = RepeatFilter()
_users = 0


@contextmanager
def limited_logs() -> Generator[None]:
    """Limit the lines of aiokafka's loggers while any client of this package is open.

    Tasks that are begun inside, or by those that are, count as the client's own.
    """
    global _users
    _users += 1
    if _users == 1:
        for name in LOGGERS:
            logging.getLogger(name).addFilter(_filter)
    token = _is_own.set(True)
    try:
        yield
    finally:
        with suppress(ValueError):  # left in another task than entered
            _is_own.reset(token)
        _users -= 1
        if _users == 0:
            for name in LOGGERS:
                logging.getLogger(name).removeFilter(_filter)


def own_context() -> None:
    """Count what this context begins from now on as the client's own."""
    _is_own.set(True)


@contextmanager
def own_lines() -> Generator[None]:
    """Count what is begun inside as the client's own: any task may call the client."""
    token = _is_own.set(True)
    try:
        yield
    finally:
        _is_own.reset(token)
