"""The dispatcher of a client: finds the call that a reply is for, and parses the reply for it."""

from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import isawaitable, iscoroutine
from itertools import chain
from typing import Any

import anyio
from anyio.abc import TaskGroup

from sdml_kafka.errors import ConfigurationError, RemoteError, RemoteTimeout, ReplyInvalid
from sdml_kafka.log_fields import place_of
from sdml_kafka.parsing.not_yet import NotYet
from sdml_kafka.parsing.parsers import Skip, forget_raise
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.rpc.client.pending_calls import PendingCall, PendingCalls
from sdml_kafka.rpc.dialects.foreign import ForeignDialect
from sdml_kafka.rpc.dialects.messages import (
    DEADLINE_EXCEEDED,
    OK,
    PLAIN,
    CorrelationFromRecord,
    Reply,
    id_of,
)
from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.runtime import Actor, Life, Mailbox
from sdml_kafka.transport.fetched.parts import flat_headers
from sdml_kafka.transport.interfaces.records import Record

MAX_TYPES = 1000
MAX_ID_NAMES = 20
"""How many headers may be read for an id; each slows down the reading of every reply a little."""

PolledReplies = Sequence[Sequence[Record]]
"""The records that one poll has brought, partition by partition."""


class ReplyMatcher:
    """Finds the call that a reply is for. Replies to nobody are counted and dropped."""

    def __init__(
        self,
        calls: PendingCalls,
        own_prefix: bytes,
        reader: Wire | ForeignDialect,
        extract: CorrelationFromRecord | None,
    ) -> None:
        """Begin with the ids that `reader` reads.

        Args:
            calls: The calls that wait.
            own_prefix: Begins the ids that this client makes, so that late replies are not counted
                as foreign ones.
            reader: Reads headers.
            extract: The user's own function that takes the id from a record, if there is one.
        """
        self._calls = calls
        self._own_prefix = own_prefix
        self.reader: Wire | ForeignDialect = reader
        self._extract = extract

    def carries_id(self, name: str) -> bool:
        """Return whether a header of this name is read for an id."""
        return isinstance(self.reader, Wire) and self.reader.carries_id(name)

    def read_id_from(self, name: str) -> None:
        """Look for ids in this header as well, from now on; raise if it cannot carry one."""
        wire = self.reader
        if not isinstance(wire, Wire) or wire.carries_id(name):
            return
        if len(wire.id_names) >= MAX_ID_NAMES:
            raise ConfigurationError(
                f"A client reads ids from at most {MAX_ID_NAMES} headers: use the same "
                "correlation_header_key for all calls"
            )
        try:
            self.reader = wire.with_name(name)
        except ValueError as error:
            raise ConfigurationError(f"correlation_header_key: {error}") from None

    def match(self, record: Record) -> tuple[PendingCall, Reply, CompiledSpec] | None:
        """Return the call that the record is a reply to, or None.

        With it come what the headers say, and what parses the reply for this call.
        """
        headers = flat_headers(record)
        reply, id_ = PLAIN, self.reader.plain_id(headers)
        if id_ is None:
            reply = self.reader.read_flat_reply(headers)
            id_ = reply.id
        if self._extract is not None:
            id_ = self._extracted(record)
        call = self._by_key(record.key) if id_ is None else self._calls.table.get(id_)
        if call is None:
            if id_ is not None:
                self._count_unknown(id_)
            return None
        expectation = call.expectation
        spec = None if expectation is None else expectation.specs.get(record.topic)
        if spec is None:
            self._calls.counts.foreign += 1
            return None
        return call, reply, spec

    def _count_unknown(self, id_: bytes | None) -> None:
        if id_ and id_.startswith(self._own_prefix):
            self._calls.counts.late += 1
        else:
            self._calls.counts.foreign += 1

    def _by_key(self, key: bytes | None) -> PendingCall | None:
        if not isinstance(self.reader, Wire):
            key = None  # where a dialect echoes the id, a key is no identity
        waiting = self._calls.table.with_key(key) if key else ()
        if len(waiting) == 1:
            return waiting[0]
        if waiting:
            self._calls.counts.ambiguous += 1
        else:
            self._count_unknown(key)
        return None

    def _extracted(self, record: Record) -> bytes | None:
        assert self._extract is not None
        try:
            return id_of(self._extract(record))
        except Exception:  # the function is the user's, and the record a stranger's
            return None


