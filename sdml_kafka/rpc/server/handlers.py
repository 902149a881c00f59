"""Handlers as the workers use them: checked once, compiled once."""

import inspect
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

from attrs import define, field

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_of_calls

if TYPE_CHECKING:
    from sdml_kafka.rpc.server.request_queue import Lane

Kind = Literal["async", "stream", "plain"]


@define(eq=False)
class Handler:
    """What answers the requests of some topics, `limit` of them at once at most."""

    topics: tuple[str, ...]
    function: Callable[[Any, Any], Any]
    kind: Kind
    parser: Callable[[Any], Any] | None
    serializer: Callable[[Any], bytes] | None
    limit: int
    running: int = field(default=0, init=False)
    """Requests, and threads of past ones that did not end when they were told to."""
    parked: "deque[Lane]" = field(factory=deque["Lane"], init=False)
    """Lanes that wait until fewer run."""

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", type(self.function).__qualname__)


def check_topics(topics: Sequence[object], taken: Collection[object]) -> None:
    if not topics:
        raise ConfigurationError("a handler needs a topic: @server.handler('request')")
    for topic in topics:
        if not is_topic_of_calls(topic):
            raise ConfigurationError(
                f"{topic!r:.300} cannot be the topic of requests: {TOPIC_RULE}; those that begin "
                "with '__' are Kafka's own"
            )
        if topic in taken:
            raise ConfigurationError(f"topic {topic!r} has a handler already")


def compile_handler(
    topics: Sequence[str],
    function: Callable[[Any, Any], Any],
    parser: Callable[[Any], Any] | None,
    serializer: Callable[[Any], bytes] | None,
    limit: int,
) -> Handler:
    given = (("the handler", function), ("parser", parser), ("serializer", serializer))
    for name, value in given:
        if not callable(value) and (value is not None or value is function):
            raise ConfigurationError(f"{name} is {value!r}, which cannot be called")
    if type(limit) is not int or limit < 1:
        raise ConfigurationError(f"concurrency is 1 or more, not {limit!r}")
    kind = _kind(function)
    handler = Handler(tuple(dict.fromkeys(topics)), function, kind, parser, serializer, limit)
    if not _takes_two(function):
        raise ConfigurationError(
            f"{handler.name} is called with the value and the call: def {handler.name}(value, call)"
        )
    return handler


def _kind(function: Callable[..., Any]) -> Kind:
    call = getattr(function, "__call__", None)  # noqa: B004  an instance's async __call__
    if inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(call):
        return "stream"
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call):
        return "async"
    if inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(call):
        raise ConfigurationError("a handler that answers a stream is an async generator: async def")
    return "plain"


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(object(), object())
    except TypeError:
        return False
    except ValueError:  # a builtin that does not tell
        return True
    return True
