"""Records of one partition on their way through the parsers into the queues of the streams."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import chain
from operator import itemgetter

import anyio
import anyio.lowlevel

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.consuming.partitions import Intake, Partition
from sdml_kafka.hooks.batches import OnDelivered
from sdml_kafka.listener.batch_parser import (
    MAX_PARSING_S,
    NOT_CALLED,
    RUN,
    BatchParser,
    DeadLetterWriter,
    Parsed,
    Unparsed,
)
from sdml_kafka.listener.router import Route
from sdml_kafka.listener.typed_queue import Parcel
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.parsing.type_checks import name_of
from sdml_kafka.transport.fetched.parts import offsets_of, values_of
from sdml_kafka.transport.interfaces.records import Record


class Slice:
    """Some records of a partition that are parsed together, and the room that they will take."""

    def __init__(
        self,
        intake: Intake,
        partition: Partition,
        routes: Sequence[Route],
        count: int,
        dead_letters: DeadLetterWriter | None,
        on_delivered: OnDelivered | None = None,
    ) -> None:
        """Reserve room for the first `count` records of the backlog, which stay there for now.

        `dead_letters` takes those that do not parse, if they need one before they finish.
        """
        self.partition: Partition = partition
        self.routes: Sequence[Route] = routes
        self.records: Sequence[Record] = partition.backlog.first(count)
        self._intake = intake
        self._dead_letters, self._on_delivered = dead_letters, on_delivered
        self._handed = 0
        self._queues = [queue for route in routes for queue in route.queues]
        partition.parsing = count
        for queue in self._queues:
            queue.reserved += count

    @property
    def is_withdrawn(self) -> bool:
        """True if the partition was revoked meanwhile, so that nothing may be handed out."""
        tenancy = self.partition.tenancy
        return tenancy.withdrawn or not tenancy.open

    def make_records(self) -> None:
        """Make the records out of their columns, since parsers will take one after another."""
        self.records = list(self.records)

    def deliver(self, count: int, parsed: Sequence[Parsed]) -> None:
        """Hand out the next `count` records: one step, with nothing in between.

        They leave the backlog, enter the ledger, and go into the queues.
        """
        records, routes, partition = self.records, self.routes, self.partition
        if count < len(records):
            records = records[self._handed : self._handed + count]
        self._release(count)
        sizes = self._intake.remove(partition, count)
        left = [len(self._queues)] * count
        for route, result in zip(routes, parsed, strict=True):
            for index in result.dropped:
                left[index] -= len(route.queues)
        failed = (each for result in parsed for each in result.unparsed)
        unparsed = dict(sorted(failed, key=itemgetter(0)))
        for index in unparsed:
            left[index] += 1  # what finishes it is its dead letter
        chunk = partition.tenancy.deliver(offsets_of(records), left, anyio.current_time(), sizes)
        if self._on_delivered is not None:
            self._on_delivered(partition.key, records, self._names())
        for route, result in zip(routes, parsed, strict=True):
            kept = [records[index] for index in result.indices] if result.dropped else records
            for queue in route.queues:
                if result.values:
                    queue.put(
                        Parcel(chunk, result.values, result.indices, kept, None, route.queues)
                    )
        if unparsed:
            self._bury(chunk, records, left, unparsed)

    def _bury(
        self,
        chunk: Chunk[Tenancy],
        records: Sequence[Record],
        left: Sequence[int],
        unparsed: Mapping[int, Unparsed],
    ) -> None:
        writer, before = self._dead_letters, 0
        assert writer is not None
        for index, failed in unparsed.items():
            writer.note_good(sum(left[before:index]))
            writer.bury(records[index], failed.error, chunk, index, is_in_hand=False)
            before = index + 1
        writer.note_good(sum(left[before:]))

    def deliver_unparsed(self) -> None:
        """Hand out all records for one stream to parse, in one step as `deliver` does."""
        records, count = self.records, len(self.records)
        self._release(count)
        sizes = self._intake.remove(self.partition, count)
        chunk = self.partition.tenancy.deliver(
            offsets_of(records), b"\1" * count, anyio.current_time(), sizes
        )
        if self._on_delivered is not None:
            self._on_delivered(self.partition.key, records, self._names())
        (route,) = self.routes
        (queue,) = route.queues
        spec = route.spec
        if spec.decode is not None and (values := values_of(records)) is not None:
            parse = None if spec.decode is bytes is spec.accepts else spec.decode
            parcel = Parcel(chunk, values, range(count), records, spec, route.queues, parse)
        else:
            records = list(records)
            parcel = Parcel(chunk, records, range(count), records, spec, route.queues, spec.parser)
        queue.put(parcel)

    def _names(self) -> tuple[str, ...]:
        return tuple(name_of(route.spec.type) for route in self.routes)

    def end(self) -> None:
        """Give the room back that was reserved for records which were not handed out."""
        self._release(len(self.records) - self._handed)

    def _release(self, count: int) -> None:
        self._handed += count
        self.partition.parsing -= count
        for queue in self._queues:
            queue.reserved -= count


class GradualSlice:
    """Parses a slice one record after another, and lets each be handed out once it is parsed.

    Whoever parses cannot hand out what is ready while it waits for a parser, so another task does:
    `on_ready` asks for a call of `hand_out`. What a parser makes without waiting goes out in one
    piece.
    """

    def __init__(
        self,
        slice_: Slice,
        parser: BatchParser,
        made: Sequence[Parsed] | None,
        on_ready: Callable[["GradualSlice"], None],
        on_room: Callable[[], None],
    ) -> None:
        """Begin with nothing parsed.

        Args:
            slice_: The records.
            parser: Parses single records.
            made: What the parsers have returned for all of the records, some of it to be awaited;
                None if they are yet to be called.
            on_ready: Called when `hand_out` has something to do, once until it is called.
            on_room: Called when less room is needed than was reserved.
        """
        self._slice = slice_
        self._parser = parser
        self._made = [
            dict(chain(zip(p.indices, p.values, strict=True), p.unparsed)) for p in made or ()
        ]
        self._on_ready = on_ready
        self._on_room = on_room
        self._ready = 0
        self._parsed = [Parsed() for _ in slice_.routes]
        self._indices = [list[int]() for _ in slice_.routes]

    async def run(self) -> None:
        """Parse all records; stop early if the partition is revoked."""
        slice_, tenancy = self._slice, self._slice.partition.tenancy
        only = slice_.routes[0].spec if len(slice_.routes) == 1 and not self._made else None
        parse_one, preparations = self._parser.parse_one, self._parser.preparations
        pause_at = anyio.current_time() + MAX_PARSING_S
        try:
            for index, record in enumerate(slice_.records):
                if only is not None:  # the most frequent case, in which each call counts
                    values = [await parse_one(only, record, tenancy)]
                else:
                    values = [
                        await self._value(number, index, record)
                        for number in range(len(slice_.routes))
                    ]
                if tenancy.withdrawn or not tenancy.open or preparations.is_closed:
                    break
                self._add(values)
                if index % RUN == 0 and anyio.current_time() > pause_at:
                    await anyio.lowlevel.checkpoint()
                    pause_at = anyio.current_time() + MAX_PARSING_S
            self.hand_out()
        finally:
            slice_.end()
            self._on_room()
            for values_made in self._made:
                for value in values_made.values():
                    if isinstance(value, Coroutine):
                        value.close()  # nobody awaits it any more, which Python would warn of

    async def _value(self, number: int, index: int, record: Record) -> object:
        made = self._made[number].pop(index, SKIP) if self._made else NOT_CALLED
        if isinstance(made, Unparsed):
            return made
        slice_ = self._slice
        spec, tenancy = slice_.routes[number].spec, slice_.partition.tenancy
        return await self._parser.parse_one(spec, record, tenancy, made)

    def _add(self, values: Sequence[object]) -> None:
        for parsed, indices, value in zip(self._parsed, self._indices, values, strict=True):
            if isinstance(value, Unparsed):
                parsed.unparsed.append((self._ready, value))
                parsed.dropped.append(self._ready)
            elif value is SKIP:
                parsed.dropped.append(self._ready)
            else:
                parsed.values.append(value)
                indices.append(self._ready)
        self._ready += 1
        if self._ready == 1:
            self._on_ready(self)

    def hand_out(self) -> None:
        """Hand out what is parsed."""
        if self._ready and not self._slice.is_withdrawn:
            count, parsed = self._ready, self._parsed
            for result, indices in zip(parsed, self._indices, strict=True):
                result.indices = indices if result.dropped else range(count)
            self._ready = 0
            self._parsed = [Parsed() for _ in parsed]
            self._indices = [list[int]() for _ in parsed]
            self._slice.deliver(count, parsed)
            if any(result.dropped for result in parsed):
                self._on_room()
