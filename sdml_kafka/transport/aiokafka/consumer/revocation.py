"""Handing over what is taken away: the rebalance waits, inside aiokafka's callback, until the
program's side has released it or the group would not wait any longer."""

import asyncio

from attrs import define, field

from sdml_kafka.transport.interfaces import TopicPartition


@define(eq=False)
class PendingRevocation:
    epoch: int
    partitions: frozenset[TopicPartition]
    lost: bool
    deadline_s: float
    released: asyncio.Event = field(factory=asyncio.Event)


class HandOver:
    def __init__(self) -> None:
        self._pending: PendingRevocation | None = None
        self._announced = asyncio.Event()

    @property
    def is_pending(self) -> bool:
        return self._pending is not None

    async def until_released(self, pending: PendingRevocation) -> None:
        """Bounded by its `deadline_s`."""
        self._pending = pending
        self._announced.set()
        released = asyncio.ensure_future(pending.released.wait())
        await asyncio.wait({released}, timeout=pending.deadline_s)
        released.cancel()
        self._pending = None

    async def next(self) -> PendingRevocation:
        """The same one again until it is released: its asker may have been cancelled."""
        while self._pending is None or self._pending.released.is_set():
            self._announced.clear()
            await self._announced.wait()
        return self._pending

    def is_current(self, pending: PendingRevocation) -> bool:
        return self._pending is pending

    def close(self) -> None:
        """Whoever holds it up need not any more."""
        if self._pending is not None:
            self._pending.released.set()
