"""Parser specs as listener and client use them: checked once, compiled once."""

import builtins
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.factories import check_is_called
from sdml_kafka.parsing.codec_notes import decoder_of
from sdml_kafka.parsing.type_checks import accepted_by
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_name

_KEYS = frozenset({"topics", "type", "parser"})


@frozen(eq=False)
class CompiledSpec:
    """A parser spec that has been checked."""

    topics: tuple[str, ...]
    type: Hashable
    parser: Callable[[Any], Any]
    is_async: bool
    """True if the parser is known to be async; a plain function may return an awaitable, too."""
    accepts: "builtins.type | tuple[builtins.type, ...]"
    """The classes that `isinstance` checks a parsed value against."""
    decode: Callable[[bytes], Any] | None = None
    """The function that the parser applies to a value, if it looks at nothing else of a record."""


def compile_specs(parsers: Sequence[Mapping[str, Any]]) -> tuple[CompiledSpec, ...]:
    """Check parser specs and return them compiled, in order.

    Raises:
        ConfigurationError: A spec cannot work.
    """
    if isinstance(parsers, Mapping):
        raise ConfigurationError("parsers is a list of specs, not one spec: put it into [ ]")
    if isinstance(parsers, str) or not isinstance(parsers, Iterable | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"parsers is a list of specs, not a {type(parsers).__name__}")
    if not parsers:
        raise ConfigurationError(
            "parsers is empty: give at least one spec, "
            "{'topics': ['orders'], 'type': dict, 'parser': parse_json}"
        )
    return tuple(_compile(number, spec) for number, spec in enumerate(parsers))


def _check_keys(where: str, spec: object) -> None:
    if not isinstance(spec, Mapping):
        raise ConfigurationError(
            f"{where} is a dict {{'topics': [...], 'type': ..., 'parser': ...}}, not a "
            f"{type(spec).__name__}"
        )
    keys: set[object] = set(spec)  # pyright: ignore[reportUnknownArgumentType]
    if missing := _KEYS - keys:
        others = ", ".join(sorted(map(repr, keys - _KEYS)))
        has = f"; it has {others}" if others else ""
        raise ConfigurationError(f"{where} lacks {', '.join(sorted(missing))}{has}")


def _compile(number: int, spec: Mapping[str, Any]) -> CompiledSpec:
    where = f"parsers[{number}]"
    _check_keys(where, spec)
    topics, hint, parser = spec["topics"], spec["type"], spec["parser"]
    if (
        isinstance(topics, str)
        or not hasattr(topics, "__iter__")
        or not all(isinstance(topic, str) and topic for topic in topics)
    ):
        raise ConfigurationError(f"{where}: topics is a list of names, not {topics!r}")
    if not topics:
        raise ConfigurationError(f"{where}: topics is empty, so its parser would never run")
    for topic in topics:
        if not is_topic_name(topic):
            raise ConfigurationError(f"{where}: {topic!r:.300} cannot be a topic: {TOPIC_RULE}")
    if not callable(parser):
        raise ConfigurationError(f"{where}: parser is {parser!r}, which cannot be called")
    check_is_called(f"{where}: parser", parser)
    if isinstance(hint, str):
        raise ConfigurationError(f"{where}: type is a class, not the text {hint!r:.100}")
    try:
        hash(hint)
    except TypeError:
        raise ConfigurationError(f"{where}: type {hint!r} is not hashable") from None
    call = getattr(parser, "__call__", None)  # noqa: B004  an instance's async __call__
    is_async = inspect.iscoroutinefunction(parser) or inspect.iscoroutinefunction(call)
    decode = decoder_of(parser)
    return CompiledSpec(
        tuple(dict.fromkeys(topics)), hint, parser, is_async, accepted_by(hint), decode
    )
