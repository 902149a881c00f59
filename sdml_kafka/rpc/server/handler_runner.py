"""From a request to its answer: parses, calls the handler, serializes; every failure is an answer
too. What failed inside stays inside, unless the program wants it told."""

from collections.abc import Callable
from contextlib import aclosing
from inspect import isawaitable
from logging import ERROR, WARNING
from typing import Any, cast

from sdml_kafka.errors import RemoteError
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects.messages import DEADLINE_EXCEEDED, OK, is_status
from sdml_kafka.rpc.server.call import Answer, Call
from sdml_kafka.rpc.server.replies import STREAM_AHEAD, RepliesOut
from sdml_kafka.rpc.server.threads import Threads
from sdml_kafka.runtime.waiter import Waiter

INTERNAL = "internal"
INVALID_ARGUMENT = "invalid_argument"
CANCELLED = "cancelled"

_END = Answer(b"")


class Answering:
    def __init__(
        self,
        replies: RepliesOut,
        threads: Threads,
        seldom: RateLimitedLog,
        new_waiter: Callable[[], Waiter],
        *,
        expose_errors: bool,
    ) -> None:
        self._replies = replies
        self._threads = threads
        self._seldom = seldom
        self._new_waiter = new_waiter
        self._expose_errors = expose_errors

    async def answer(self, call: Call) -> Answer:
        """Raises only what ends the program: a cancellation, a KeyboardInterrupt. A SystemExit does
        not: the request that makes one server end would end the next one, too."""
        handler = call.handler
        try:
            if handler.parser is None:
                value: Any = call.record.value or b""
            else:
                value = handler.parser(call.record)
                if isawaitable(value):
                    value = await value
        except (Exception, SystemExit) as error:
            return self._invalid(call, error)
        try:
            if handler.kind == "async":
                result = await handler.function(value, call)
                return Answer(result if type(result) is bytes else _payload(call, result))
            if handler.kind == "stream":
                return await self._stream(call, value)
            result = await self._threads.run(value, call)
            if isawaitable(result):  # a plain function that returns a coroutine
                result = await result
            return Answer(_payload(call, result))
        except (Exception, SystemExit) as error:
            return self.failed(call, error)

    async def _stream(self, call: Call, value: Any) -> Answer:
        async with aclosing(call.handler.function(value, call)) as items:
            async for item in items:
                self._replies.item(call, _payload(call, item))
                while call.open > STREAM_AHEAD:
                    call.room = self._new_waiter()
                    await call.room
                call.room = None
        return _END

    # -- failures ------------------------------------------------------------------------

    def _invalid(self, call: Call, error: BaseException) -> Answer:
        self._log(WARNING, call, "does not parse", error)
        return Answer(b"", INVALID_ARGUMENT, self._text(error, "the request does not parse"))

    def failed(self, call: Call, error: BaseException) -> Answer:
        error = _single(error)
        if isinstance(error, RemoteError) and not error.received and _can_be_told(error):
            return Answer(b"", error.status, error.text)
        if isinstance(error, TimeoutError) and call.due <= call.clock():
            return Answer(b"", DEADLINE_EXCEEDED, "the deadline passed in the handler")
        untold = isinstance(error, RemoteError) and not error.received
        what = "raised a RemoteError with an impossible status" if untold else "failed"
        self._log(ERROR, call, what, error)
        return Answer(b"", INTERNAL, self._text(error, ""))

    def _text(self, error: BaseException, otherwise: str) -> str:
        if not self._expose_errors:
            return otherwise
        try:
            return f"{type(error).__name__}: {error}"
        except Exception:  # it is the user's class
            return f"{type(error).__name__}, whose text raises"

    def _log(self, level: int, call: Call, what: str, error: BaseException) -> None:
        record, name = call.record, call.handler.name
        self._seldom.log(
            level,
            f"{name} {what} {type(error).__name__}",
            "a request to handler %s %s: %r partition %s offset %s",
            name,
            what,
            record.topic,
            record.partition,
            record.offset,
            error=error,
        )


def _can_be_told(error: RemoteError) -> bool:
    status, text = error.status, error.text
    return isinstance(status, str) and is_status(status) and status != OK and isinstance(text, str)  # pyright: ignore[reportUnnecessaryIsInstance]


def _single(error: BaseException) -> BaseException:
    """A handler's task group wraps what one of its tasks raised."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    group = cast("BaseExceptionGroup[BaseException]", error)
    return _single(group.exceptions[0]) if len(group.exceptions) == 1 else group


def _payload(call: Call, result: Any) -> bytes:
    if result is None:
        return b""
    if isinstance(result, bytes | bytearray | memoryview):
        return bytes(result)  # pyright: ignore[reportUnknownArgumentType]
    handler = call.handler
    if handler.serializer is None:
        raise TypeError(
            f"{handler.name} returned {type(result).__name__}: return bytes or None, or give the "
            "handler a serializer=..."
        )
    payload: Any = handler.serializer(result)
    if isinstance(payload, bytes):
        return payload
    raise TypeError(f"the serializer of {handler.name} returned {type(payload).__name__}")
