"""The parser dispatcher: from fetched records to parsed ones in the queues of their types."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
from attrs import frozen

from sdml_kafka.consuming.partitions import LOW_BACKLOG, Intake, Partition
from sdml_kafka.listener.batch_parser import BatchParser, Parsed
from sdml_kafka.listener.router import Route, Router
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.runtime import Actor, Life, Mailbox
from sdml_kafka.transport.interfaces import Record

SLICE = 500
"""Records of a partition that are parsed and handed on in one go."""


@frozen
class Work:
    """Something may be dispatched: records came, there is room again, a stream opened."""


class Dispatcher(Actor):
    def __init__(
        self,
        mailbox: Mailbox[Work],
        intake: Intake,
        router: Router,
        parser: BatchParser,
    ) -> None:
        self.mailbox: Mailbox[Any] | None = mailbox
        self._work = mailbox
        self._intake = intake
        self._router = router
        self._parser = parser

    async def run(self, life: Life) -> None:
        for partition in self._intake.partitions.values():
            partition.busy = False  # of an earlier life
        tell_work(self._work)
        async with anyio.create_task_group() as parsing:
            with life.cancel_on_stop():
                life.started()
                while True:
                    await self._work.receive()
                    if self._intake.failure is not None:
                        raise self._intake.failure
                    await self._dispatch_all(parsing)
            parsing.cancel_scope.cancel()

    async def _dispatch_all(self, parsing: "anyio.abc.TaskGroup") -> None:
        progress = True
        while progress:
            progress = False
            for partition in list(self._intake.partitions.values()):
                if partition.busy or not partition.backlog:
                    continue
                if any(r.spec.is_async for r in self._router.routes(partition.key.topic)):
                    partition.busy = True
                    parsing.start_soon(self._dispatch_apart, partition)
                elif await self._dispatch(partition):
                    progress = True
            if progress:
                await anyio.lowlevel.checkpoint()

    async def _dispatch_apart(self, partition: Partition) -> None:
        """An async parser may take its time: it holds up its own partition alone."""
        try:
            while await self._dispatch(partition):
                pass
        finally:
            partition.busy = False

    async def _dispatch(self, partition: Partition) -> bool:
        """One slice of a partition; False when there is nothing, or no room for it."""
        routes = self._router.routes(partition.key.topic)
        count = self._room(partition, routes)
        if count == 0:
            return False
        records = partition.backlog[:count]
        queues = [queue for route in routes for queue in route.queues]
        for queue in queues:
            queue.reserved += count
        try:
            parsed = [await self._parser.parse(route.spec, records) for route in routes]
        finally:
            for queue in queues:
                queue.reserved -= count
        if partition.tenancy.withdrawn:
            tell_work(self._work)  # others may have what was reserved
            return False
        was_ready = len(partition.backlog) < LOW_BACKLOG
        partition.take(count)
        _deliver(partition, records, routes, parsed)
        if not was_ready and len(partition.backlog) < LOW_BACKLOG:
            self._intake.on_ready()
        return True

    def _room(self, partition: Partition, routes: Sequence[Route]) -> int:
        tenancy = partition.tenancy
        if not routes or tenancy.withdrawn:
            return 0
        room = min(SLICE, len(partition.backlog))
        free = self._intake.max_in_flight - tenancy.in_flight
        if free < room:
            self._intake.watch_in_flight(tenancy)
            room = free
        for route in routes:
            for queue in route.queues:
                room = min(room, queue.room())
        return max(0, room)


def _deliver(
    partition: Partition,
    records: Sequence[Record],
    routes: Sequence[Route],
    parsed: Sequence[Parsed],
) -> None:
    """Enter a slice into the ledger and put it into the queues: one step, nothing in between."""
    left = [sum(len(route.queues) for route in routes)] * len(records)
    for route, result in zip(routes, parsed, strict=True):
        for index in result.bad:
            left[index] -= len(route.queues)
    chunk = partition.tenancy.deliver(_offsets(records), left, anyio.current_time())
    for route, result in zip(routes, parsed, strict=True):
        kept = [records[index] for index in result.indices] if result.bad else records
        for queue in route.queues:
            if result.values:
                queue.put(Parcel(chunk, result.values, result.indices, kept))


def _offsets(records: Sequence[Record]) -> Sequence[int]:
    first, last = records[0].offset, records[-1].offset
    if last - first == len(records) - 1:
        return range(first, last + 1)
    return [record.offset for record in records]


def tell_work(mailbox: Mailbox[Work]) -> None:
    # Told already, or nobody there to tell: then there is nothing to add.
    with suppress(anyio.WouldBlock, anyio.ClosedResourceError):
        mailbox.send_nowait(Work())
