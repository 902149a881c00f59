"""The public names of the package as text: one line for a name, a method or a field.

`uv run python -m tests.support.public_api` prints the text that `tests/public_api.txt` holds.
"""

import enum
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib import import_module
from typing import Any, Protocol, TypeAliasType, TypeVar, get_overloads

HEADER = """\
# The public names of the package, one line for a name, a method or a field; made from the commit
# before the package was put into folders (4846715). tests/test_public_api.py compares them with
# today's, so a line that changes here is a change that users of the package see: it belongs into
# CHANGELOG.md. Renew this file with
#     uv run python -m tests.support.public_api > tests/public_api.txt
"""

MODULES = (
    "sdml_kafka",
    "sdml_kafka.observability.opentelemetry",
    "sdml_kafka.observability.prometheus",
    "sdml_kafka.runtime",
    "sdml_kafka.testing",
    "sdml.kafka_client.clients",
    "sdml.kafka_client.types",
)

_MADE_BY_THE_PACKAGE = frozenset({"Call", "Delivery", "ReplyStream", "TypeStream"})
"""Classes that users are handed and never construct: their constructors are not public."""

_SPECIAL_METHOD = re.compile(r"__(a?enter|a?exit|a?iter|a?next|await|call|contains|getitem|len)__")


def public_api() -> str:
    """Return the text of all public names, headed by how to renew it."""
    return HEADER + "".join(f"{line}\n" for module in MODULES for line in _module_lines(module))


def _module_lines(module_name: str) -> Iterator[str]:
    module = import_module(module_name)
    yield ""
    yield f"[{module_name}]"
    for name in sorted(module.__all__):
        value = getattr(module, name)
        if module_name != MODULES[0] and value is getattr(import_module(MODULES[0]), name, None):
            yield f"{name} is {MODULES[0]}.{name}"
        else:
            yield from _lines(name, value)


def _lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, TypeAliasType):
        yield f"type {name} = {_annotation(value.__value__)}"
    elif isinstance(value, type):
        yield from _class_lines(name, value)
    elif callable(value) and hasattr(value, "__code__"):
        yield from _function_lines(name, value)
    else:
        yield f"{name} = {_annotation(value)}"


def _class_lines(name: str, cls: type) -> Iterator[str]:
    own = [base for base in cls.__mro__ if _is_own(base)]
    yield f"class {name}{_type_parameters(cls)}({', '.join(_public_bases(cls))})"
    if issubclass(cls, enum.Enum):
        yield from (f"{name}.{member.name} = {member.value!r}" for member in cls)
        return
    constructs = Protocol not in cls.__bases__ and name not in _MADE_BY_THE_PACKAGE
    if constructs and any({"__init__", "__new__"} & vars(base).keys() for base in own):
        yield from _function_lines(f"{name}.__init__", cls)
    annotations = {
        key: text for base in reversed(own) for key, text in inspect.get_annotations(base).items()
    }
    members = {key: value for base in reversed(own) for key, value in vars(base).items()}
    for key in sorted(annotations.keys() | members.keys()):
        if key.startswith("_") and not _SPECIAL_METHOD.fullmatch(key):
            continue
        yield from _member_lines(f"{name}.{key}", annotations.get(key), members.get(key))


def _member_lines(name: str, annotation: object, value: Any) -> Iterator[str]:
    match value:
        case property() | cached_property():
            getter: Any = value.fget if isinstance(value, property) else value.func
            yield f"{name}: {_signature(getter).return_annotation} (property)"
        case staticmethod() | classmethod():
            yield f"@{type(value).__name__}"
            yield from _function_lines(name, value.__func__)
        case _ if inspect.isfunction(value):
            yield from _function_lines(name, value)
        case _ if annotation is not None:
            yield f"{name}: {_annotation(annotation)}"
        case _:
            yield f"{name} = {_default(value)}"


def _is_own(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "sdml_kafka"


def _public_bases(cls: type) -> list[str]:
    """Return the names of all bases but `object` and the package's private ones."""
    modules = [import_module(name) for name in MODULES]
    public = [getattr(module, name) for module in modules for name in module.__all__]
    bases = cls.__mro__[1:-1]
    return [base.__name__ for base in bases if base in public or not _is_own(base)]


def _type_parameters(cls: type) -> str:
    parameters: tuple[TypeVar, ...] = getattr(cls, "__parameters__", ())
    return f"[{', '.join(each.__name__ for each in parameters)}]" if parameters else ""


def _function_lines(name: str, function: Any) -> Iterator[str]:
    for overload in [] if isinstance(function, type) else get_overloads(function):
        yield f"@overload {name}{_signature(overload)}"
    kind = "async " if inspect.iscoroutinefunction(function) else ""
    yield f"{kind}{name}{_signature(function)}"


def _signature(function: Any) -> inspect.Signature:
    signature = inspect.signature(function)
    return signature.replace(
        parameters=[
            each.replace(
                annotation=_shown(each.annotation, _annotation),
                default=_shown(each.default, _default),
            )
            for each in signature.parameters.values()
        ],
        return_annotation=_shown(signature.return_annotation, _annotation),
    )


class _Text(str):
    """A text that a signature shows without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _shown(value: Any, text: Callable[[Any], str]) -> Any:
    return value if value is inspect.Parameter.empty else _Text(text(value))


def _annotation(annotation: object) -> str:
    """Return the annotation without module paths and quotes.

    A type that an import for type checkers alone turns into a string reads as before, and so does
    a type that moved.
    """
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = re.sub(r"ForwardRef\('([^']*)'\)", r"\1", text)
    return re.sub(r"\b(?:\w+\.)+(?=\w)|['\"~]", "", text)


def _default(value: object) -> str:
    """Return the value's repr, but the name of a class or function, whose repr holds an address.

    Private ones are shown as `...`, since their names do not matter to users.
    """
    text: str = getattr(value, "__name__", repr(value))
    return "..." if text.startswith("_") else text


if __name__ == "__main__":
    sys.stdout.write(public_api())
