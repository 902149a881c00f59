"""The types of `@server.handler(...)`: which functions may be handlers.

The function takes what the parser returns (bytes without one) and the `Call`. It returns or yields
bytes, or what the serializer takes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, overload

from sdml_kafka.producing.serializers import Encoded
from sdml_kafka.rpc.server.call import Call

type Payload = bytes | bytearray | memoryview | Encoded | None
"""The reply of a handler that makes bytes itself; None is an empty one."""
type Answer = Payload | Awaitable[Payload] | AsyncIterator[Payload]
"""The same of plain functions, of async ones and of async generators."""
type Function[V, A] = Callable[[V, Call], A]


class Decorator[V](Protocol):
    """Decorates a handler of values of type V that makes bytes itself."""

    def __call__[A: Answer](self, function: Function[V, A], /) -> Function[V, A]:
        """Make the function a handler, and return it."""
        ...


class SerializedDecorator[V, R](Protocol):
    """Decorates a handler of values of type V whose results, of type R, are serialized.

    Bytes and None go out as they are. The overloads are many so that the function keeps its type as
    far as it can be written.
    """

    @overload
    def __call__(
        self, function: Function[V, Coroutine[Any, Any, R]], /
    ) -> Function[V, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(
        self, function: Function[V, AsyncIterator[R]], /
    ) -> Function[V, AsyncIterator[R]]: ...
    @overload
    def __call__(
        self, function: Function[V, Coroutine[Any, Any, R | Payload]], /
    ) -> Function[V, Coroutine[Any, Any, R | Payload]]: ...
    @overload
    def __call__(
        self, function: Function[V, AsyncIterator[R | Payload]], /
    ) -> Function[V, AsyncIterator[R | Payload]]: ...
    @overload
    def __call__(self, function: Function[V, R], /) -> Function[V, R]: ...
    @overload
    def __call__(self, function: Function[V, R | Payload], /) -> Function[V, R | Payload]: ...
