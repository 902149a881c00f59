"""One transaction of a producer at a time: others wait for it, and one inside of it is an error."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from math import inf

import anyio

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.producer.open_transaction import TransactionState

NESTED = (
    "a transaction of this producer is open in this task already, and would never end: send in "
    "that one, or take another producer with an id of its own"
)
NESTED_BELOW = (
    "this task was started within a transaction of this producer, which has not ended within %g s: "
    "if that waits for this task, neither ends. Send in that transaction, or take another producer "
    "with an id of its own"
)

_AROUND: ContextVar[frozenset[TransactionState]] = ContextVar("_AROUND", default=frozenset())
"""The transactions within which a task runs, or was started."""


class TransactionTurns:
    """Lets one transaction after another be open."""

    def __init__(self) -> None:
        self._lock: anyio.Lock | None = None
        self.open: TransactionState | None = None
        """The transaction that is open, None between two."""

    @asynccontextmanager
    async def turn(self, state: TransactionState, timeout_s: float) -> AsyncGenerator[None]:
        """Wait until no other transaction is open; inside the context this one is.

        Raises:
            ConfigurationError: The task has a transaction open already, or was started within one
                that has not ended within `timeout_s`.
        """
        lock, around = self._lock, _AROUND.get()
        if lock is None:
            lock = self._lock = anyio.Lock()
        if lock.statistics().owner == anyio.get_current_task():
            raise ConfigurationError(NESTED)
        is_below, has_turn = self.open in around, False
        while not has_turn:
            with anyio.move_on_after(timeout_s if is_below else inf):
                await lock.acquire()
                has_turn = True
            if not has_turn and self.open in around:
                raise ConfigurationError(NESTED_BELOW % timeout_s)
            is_below = False
        self.open = state
        _AROUND.set(around | {state})
        try:
            yield
        finally:
            _AROUND.set(around)
            self.open = None
            lock.release()
