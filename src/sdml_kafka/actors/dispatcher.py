"""The parser dispatcher: from fetched records to parsed ones in the queues of their types."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from inspect import isawaitable
from itertools import repeat
from logging import getLogger
from typing import Any, Literal

import anyio
import anyio.lowlevel
from attrs import define, frozen

from sdml_kafka.actors.intake import POLL_RECORDS, Intake, Partition
from sdml_kafka.actors.router import Route, Router
from sdml_kafka.actors.specs import CompiledSpec, name_of
from sdml_kafka.errors import ParseFailed
from sdml_kafka.kafka.port import Record
from sdml_kafka.runtime import Actor, Life, Mailbox

_log = getLogger("sdml_kafka.listener")

SLICE = 256
BREATH_S = 0.01
MOST_ERROR_TEXT = 200
"""A parser may hold up the event loop this long before others get their turn."""

ParseErrorHandler = Callable[[Any, Exception], Awaitable[None] | None]
OnParseError = Literal["skip", "raise"] | ParseErrorHandler


@frozen
class Work:
    """Something may be dispatched: records came, there is room again, a stream opened."""


@define
class Parsed:
    """What one spec made of a slice: values, and which records they belong to."""

    values: list[object]
    indices: Sequence[int]
    bad: Sequence[int] = ()


class Dispatcher(Actor):
    def __init__(
        self,
        mailbox: Mailbox[Work],
        intake: Intake,
        router: Router,
        on_parse_error: OnParseError,
        count_parse_error: Callable[[], None],
    ) -> None:
        self.mailbox = self._work = mailbox
        self._intake = intake
        self._router = router
        self._on_parse_error = on_parse_error
        self._count_parse_error = count_parse_error

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
        parsed = [await self._parse(route.spec, records) for route in routes]
        if partition.tenancy.withdrawn:
            return False
        was_ready = len(partition.backlog) < POLL_RECORDS
        partition.take(count)
        _deliver(partition, records, routes, parsed)
        if not was_ready and len(partition.backlog) < POLL_RECORDS:
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
                if (fits := queue.room()) is not None:
                    room = min(room, fits)
        return max(0, room)

    # -- parsing -------------------------------------------------------------------------

    async def _parse(self, spec: CompiledSpec, records: Sequence[Record]) -> Parsed:
        parser, accepts, is_async = spec.parser, spec.accepts, spec.is_async
        values: list[object] = []
        bad: list[int] = []
        pause_at = anyio.current_time() + BREATH_S
        for index, record in enumerate(records):
            try:
                value = parser(record)
                if is_async:
                    value = await value
                if not isinstance(value, accepts):
                    value = await self._second_look(spec, value)
            except Exception as error:
                await self._failed(spec, record, error)
                bad.append(index)
            else:
                values.append(value)
            if index % 16 == 15 and anyio.current_time() > pause_at:
                await anyio.lowlevel.checkpoint()
                pause_at = anyio.current_time() + BREATH_S
        if not bad:
            return Parsed(values, range(len(records)))
        gone = set(bad)
        return Parsed(values, [index for index in range(len(records)) if index not in gone], bad)

    async def _second_look(self, spec: CompiledSpec, value: object) -> object:
        """A value of another type; a plain function may also have returned an awaitable."""
        if isawaitable(value):
            value = await value
            if isinstance(value, spec.accepts):
                return value
        raise TypeError(
            f"the parser returned {type(value).__name__}, its spec says {name_of(spec.type)}"
        )

    async def _failed(self, spec: CompiledSpec, record: Record, error: Exception) -> None:
        self._count_parse_error()
        where = f"{record.topic!r} partition {record.partition} offset {record.offset}"
        # An error's text may quote the record: escaped by repr, and cut.
        why = repr(error)[:MOST_ERROR_TEXT]
        if self._on_parse_error == "skip":
            _log.warning("skipped a record that did not parse: %s: %s", where, why)
            return
        try:
            if isinstance(self._on_parse_error, str):
                raise ParseFailed(
                    f"{where} did not parse as {name_of(spec.type)}: {why}. Mend the parser or "
                    "the record, or pass on_parse_error='skip'."
                ) from error
            outcome = self._on_parse_error(record, error)
            if outcome is not None:
                await outcome
        except Exception as failure:
            self._intake.fail(failure)
            raise


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
        if len(result.values) < len(records):
            records_of = [records[index] for index in result.indices]
        else:
            records_of = list(records)
        for queue in route.queues:
            queue.put(zip(repeat(chunk), result.indices, result.values, records_of, strict=False))


def _offsets(records: Sequence[Record]) -> Sequence[int]:
    first, last = records[0].offset, records[-1].offset
    if last - first == len(records) - 1:
        return range(first, last + 1)
    return [record.offset for record in records]


def tell_work(mailbox: Mailbox[Work]) -> None:
    # Told already, or nobody there to tell: then there is nothing to add.
    with suppress(anyio.WouldBlock, anyio.ClosedResourceError):
        mailbox.send_nowait(Work())