class Backlog:
    """The replies that were polled and not dispatched yet. It outlives a dispatcher that dies.

    A dispatcher that has nothing to do is called at once, in the task that polls. Its own task
    would take them a turn of the loop later, which the caller of a lone call would wait for.
    """

    def __init__(self, polls: Mailbox[PolledReplies]) -> None:
        """Begin without replies.

        Args:
            polls: Where replies wait for a dispatcher that is busy, or not alive.
        """
        self.rest: Iterator[Record] = iter(())
        """The rest of the poll in work, after the record that a dispatcher has died of."""
        self._polls = polls
        self._queued = 0
        """The number of polls whose replies wait there, or more after a cancelled `put`."""
        self._dispatch: Callable[[], None] | None = None
        """Dispatches `rest`; None while no dispatcher lives."""
        self._failure: BaseException | None = None
        """The error that a dispatcher has to die of that was called at once."""

    async def put(self, replies: PolledReplies) -> None:
        """Have replies dispatched; wait for room if too many polls' replies wait."""
        if self._dispatch is not None and not self._queued:
            self.rest = chain.from_iterable(replies)
            try:
                self._dispatch()
            except BaseException as error:
                self._failure, replies = error, ()
            else:
                return
        self._queued += 1
        try:
            self._polls.send_nowait(replies)
        except anyio.WouldBlock:
            await self._polls.send(replies)

    async def receive(self) -> None:
        """Wait for further replies. Raise what the dispatcher that waits here has failed with."""
        replies = await self._polls.receive()
        self._queued = self._polls.depth
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        self.rest = chain.from_iterable(replies)

    @contextmanager
    def dispatched_by(self, dispatch: Callable[[], None]) -> Generator[None]:
        """Call this for replies inside the context. For the dispatcher alone."""
        self._dispatch = dispatch
        try:
            yield
        finally:
            self._dispatch = None


