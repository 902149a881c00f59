"""Make a rebalance wait, inside aiokafka's callback, until what is revoked has been released.

The program's side drains and releases. The wait ends without it when the group would not wait any
longer.
"""

import asyncio

from attrs import define, field

from sdml_kafka.transport.interfaces.records import TopicPartition


@define(eq=False)
class PendingRevocation:
    """A revocation on the asyncio side, see `Revocation`."""

    epoch: int
    partitions: frozenset[TopicPartition]
    lost: bool
    deadline_s: float
    released: asyncio.Event = field(factory=asyncio.Event)


class RevocationGate:
    """Holds the revocation that was not released yet; there is one at most."""

    def __init__(self) -> None:
        self._pending: PendingRevocation | None = None
        self._announced = asyncio.Event()

    async def wait_released(self, pending: PendingRevocation) -> None:
        """Announce a revocation, and wait for its release or until its `deadline_s` has passed."""
        self._pending = pending
        self._announced.set()
        released = asyncio.ensure_future(pending.released.wait())
        await asyncio.wait({released}, timeout=pending.deadline_s)
        released.cancel()
        self._pending = None

    async def next(self) -> PendingRevocation:
        """Wait for a revocation and return it.

        It is returned again until it is released, since a cancelled caller has not seen it.
        """
        while self._pending is None or self._pending.released.is_set():
            self._announced.clear()
            await self._announced.wait()
        return self._pending

    def is_current(self, pending: PendingRevocation) -> bool:
        return self._pending is pending

    def close(self) -> None:
        """Let the rebalance go on: the consumer leaves its group."""
        if self._pending is not None:
            self._pending.released.set()
