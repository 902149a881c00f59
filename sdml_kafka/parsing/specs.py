"""Parser specs as the dispatcher uses them: checked once, compiled once."""

import builtins
import inspect
import types
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAliasType, TypeVar, Union, get_args, get_origin

from attrs import frozen

from sdml_kafka.errors import ConfigurationError


@frozen
class CompiledSpec:
    topics: tuple[str, ...]
    type: Hashable
    parser: Callable[[Any], Any]
    is_async: bool
    accepts: "builtins.type | tuple[builtins.type, ...]"
    """What `isinstance` checks a parsed value against."""


def compile_specs(parsers: Sequence[Mapping[str, Any]]) -> tuple[CompiledSpec, ...]:
    if isinstance(parsers, Mapping):
        raise ConfigurationError("parsers is a list of specs, not one spec: put it into [ ]")
    if not parsers:
        raise ConfigurationError(
            "parsers is empty: give at least one spec, "
            "{'topics': ['orders'], 'type': dict, 'parser': parse_json}"
        )
    return tuple(_compile(number, spec) for number, spec in enumerate(parsers))


def _compile(number: int, spec: Mapping[str, Any]) -> CompiledSpec:
    where = f"parsers[{number}]"
    missing = {"topics", "type", "parser"} - set(spec)
    if missing:
        raise ConfigurationError(f"{where} lacks {', '.join(sorted(missing))}")
    topics, hint, parser = spec["topics"], spec["type"], spec["parser"]
    if (
        isinstance(topics, str)
        or not hasattr(topics, "__iter__")
        or not all(isinstance(topic, str) and topic for topic in topics)
    ):
        raise ConfigurationError(f"{where}: topics is a list of names, not {topics!r}")
    if not topics:
        raise ConfigurationError(f"{where}: topics is empty, so its parser would never run")
    if not callable(parser):
        raise ConfigurationError(f"{where}: parser is {parser!r}, which cannot be called")
    try:
        hash(hint)
    except TypeError:
        raise ConfigurationError(f"{where}: type {hint!r} is not hashable") from None
    call = getattr(parser, "__call__", None)  # noqa: B004  an instance's async __call__
    is_async = inspect.iscoroutinefunction(parser) or inspect.iscoroutinefunction(call)
    return CompiledSpec(tuple(dict.fromkeys(topics)), hint, parser, is_async, accepted_by(hint))


def accepted_by(hint: Any) -> type | tuple[type, ...]:
    """The class or classes whose instances a type hint takes, as far as `isinstance` can tell."""
    if hint is None:
        return type(None)
    if isinstance(hint, TypeAliasType):
        return accepted_by(hint.__value__)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _flat(get_args(hint))
    if origin is Annotated:
        return accepted_by(get_args(hint)[0])
    if origin is Literal:
        values: tuple[object, ...] = get_args(hint)
        return tuple({type(value) for value in values})
    if isinstance(origin, type):
        return origin
    if not isinstance(hint, type):  # Any, a NewType, a TypeVar
        supertype = getattr(hint, "__supertype__", None)
        return object if supertype is None or isinstance(hint, TypeVar) else accepted_by(supertype)
    try:
        isinstance(None, hint)
    except TypeError:  # a TypedDict, or a Protocol that cannot be checked
        return dict if hasattr(hint, "__total__") else object
    return hint


def _flat(hints: Sequence[Any]) -> tuple[type, ...]:
    flat: list[type] = []
    for hint in hints:
        accepted = accepted_by(hint)
        if isinstance(accepted, tuple):
            flat.extend(accepted)
        else:
            flat.append(accepted)
    return tuple(flat)


def name_of(hint: object) -> str:
    return hint.__qualname__ if type(hint) is type else str(hint)
