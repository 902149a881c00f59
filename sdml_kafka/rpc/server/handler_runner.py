"""From a request to its answer: parse, call the handler, serialize.

Every failure becomes an answer too. The text of an exception goes out if the program wants it.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from inspect import isawaitable
from logging import ERROR, WARNING
from typing import Any

from sdml_kafka.consuming.preparations import Preparations
from sdml_kafka.errors import ConfigurationError, RemoteError, unwrapped
from sdml_kafka.log_fields import brief, record_fields
from sdml_kafka.parsing.not_yet import NotYet
from sdml_kafka.parsing.parsers import Skip, forget_raise
from sdml_kafka.producing.serializers import Encoded
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects.messages import DEADLINE_EXCEEDED, OK, is_status
from sdml_kafka.rpc.dialects.own_headers import checked
from sdml_kafka.rpc.server.call import INTERNAL, INVALID_ARGUMENT, Answer, ServerCall
from sdml_kafka.rpc.server.replying.replies import MAX_STREAM_AHEAD, Replies
from sdml_kafka.rpc.server.replying.reply import own_headers_of
from sdml_kafka.rpc.server.threads import Threads
from sdml_kafka.runtime.waiter import Waiter
from sdml_kafka.workers.first_step import FirstStep

_new_answer: Callable[[tuple[bytes | None, str, str, tuple[()]]], Answer]
# Called as a class, a named tuple is made in twice the time.
_new_answer = partial(tuple.__new__, Answer)  # pyright: ignore[reportUnknownMemberType]
_END = Answer(b"")
_NOT_FOR_HANDLER = Answer(b"", INVALID_ARGUMENT, "the request is not for this handler")


class HandlerRunner:
    """Runs handlers on the event loop that it was made on, and plain functions in threads."""

    def __init__(
        self,
        replies: Replies,
        threads: Threads,
        preparations: Preparations,
        log: RateLimitedLog,
        new_waiter: Callable[[], Waiter],
        *,
        expose_errors: bool,
    ) -> None:
        self._replies = replies
        self._threads = threads
        self._preparations = preparations
        self._log = log
        self._new_waiter = new_waiter
        self._expose_errors = expose_errors

    async def answer(self, call: ServerCall) -> Answer:
        """Return the answer to a call.

        Only what ends the program is raised: a cancellation, a KeyboardInterrupt. A SystemExit is
        answered, since the request that made one server exit would make the next one exit, too.
        """
        handler = call.handler
        while True:
            try:
                value: Any = handler.read(call)
                if not handler.reads_value:
                    if isawaitable(value):
                        value = await value
                    if type(value) is Skip:
                        return _NOT_FOR_HANDLER
                break
            except (Exception, SystemExit) as error:
                answer = await self._unread(call, error)
            if answer is not None:
                return answer
        try:
            if handler.kind == "async":
                result = await handler.function(value, call)
                return (
                    _new_answer((result, OK, "", ()))
                    if type(result) is bytes
                    else _answer(call, result)
                )
            if handler.kind == "stream":
                return await self._stream(call, value)
            return _answer(call, await self._in_thread(call, value))
        except (Exception, SystemExit) as error:
            return await self._unanswered(call, error)

    async def _in_thread(self, call: ServerCall, value: Any) -> Any:
        result = await self._threads.run(value, call)
        # A plain function may return a coroutine.
        return await result if isawaitable(result) else result

    async def _stream(self, call: ServerCall, value: Any) -> Answer:
        async with aclosing(call.handler.function(value, call)) as items:
            if call.writer.marks_last:
                return await self._stream_with_marked_end(call, items)
            async for item in items:
                answer = await self._item(call, item)
                self._replies.send_item(call, answer.value, answer.headers)
                await self._wait_for_room(call)
        return _END

    async def _stream_with_marked_end(
        self, call: ServerCall, items: AsyncGenerator[Any, None]
    ) -> Answer:
        """Answer with a stream whose last value carries the end, if that can be known in time.

        A value is held until it is known whether the next step of the generator waits. If it does,
        the value is sent at once, and the end will be a reply of its own.
        """
        held: Answer | None = None
        while True:
            step = FirstStep(items)
            if step.has_ended:
                await self._wait_for_acknowledgements(call)
                if held is None:
                    return Answer(None)
                call.own_headers = None  # it has those of then: the last step may have set others
                return held
            if held is not None:
                self._replies.send_item(call, held.value, held.headers)
                held = None
            try:
                item = await step.item()
            except StopAsyncIteration:
                await self._wait_for_acknowledgements(call)
                return Answer(None)
            held = await self._item(call, item)
            await self._wait_for_room(call)

    async def _item(self, call: ServerCall, item: Any) -> Answer:
        """Return a value of a stream, with the headers that are the handler's now."""
        try:
            answer = _answer(call, item)
        except _NotWritten as late:
            answer = await self._answer_later(call, late)
        own = own_headers_of(call)
        return answer._replace(headers=(*own, *answer.headers)) if own else answer

    async def _wait_for_room(self, call: ServerCall) -> None:
        # With large values far fewer have to do: as long as much waits, one of each stream.
        while call.open > MAX_STREAM_AHEAD or (call.open > 1 and self._replies.is_full):
            call.room = self._new_waiter()
            await call.room
        call.room = None

    async def _wait_for_acknowledgements(self, call: ServerCall) -> None:
        """Wait until the broker has all values of a stream that does not number them.

        One that is refused, or sent again, would come behind the end, where nobody would miss it.
        """
        while call.open > 1:
            call.room = self._new_waiter()
            await call.room
        call.room = None

    # -- failures ------------------------------------------------------------------------

    async def _unread(self, call: ServerCall, error: BaseException) -> Answer | None:
        """Return the answer to a call whose parser raised `error`, None to call it again."""
        if isinstance(error, Skip):
            forget_raise(error)
            return _NOT_FOR_HANDLER
        if not isinstance(error, NotYet):
            return self._invalid(call, error)
        try:
            await self._hold(call, error)
        except GivenBack:
            raise
        except (Exception, SystemExit) as failure:
            return self._invalid(call, failure)
        return None

    async def _hold(self, call: ServerCall, not_yet: NotYet) -> None:
        """Hold a call until its parser or serializer has what it needs.

        Raises:
            GivenBack: Its partition was taken away.
            Exception: What `not_yet.prepare` raises.
        """
        chunk = call.chunk
        if not await self._preparations.wait(chunk.tenancy, chunk.offsets[call.index], not_yet):
            raise GivenBack("the partition of the request was taken away while it was held")

    async def _unanswered(self, call: ServerCall, error: BaseException) -> Answer:
        """Return the answer to a call whose handler or serializer raised `error`."""
        if isinstance(error, GivenBack):
            raise error
        if not isinstance(error, _NotWritten):
            return self.failed(call, error)
        try:
            return await self._answer_later(call, error)
        except GivenBack:
            raise
        except (Exception, SystemExit) as failure:
            return self.failed(call, failure)

    async def _answer_later(self, call: ServerCall, late: "_NotWritten") -> Answer:
        """Return what the serializer makes of a result once it has what it needs."""
        while True:
            await self._hold(call, late.not_yet)
            try:
                return _answer(call, late.result)
            except _NotWritten as again:
                late = again

    def _invalid(self, call: ServerCall, error: BaseException) -> Answer:
        """Return the answer to a call whose parser raised `error`.

        A RemoteError and a time-out are no words on the request's form: the parser chose a status,
        or what it asked elsewhere did not turn out well. Nor is a ConfigurationError: whose fault
        that is has to change this program.
        """
        error = unwrapped(error)
        if isinstance(error, RemoteError | TimeoutError | ConfigurationError):
            return self.failed(call, error)
        # A stranger's request is no fault of this program, whose traceback would show where.
        self._log_failure(WARNING, call, f"does not parse ({brief(error)})", None)
        return Answer(b"", INVALID_ARGUMENT, self._text(error, "the request does not parse"))

    def failed(self, call: ServerCall, error: BaseException) -> Answer:
        """Return the answer to a call whose handler raised `error`."""
        error = unwrapped(error)
        what = "failed"
        if isinstance(error, RemoteError) and not error.received:
            if _can_be_sent(error):
                return Answer(b"", error.status, error.text)
            what = "raised a RemoteError with an impossible status"
        if isinstance(error, TimeoutError) and call.due <= call.clock():
            return Answer(b"", DEADLINE_EXCEEDED, "the deadline passed in the handler")
        self._log_failure(ERROR, call, what, error)
        return Answer(b"", INTERNAL, self._text(error, ""))

    def _text(self, error: BaseException, otherwise: str) -> str:
        if not self._expose_errors:
            return otherwise
        try:
            return f"{type(error).__name__}: {error}"
        except Exception:  # the class is the program's own, and so is its text
            return f"{type(error).__name__}, whose text raises"

    def _log_failure(
        self, level: int, call: ServerCall, what: str, error: BaseException | None
    ) -> None:
        record, name = call.record, call.handler.name
        self._log.log(
            level,
            f"{name} {level} {type(error).__name__}",
            "a request to handler %s %s: %r partition %s offset %s",
            name,
            what,
            record.topic,
            record.partition,
            record.offset,
            error=error,
            extra=record_fields(record, handler=name, call_id=call.id, error=error),
        )


