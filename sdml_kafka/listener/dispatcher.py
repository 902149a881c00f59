"""The parser dispatcher: from fetched records to parsed ones in the queues of their types."""

from collections.abc import Sequence
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel

from sdml_kafka.consuming.partitions import Intake, Partition
from sdml_kafka.listener.batch_parser import BatchParser, Parsed
from sdml_kafka.listener.dispatch_signal import DispatchSignal
from sdml_kafka.listener.router import Route, Router
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.runtime import Actor, Life, Mailbox
from sdml_kafka.transport.interfaces import Record

MAX_SLICE = 500
"""Records of a partition that are parsed and handed on in one go."""


class Dispatcher(Actor):
    """Parses what waits in the intake, as far as streams have room for it."""

    def __init__(
        self,
        signal: DispatchSignal,
        intake: Intake,
        router: Router,
        parser: BatchParser,
        max_in_flight: int,
    ) -> None:
        self.mailbox: Mailbox[Any] | None = signal.mailbox
        self._signal = signal
        self._intake = intake
        self._router = router
        self._parser = parser
        self._max_in_flight = max_in_flight

    async def run(self, life: Life) -> None:
        """Dispatch what can be dispatched at each signal."""
        for partition in self._intake.partitions.values():
            partition.busy = False  # the tasks of an earlier life have ended
        self._signal.notify()
        async with anyio.create_task_group() as parsing:
            with life.cancel_on_stop():
                life.started()
                while True:
                    await self._signal.mailbox.receive()
                    if self._signal.failure is not None:
                        raise self._signal.failure
                    await self._dispatch_all(parsing)
            parsing.cancel_scope.cancel()

    async def _dispatch_all(self, parsing: anyio.abc.TaskGroup) -> None:
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
        """Dispatch in a task of its own: an async parser holds up its own partition alone."""
        try:
            while await self._dispatch(partition):
                pass
        finally:
            partition.busy = False

    async def _dispatch(self, partition: Partition) -> bool:
        """Dispatch one slice of a partition; return False if it has none or there is no room."""
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
        withdrawn = partition.tenancy.withdrawn
        if not withdrawn:
            self._intake.remove(partition, count)
            _deliver(partition, records, routes, parsed)
        if withdrawn or any(result.dropped for result in parsed):
            # Room that was reserved is free again, and no reader will say so.
            self._signal.notify()
        return not withdrawn

    def _room(self, partition: Partition, routes: Sequence[Route]) -> int:
        tenancy = partition.tenancy
        if not routes or tenancy.withdrawn:
            return 0
        room = min(MAX_SLICE, len(partition.backlog))
        free = self._max_in_flight - tenancy.in_flight
        if free < room:
            # A full partition goes on when half of its records have finished, not at each one.
            tenancy.call_when_low(self._max_in_flight // 2, self._signal.notify)
            room = free
        for route in routes:
            for queue in route.queues:
                room = min(room, queue.room_for(tenancy))
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
        for index in result.dropped:
            left[index] -= len(route.queues)
    chunk = partition.tenancy.deliver(_offsets(records), left, anyio.current_time())
    for route, result in zip(routes, parsed, strict=True):
        kept = [records[index] for index in result.indices] if result.dropped else records
        for queue in route.queues:
            if result.values:
                queue.put(Parcel(chunk, result.values, result.indices, kept))


def _offsets(records: Sequence[Record]) -> Sequence[int]:
    first, last = records[0].offset, records[-1].offset
    if last - first == len(records) - 1:
        return range(first, last + 1)
    return [record.offset for record in records]