class ReplyDispatcher(Actor):
    """Gives each reply, parsed and checked, to its call."""

    def __init__(
        self, polls: Mailbox[PolledReplies], backlog: Backlog, matcher: ReplyMatcher
    ) -> None:
        self.mailbox: Mailbox[PolledReplies] = polls
        self._backlog = backlog
        self._matcher = matcher
        self._plain: set[type] = set()
        """The types of values that need not be awaited."""

    async def run(self, life: Life) -> None:
        async with anyio.create_task_group() as parsing:
            dispatch = partial(self._dispatch, parsing)
            with life.cancel_on_stop():
                life.started()
                dispatch()
                with self._backlog.dispatched_by(dispatch):
                    while True:
                        await self._backlog.receive()
                        dispatch()
            parsing.cancel_scope.cancel()

    def _dispatch(self, parsing: TaskGroup) -> None:
        for record in self._backlog.rest:
            if (found := self._matcher.match(record)) is None:
                continue
            call, reply, spec = found
            # Nearly all replies are written out here, which saves six calls of functions for each.
            raw, expectation, decode = record.value, call.expectation, spec.decode
            if (
                reply is PLAIN
                and decode is not None
                and type(raw) is bytes
                and type(call) is PendingCall
                and expectation is not None
            ):
                try:
                    value = decode(raw)
                    if type(value) is not expectation.hint:
                        expectation.check(value)
                except Exception:
                    pass  # the errors to show are those of the parser
                else:
                    call.calls.counts.replies += 1
                    call.settle(value)
                    continue
            self._deliver(record, call, reply, spec, parsing)

    def _deliver(
        self,
        record: Record,
        call: PendingCall,
        reply: Reply,
        spec: CompiledSpec,
        parsing: TaskGroup,
    ) -> None:
        if call.parses and not call.takes_several:
            call.calls.counts.late += 1  # the first reply counts, though it is not parsed yet
            return
        if reply.more_follow or call.arrived:
            reply = call.numbered(reply, has_value=record.value is not None)
        if reply.status != OK:
            kind = RemoteTimeout if reply.status == DEADLINE_EXCEEDED else RemoteError
            error = kind(reply.status, reply.error)
            error.received = True
            call.take_reply(reply, None, error)
        elif reply.is_end:
            call.take_reply(reply, None, None)
        else:
            self._parse(record, call, reply, spec, parsing)

    def _parse(
        self,
        record: Record,
        call: PendingCall,
        reply: Reply,
        spec: CompiledSpec,
        parsing: TaskGroup,
    ) -> None:
        assert call.expectation is not None
        try:
            value = spec.parser(record)
            if type(value) not in self._plain and self._is_awaitable(value):
                if (scope := call.parse_scope(reply, _parser_waits)) is not None:
                    parsing.start_soon(_finish_parsing, value, record, call, reply, scope)
                elif iscoroutine(value):
                    value.close()
                return
            call.expectation.check(value)
        except NotYet as not_yet:
            first = not_yet
            if (scope := call.parse_scope(reply, lambda: first.why)) is not None:
                later = _parsed_later(spec, record, call, first)
                parsing.start_soon(_finish_parsing, later, record, call, reply, scope)
        except Exception as error:
            call.take_reply(reply, None, invalid(record, error, call))
        else:
            call.take_reply(reply, value, None)

    def _is_awaitable(self, value: object) -> bool:
        if isawaitable(value):
            return True
        if isinstance(value, Skip):
            raise value
        if len(self._plain) < MAX_TYPES:
            self._plain.add(type(value))
        return False


def _parser_waits() -> str:
    return "its parser, which is async, has not returned"


async def _parsed_later(
    spec: CompiledSpec, record: Record, call: PendingCall, not_yet: NotYet
) -> Any:
    """Return what the parser makes of a reply once it has what it needs."""
    since = anyio.current_time()
    while True:
        with call.calls.held.holding(call.message.topic, since, not_yet):
            await not_yet.prepare()
        try:
            value: Any = spec.parser(record)
            return await value if isawaitable(value) else value
        except NotYet as another:
            not_yet = another


async def _finish_parsing(
    value: Awaitable[Any],
    record: Record,
    call: PendingCall,
    reply: Reply,
    scope: anyio.CancelScope,
) -> None:
    # In a task of its own: an async parser that takes its time holds up its own call alone. The
    # scope ends with the call, so that no more replies are held than calls are waiting.
    assert call.expectation is not None
    parsed: Any = None
    failure: Exception | None = None
    try:
        with scope:
            try:
                parsed = await value
                if isinstance(parsed, Skip):
                    raise parsed
                call.expectation.check(parsed)
            except Exception as error:
                failure = error
    finally:
        is_wanted = call.parsed(scope)
    if is_wanted:
        call.take_reply(reply, parsed, None if failure is None else invalid(record, failure, call))


def invalid(record: Record, error: Exception, call: PendingCall) -> ReplyInvalid:
    """Count a reply that is of no use to its call; return the error that the caller gets."""
    call.calls.counts.invalid += 1
    if isinstance(error, ReplyInvalid):
        return error
    where = place_of(record)
    if isinstance(error, Skip):
        forget_raise(error)
        return ReplyInvalid(f"The reply ({where}) is of another type: its parser returned SKIP")
    failure = ReplyInvalid(f"The reply ({where}) does not parse: {type(error).__name__}")
    failure.__cause__ = error
    return failure