def _can_be_sent(error: RemoteError) -> bool:
    status, text = error.status, error.text
    return isinstance(status, str) and is_status(status) and isinstance(text, str)  # pyright: ignore[reportUnnecessaryIsInstance]


class GivenBack(Exception):
    """The call is to be handled elsewhere, since its partition was taken away."""


class _NotWritten(Exception):
    """A result whose serializer needs something first."""

    def __init__(self, result: Any, not_yet: NotYet) -> None:
        super().__init__()
        self.result, self.not_yet = result, not_yet


def _answer(call: ServerCall, result: Any) -> Answer:
    """Return the answer that a handler's result is, or a value of its stream.

    Raises:
        _NotWritten: The serializer needs something first.
        TypeError: It is no result, and the serializer makes none of it.
        ConfigurationError: A header of it belongs to the protocol of calls.
    """
    if result is None:
        return _new_answer((call.writer.no_value, OK, "", ()))
    handler = call.handler
    if not isinstance(result, bytes | bytearray | memoryview | Encoded):
        if handler.serializer is None:
            raise TypeError(
                f"{handler.name} returned {type(result).__name__}: return bytes or None, or give "
                "the handler a serializer=..."
            )
        try:
            result = handler.serializer(result)
        except NotYet as not_yet:
            raise _NotWritten(result, not_yet) from None
        if not isinstance(result, bytes | Encoded):
            raise TypeError(f"the serializer of {handler.name} returned {type(result).__name__}")
    if not isinstance(result, Encoded):
        return _new_answer((bytes(result), OK, "", ()))  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(result.value, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = type(result.value).__name__
        raise TypeError(f"the value of an Encoded of {handler.name} is {kind}, and not bytes")
    reserved, id_name = call.writer.reserved, call.id_name and call.id_name.lower()
    headers = tuple(checked(name, value, reserved, id_name) for name, value in result.headers)
    return Answer(result.value, headers=headers)
