"""The program's function that handles records, checked once."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from attrs import frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.listener.delivery import Delivery
from sdml_kafka.listener.processing.policies import Send

type Sends = Send | Sequence[Send] | None
"""The messages that a handler returns, which are sent before its records finish."""
type Outcome = Sends | Awaitable[Sends]
"""The result of a handler: these messages, or an awaitable of them if it is async."""
type HandlerFunction[T, A] = Callable[[T, Delivery[T]], A]
"""A function that handles a record: plain or async, called with the value and its delivery."""
type BatchHandlerFunction[T, A] = Callable[[list[Delivery[T]]], A]
"""A function that handles records together: plain or async, called with their deliveries."""


class Decorator[T](Protocol):
    """Decorates a handler of records whose values are of type T."""

    def __call__[A: Outcome](self, handler: HandlerFunction[T, A], /) -> HandlerFunction[T, A]:
        """Make the function a handler, and return it."""
        ...


class BatchDecorator[T](Protocol):
    """Decorates a handler of lists of deliveries whose values are of type T."""

    def __call__[A: Outcome](
        self, handler: BatchHandlerFunction[T, A], /
    ) -> BatchHandlerFunction[T, A]:
        """Make the function a handler, and return it."""
        ...


@frozen
class Handler:
    """A function that takes a value and its delivery, or a list of deliveries."""

    function: Callable[..., Any]
    name: str
    """The function's name as logs, errors and `status()` show it."""
    is_async: bool
    is_coroutine_function: bool
    """True if calling it makes a coroutine, and nothing else happens then."""
    takes_batches: bool


def compile_handler(function: Callable[..., Any], *, takes_batches: bool) -> Handler:
    """Return the handler.

    Raises:
        ConfigurationError: The function cannot be called as a handler.
    """
    if not callable(function):
        raise ConfigurationError(f"the handler is {function!r:.300}, which cannot be called")
    name = getattr(function, "__qualname__", type(function).__qualname__)
    call = getattr(function, "__call__", None)  # noqa: B004  an instance's async __call__
    for each in (function, call):
        if inspect.isasyncgenfunction(each) or inspect.isgeneratorfunction(each):
            raise ConfigurationError(
                f"{name} is a generator: a handler returns what it sends, as a Send or a list"
            )
    arguments = ("deliveries",) if takes_batches else ("value", "delivery")
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        raise ConfigurationError(f"{name} is called as {name}({', '.join(arguments)})") from None
    except ValueError:
        pass  # a function of C whose signature Python cannot know
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
    makes_coroutine = any(map(_makes_coroutine, (function, call)))
    return Handler(function, name, is_async, makes_coroutine, takes_batches)


def _makes_coroutine(function: Any) -> bool:
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)
