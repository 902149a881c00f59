"""Handlers: the program's functions, checked and prepared once for the requests of some topics."""

import inspect
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

from attrs import define, field

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.factories import check_is_called
from sdml_kafka.parsing.codec_notes import decoder_of
from sdml_kafka.producing.serializers import Serializer
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_of_calls

Kind = Literal["async", "stream", "plain"]


@define(eq=False)
class Handler:
    """The function that answers the requests of some topics, at most `limit` at once."""

    name: str
    """The name in logs, errors and hooks."""
    topics: tuple[str, ...]
    function: Callable[[Any, Any], Any]
    kind: Kind
    serializer: Serializer | None
    limit: int
    read: Callable[[Any], Any]
    """Returns what the parser makes of a call's record, or what it has to wait for."""
    reads_value: bool
    """True if the value is all that is read, so that `read` returns what the handler takes."""
    parser: Callable[[Any], Any] | None
    running: int = field(default=0, init=False)
    """The number of requests that run, plus the threads of cut-off requests that go on."""
    parked: deque[Any] = field(factory=deque[Any], init=False)
    """The lanes of the request queue that wait until fewer requests run."""


def check_topics(topics: Sequence[object], taken: Collection[object]) -> None:
    """Raise ConfigurationError unless a handler can serve these topics.

    Args:
        topics: What the program gave.
        taken: The topics that have a handler already.
    """
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
    serializer: Serializer | None,
    limit: int,
    name: str | None = None,
) -> Handler:
    """Return the handler, or raise ConfigurationError for what cannot work."""
    given = (("the handler", function), ("parser", parser), ("serializer", serializer))
    for what, value in given:
        if not callable(value) and (value is not None or value is function):
            raise ConfigurationError(f"{what} is {value!r}, which cannot be called")
        check_is_called(what, value)
    if name is None:
        name = str(getattr(function, "__qualname__", type(function).__qualname__))
    elif not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"the name of a handler is a text, not {name!r:.80}")
    check_concurrency(limit)
    kind = _kind(function)
    topics = tuple(dict.fromkeys(topics))
    read, reads_value = _reader(parser)
    if not _takes_two(function):
        raise ConfigurationError(
            f"{name} is called with the value and the call: def {name}(value, call)"
        )
    return Handler(name, topics, function, kind, serializer, limit, read, reads_value, parser)


def _reader(parser: Callable[[Any], Any] | None) -> tuple[Callable[[Any], Any], bool]:
    """Return what reads a call by this parser, and whether it reads the value alone."""
    if parser is None:
        return lambda call: call.value or b"", True
    decode = decoder_of(parser)
    if decode is None:
        return lambda call: parser(call.record), False

    def read(call: Any) -> Any:
        value = call.value
        if type(value) is bytes:
            try:
                return decode(value)
            except Exception:
                pass  # the errors to show are those of the parser
        return parser(call.record)

    return read, True


def check_concurrency(limit: object) -> None:
    """Raise ConfigurationError unless `limit` is a number of requests that may run at once."""
    if type(limit) is not int or limit < 1:
        raise ConfigurationError(f"concurrency is 1 or more, not {limit!r}")


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
    except ValueError:  # a function of C whose signature Python cannot know
        return True
    return True
