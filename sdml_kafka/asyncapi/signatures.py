"""Read what a handler of requests takes and returns, and what it says of itself."""

import inspect
import types
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
)
from typing import Any, Union, get_args, get_origin, get_type_hints

_STREAMS = {AsyncGenerator, AsyncIterable, AsyncIterator}
_AWAITABLES = {Awaitable, Coroutine}


def hints_of(function: Callable[..., Any]) -> tuple[Any, Any]:
    """Return the types of the first argument and of the result, `Any` where none is named."""
    called: Any = function if inspect.isroutine(function) else type(function).__call__
    try:
        hints = get_type_hints(called)
        names = list(inspect.signature(function).parameters)
    except Exception:  # of names that are there for type checkers alone, and of C's functions
        return Any, Any
    takes = hints.get(names[0], Any) if names else Any
    return takes, _result(hints.get("return", Any))


def _result(hint: Any) -> Any:
    """Return what a caller gets of a handler with this return type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in _STREAMS:
        return _result(arguments[0])
    if origin in _AWAITABLES:
        return _result(arguments[-1])
    if origin in (Union, types.UnionType):
        kept = tuple(each for each in arguments if each is not types.NoneType)
        return Union[kept]  # noqa: UP007  (of a tuple)
    return Any if hint is types.NoneType else hint


def texts_of(function: Callable[..., Any]) -> dict[str, str]:
    """Return the summary and the description out of a function's docstring."""
    text = inspect.cleandoc(getattr(function, "__doc__", None) or "")
    if not text:
        return {}
    summary, _, rest = text.partition("\n")
    return {"summary": summary, **({"description": rest.strip()} if rest.strip() else {})}
