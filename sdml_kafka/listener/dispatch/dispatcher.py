"""The parser dispatcher: from fetched records to parsed ones in the queues of their types."""

from collections import deque
from collections.abc import Sequence

import anyio
import anyio.abc
import anyio.lowlevel

from sdml_kafka.consuming.partitions import Intake, Partition
from sdml_kafka.hooks.batches import OnDelivered
from sdml_kafka.listener.batch_parser import BatchParser, Parsed
from sdml_kafka.listener.dispatch.dispatch_signal import DispatchSignal, Work
from sdml_kafka.listener.dispatch.slices import GradualSlice, Slice
from sdml_kafka.listener.router import Route, Router
from sdml_kafka.runtime import Actor, Life, Mailbox
from sdml_kafka.runtime.wait_queue import WaitQueue

MAX_SLICE = 500
"""Records of a partition that are parsed and handed on in one go."""

MAX_BEHIND = 65_536
"""Records of a listener that may wait behind busy keys, beside `max_in_flight` of each partition.
A partition may have as many as are left, so one has half of them, and two have a third each."""


class Dispatcher(Actor):
    """Parses what waits in the intake, as far as streams have room for it."""

    def __init__(
        self,
        signal: DispatchSignal,
        intake: Intake,
        router: Router,
        parser: BatchParser,
        max_in_flight: int,
        on_delivered: OnDelivered | None = None,
    ) -> None:
        self.mailbox: Mailbox[Work] = signal.mailbox
        self._signal = signal
        self._intake = intake
        self._router = router
        self._parser = parser
        self._max_in_flight, self._on_delivered = max_in_flight, on_delivered
        self._ready: deque[GradualSlice] = deque()
        self._waiting = WaitQueue()
        self._rounds = 0
        """The number of rounds over the partitions so far."""

    async def run(self, life: Life) -> None:
        """Dispatch what can be dispatched at each signal."""
        for partition in self._intake.partitions.values():
            partition.busy = False  # the tasks of an earlier life have ended
        self._signal.notify()
        async with anyio.create_task_group() as parsing:
            with life.cancel_on_stop():
                parsing.start_soon(self._hand_out)
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
            for partition in self._next_round():
                if partition.busy or not partition.backlog:
                    continue
                routes = self._router.routes(partition.key.topic)
                if any(self._parser.waits(route.spec) for route in routes):
                    partition.busy = True
                    parsing.start_soon(self._dispatch_apart, partition)
                elif await self._dispatch(partition, parsing):
                    progress = True
            if progress:
                await anyio.lowlevel.checkpoint()

    def _next_round(self) -> list[Partition]:
        """Return the partitions, with another one as the first each time.

        Where room is short, the first one takes it.
        """
        partitions = list(self._intake.partitions.values())
        self._rounds += 1
        first = self._rounds % len(partitions) if partitions else 0
        return partitions[first:] + partitions[:first]

    async def _dispatch(self, partition: Partition, parsing: anyio.abc.TaskGroup) -> bool:
        """Dispatch one slice of a partition; return False if it has none or there is no room."""
        if (slice_ := self._next_slice(partition)) is None:
            return False
        if self._reader_parses(slice_.routes):
            slice_.deliver_unparsed()
            return True
        slice_.make_records()
        try:
            of = slice_.records, partition.tenancy
            parsed = [await self._parser.parse(route.spec, *of) for route in slice_.routes]
        except BaseException:
            slice_.end()
            raise
        if any(result.waits for result in parsed):
            partition.busy = True
            parsing.start_soon(self._dispatch_apart, partition, slice_, parsed)
            return True
        withdrawn = slice_.is_withdrawn
        if withdrawn:
            slice_.end()
        else:
            slice_.deliver(len(slice_.records), parsed)
        if withdrawn or any(result.dropped for result in parsed):
            # Room that was reserved is free again, and no reader will say so.
            self._signal.notify()
        return not withdrawn

    def _reader_parses(self, routes: Sequence[Route]) -> bool:
        """Return whether the one reader of these records may parse them, each as it takes it.

        Where several streams read a topic, a record may be for one of them alone, and must not take
        up the room of the others. An awaitable must not hold up the other partitions of a stream.
        """
        only, *others = routes
        return not others and len(only.queues) == 1 and self._parser.is_plain(only.spec)

    async def _dispatch_apart(
        self,
        partition: Partition,
        slice_: Slice | None = None,
        made: Sequence[Parsed] | None = None,
    ) -> None:
        """Dispatch in a task of its own: an async parser holds up its own partition alone."""
        try:
            while slice_ := slice_ or self._next_slice(partition):
                slice_.make_records()
                await GradualSlice(
                    slice_, self._parser, made, self._has_parsed, self._signal.notify
                ).run()
                if not any(self._parser.waits(route.spec) for route in slice_.routes):
                    self._signal.notify()
                    break  # the parsers have what they needed, and readers may call them now
                slice_ = made = None
        finally:
            partition.busy = False

    def _has_parsed(self, gradual: GradualSlice) -> None:
        self._ready.append(gradual)
        self._waiting.wake_one()

    async def _hand_out(self) -> None:
        """Hand out what async parsers have parsed, while they wait."""
        while True:
            while self._ready:
                self._ready.popleft().hand_out()
            await self._waiting.wait()

    def _next_slice(self, partition: Partition) -> Slice | None:
        routes = self._router.routes(partition.key.topic)
        count = self._room(partition, routes)
        if count <= 0:
            return None
        writer, observe = self._parser.dead_letters, self._on_delivered
        return Slice(self._intake, partition, routes, count, writer, observe)

    def _room(self, partition: Partition, routes: Sequence[Route]) -> int:
        tenancy = partition.tenancy
        if not routes or tenancy.withdrawn or not tenancy.open:
            return 0
        room = min(MAX_SLICE, len(partition.backlog))
        free = self._max_in_flight - tenancy.in_flight
        if tenancy.behind:  # what waits behind a busy key must not hold up the other keys
            free += max(0, min(tenancy.behind, MAX_BEHIND - self._intake.ledger.behind()))
        if free < room:
            # A full partition goes on when half of its records have finished, not at each one.
            tenancy.call_when_low(self._max_in_flight // 2, self._signal.notify)
            room = free
        is_parsed = not self._reader_parses(routes)
        may_take_long = not all(self._parser.is_plain(route.spec) for route in routes)
        for route in routes:
            for queue in route.queues:
                fitting = queue.room_for(tenancy, is_parsed=is_parsed, may_take_long=may_take_long)
                room = min(room, fitting)
        return partition.first(room) if room > 0 else 0
