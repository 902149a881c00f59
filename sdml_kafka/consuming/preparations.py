"""Records that are held until their parser or serializer has what it needs.

How this works. Whoever has such a record in hand waits here, under a cancel scope of its own. When
the partition is revoked the scope is cancelled, and the record is given back at once: a schema
registry that is away must not hold up a hand-over. While nothing waits here, nobody looks here.
"""

from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Protocol

import anyio
from attrs import define, frozen

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.transport.interfaces.records import TopicPartition


class Preparing(Protocol):
    """The `NotYet` that a record waits for."""

    @property
    def why(self) -> str: ...
    @property
    def prepare(self) -> Callable[[], Awaitable[object]]: ...


@frozen
class Held:
    """The record that holds a partition: the lowest of its records that wait here."""

    offset: int
    why: str
    for_s: float
    """Seconds since the record began to wait."""


@define(eq=False)
class _Wait:
    tenancy: Tenancy
    offset: int
    since: float
    reason: Preparing
    scope: anyio.CancelScope


class Preparations:
    """All records of a consumer that wait for their parsers or serializers."""

    def __init__(self) -> None:
        """Begin with none."""
        self.is_closed: bool = False
        """True if the consumer has ended, so that nothing waits any more."""
        self._waits: dict[_Wait, None] = {}

    async def wait(self, tenancy: Tenancy, offset: int, reason: Preparing) -> bool:
        """Wait until it is worth trying again; return False if the record has to be given back.

        Raises:
            Exception: What `reason.prepare` raises.
        """
        with anyio.CancelScope() as scope:
            wait = _Wait(tenancy, offset, anyio.current_time(), reason, scope)
            self._waits[wait] = None
            try:
                if not self.is_closed and not _is_gone(tenancy):
                    await reason.prepare()
            finally:
                del self._waits[wait]
        return not self.is_closed and not _is_gone(tenancy)

    def release_gone(self) -> None:
        """Let go of the records whose partitions were revoked."""
        for wait in list(self._waits):
            if _is_gone(wait.tenancy):
                wait.scope.cancel()

    def close(self) -> None:
        """Let go of all records, since the consumer ends."""
        self.is_closed = True
        for wait in list(self._waits):
            wait.scope.cancel()

    def held(self, now: float, for_s: float = -inf) -> Mapping[TopicPartition, Held]:
        """Return what has held each partition for so many seconds. Any thread may ask."""
        held: dict[TopicPartition, Held] = {}
        for wait in list(self._waits):
            key = TopicPartition(wait.tenancy.topic, wait.tenancy.partition)
            known = held.get(key)
            age_s = now - wait.since
            if age_s >= for_s and (known is None or wait.offset < known.offset):
                held[key] = Held(wait.offset, wait.reason.why, age_s)
        return held


def _is_gone(tenancy: Tenancy) -> bool:
    return tenancy.withdrawn or not tenancy.open
