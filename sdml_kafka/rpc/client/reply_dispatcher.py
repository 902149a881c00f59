"""The parser dispatcher of a client: finds the call that a reply is for, and parses it for that."""

from collections.abc import Awaitable, Iterator, Sequence
from inspect import isawaitable
from itertools import chain
from typing import Any

import anyio

from sdml_kafka.errors import RemoteError, RemoteTimeout, ReplyInvalid
from sdml_kafka.rpc.client.pending_calls import Calls, Pending
from sdml_kafka.rpc.dialects.messages import DEADLINE_EXCEEDED, OK, CorrelationFromRecord, Reply
from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.runtime import Actor, Life, Mailbox
from sdml_kafka.transport.interfaces import Record

MAX_TYPES = 1000

Harvest = Sequence[Sequence[Record]]
"""What one poll brought, partition by partition."""


class ReplyMatcher:
    """Whose reply is this? What is nobody's is counted and dropped."""

    def __init__(
        self, calls: Calls, own_prefix: bytes, wire: Wire, extract: CorrelationFromRecord | None
    ) -> None:
        self._calls = calls
        self._own_prefix = own_prefix
        self.wire = wire
        self._extract = extract

    def match(self, record: Record) -> tuple[Pending, Reply] | None:
        reply = self.wire.read_reply(record.headers)
        id_ = reply.id if self._extract is None else self._extracted(record)
        call = self._by_key(record.key) if id_ is None else self._calls.table.get(id_)
        if call is None:
            if id_ is not None:
                self._count_unknown(id_)
            return None
        expectation = call.expectation
        if expectation is None or record.topic not in expectation.specs:
            self._calls.counters.foreign += 1
            return None
        return call, reply

    def _count_unknown(self, id_: bytes | None) -> None:
        if id_ and id_.startswith(self._own_prefix):
            self._calls.counters.late += 1
        else:
            self._calls.counters.foreign += 1

    def _by_key(self, key: bytes | None) -> Pending | None:
        waiting = self._calls.table.with_key(key) if key else ()
        if len(waiting) == 1:
            return waiting[0]
        if waiting:
            self._calls.counters.ambiguous += 1
        else:
            self._count_unknown(key)
        return None

    def _extracted(self, record: Record) -> bytes | None:
        assert self._extract is not None
        try:
            found = self._extract(record)
        except Exception:  # it is the user's, and the record a stranger's
            return None
        return found.encode() if isinstance(found, str) else found


class ReplyDispatcher(Actor):
    def __init__(
        self, harvests: Mailbox[Harvest], backlog: "Backlog", matcher: ReplyMatcher
    ) -> None:
        self.mailbox: Mailbox[Any] | None = harvests
        self._harvests = harvests
        self._backlog = backlog
        self._matcher = matcher
        self._plain: set[type] = set()
        """Types of values that need not be awaited."""

    async def run(self, life: Life) -> None:
        async with anyio.create_task_group() as parsing:
            with life.cancel_on_stop():
                life.started()
                while True:
                    for record in self._backlog.rest:
                        if (found := self._matcher.match(record)) is not None:
                            self._deliver(record, *found, parsing)
                    self._backlog.rest = chain.from_iterable(await self._harvests.receive())
            parsing.cancel_scope.cancel()

    def _deliver(
        self, record: Record, call: Pending, reply: Reply, parsing: "anyio.abc.TaskGroup"
    ) -> None:
        if reply.status != OK:
            kind = RemoteTimeout if reply.status == DEADLINE_EXCEEDED else RemoteError
            error = kind(reply.status, reply.error)
            error.received = True
            call.arrived(reply, None, error)
            return
        if reply.is_end:
            call.arrived(reply, None, None)
            return
        assert call.expectation is not None
        try:
            value = call.expectation.specs[record.topic].parser(record)
            if type(value) not in self._plain and self._is_awaitable(value):
                call.parsing += 1
                parsing.start_soon(_finish_parsing, value, record, call, reply)
                return
            call.expectation.check(value)
        except Exception as error:
            call.arrived(reply, None, invalid(record, error, call))
        else:
            call.arrived(reply, value, None)

    def _is_awaitable(self, value: object) -> bool:
        if isawaitable(value):
            return True
        if len(self._plain) < MAX_TYPES:
            self._plain.add(type(value))
        return False


class Backlog:
    """What is left of the harvest in work; outlives a dispatcher that dies over a record."""

    def __init__(self) -> None:
        self.rest: Iterator[Record] = iter(())


async def _finish_parsing(
    value: Awaitable[Any], record: Record, call: Pending, reply: Reply
) -> None:
    """An async parser may take its time: it holds up its own call alone."""
    try:
        parsed = await value
        assert call.expectation is not None
        call.expectation.check(parsed)
    except Exception as error:
        call.parsing -= 1
        call.arrived(reply, None, invalid(record, error, call))
    else:
        call.parsing -= 1
        call.arrived(reply, parsed, None)


def invalid(record: Record, error: Exception, call: Pending) -> ReplyInvalid:
    call.calls.counters.invalid += 1
    if isinstance(error, ReplyInvalid):
        return error
    failure = ReplyInvalid(
        f"The reply ({record.topic!r} partition {record.partition} offset {record.offset}) does "
        f"not parse: {type(error).__name__}"
    )
    failure.__cause__ = error
    return failure
