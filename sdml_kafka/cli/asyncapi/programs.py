"""Find the objects of a program that a document describes, by the name of its module."""

import importlib
import inspect
import os
import sys
from collections.abc import Coroutine, Sequence
from types import ModuleType
from typing import Any

import anyio

from sdml_kafka.asyncapi.declared import Describable, is_describable
from sdml_kafka.cli.terminal import CannotRun

_WHAT = "a listener, a client or server of calls, a producer, several of them, or a function"


def objects_of(program: str) -> Sequence[Describable]:
    """Import a module, and return what a document can describe.

    Args:
        program: `module`, for all that the module holds, or `module:name`, for an object, a list of
            objects, or a function, plain or async, that returns either.

    Raises:
        CannotRun: There is no such thing.
    """
    name, _, path = program.partition(":")
    module = _module(name)
    if not path:
        found = [each for each in vars(module).values() if is_describable(each)]
        if not found:
            raise CannotRun(f"asyncapi: {name} holds no {_WHAT[2:]}; name one: {name}:NAME")
        return list({id(each): each for each in found}.values())
    return _objects(_attribute(module, path), program)


def _module(name: str) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:  # as `python -m` does
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise CannotRun(f"asyncapi: {name} cannot be imported: {error}") from error
        near = f": did you mean {name[:-3]}?" if name.endswith(".py") else ""
        raise CannotRun(
            f"asyncapi: there is no module {name!r} here; give MODULE or MODULE:NAME{near}"
        ) from None
    except (Exception, SystemExit) as error:  # a program that ends says nothing of itself
        kind = type(error).__name__
        raise CannotRun(f"asyncapi: {name} cannot be imported: {kind}: {error}") from error


def _attribute(module: ModuleType, path: str) -> Any:
    value: Any = module
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            raise CannotRun(f"asyncapi: {module.__name__} has no {path!r}") from None
    return value


def _objects(value: Any, program: str) -> Sequence[Describable]:
    if inspect.isroutine(value):
        value = _called(value, program)
    values: list[Any] = [*value] if type(value) in (list, tuple, set) else [value]
    if not values or not all(map(is_describable, values)):
        kind = type(value).__name__
        raise CannotRun(f"asyncapi: {program} is a {kind}; it has to be {_WHAT}")
    return values


def _called(function: Any, program: str) -> Any:
    try:
        value = function()
        if inspect.iscoroutine(value):
            value = anyio.run(_result, value)
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise CannotRun(f"asyncapi: {program}() has failed: {kind}: {error}") from error
    return value


async def _result(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine
