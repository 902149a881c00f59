"""Type hints at run time: which class a hint stands for, and whether a value is of it."""

import types
from collections.abc import Callable, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    NoReturn,
    TypeAliasType,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from sdml_kafka.errors import ConfigurationError


def name_of(hint: object) -> str:
    """Return the name of a type hint, as errors show it."""
    if isinstance(hint, str):
        return f"{hint[:250]!r}, which is a text and no type"
    return hint.__qualname__ if type(hint) is type else str(hint)


def accepted_by(hint: Any) -> type | tuple[type, ...]:
    """Return the classes whose instances a type hint takes, as far as `isinstance` can see."""
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


def named_by(wanted: Any, hints: Sequence[Any]) -> list[Any]:
    """Return which of some type hints a program means by one.

    That is the hint itself. If it is not among them, a class stands for each of its generic types
    (`dict` for `dict[str, int]`), and a generic type for its class.
    """
    if wanted in hints:  # it may not be hashable
        return [wanted]
    head, arguments = _taken_apart(wanted)
    apart = [(hint, *_taken_apart(hint)) for hint in hints]
    alike = [(hint, others) for hint, other_head, others in apart if other_head == head]
    same = [hint for hint, others in alike if others == arguments]
    return same or [hint for hint, others in alike if not others or not arguments]


def _taken_apart(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the class and the arguments of a generic type; of any other hint no arguments."""
    while isinstance(hint, TypeAliasType):
        hint = hint.__value__
    origin = get_origin(hint)
    is_generic = isinstance(origin, type) and origin is not types.UnionType
    return (origin, get_args(hint)) if is_generic else (hint, ())


def may_yield(made: Any, wanted: Any) -> bool:
    """Return whether a parser whose type is `made` may return a value of the type `wanted`.

    The value itself has to be checked when it is there.
    """
    if made == wanted or made is Any or made is object or wanted is Any:
        return True
    if isinstance(wanted, TypeAliasType):
        return may_yield(made, wanted.__value__)
    if get_origin(wanted) in (Union, types.UnionType):
        return any(may_yield(made, member) for member in get_args(wanted))
    if isinstance(made, TypeAliasType):
        return may_yield(made.__value__, wanted)
    if get_origin(made) in (Union, types.UnionType):
        return any(may_yield(member, wanted) for member in get_args(made))
    if named_by(wanted, [made]):
        return True
    return isinstance(made, type) and isinstance(wanted, type) and issubclass(made, wanted)


def compile_check(hint: Any, refuse: Callable[[object, Any], NoReturn]) -> Callable[[object], None]:
    """Return the cheapest function that checks whether a value is of a type.

    Args:
        hint: The type; anything is of type None, Any and object.
        refuse: Called with a value that is of another type, and with `hint`.

    Raises:
        ConfigurationError: The check looks inside of values, and typeguard is not installed.
    """
    while isinstance(hint, TypeAliasType):  # which typeguard 4.4 takes for any type
        hint = hint.__value__
    if hint is None or hint is Any or hint is object:
        return lambda value: None
    accepts = accepted_by(hint)
    if isinstance(hint, type) and get_origin(hint) is None and accepts is hint:
        return lambda value: None if isinstance(value, hint) else refuse(value, hint)
    if get_origin(hint) in (Union, types.UnionType) and _are_plain(get_args(hint)):
        return lambda value: None if isinstance(value, accepts) else refuse(value, hint)
    return _compile_deep_check(hint, refuse)


def _are_plain(hints: Sequence[Any]) -> bool:
    return all(isinstance(hint, type) and accepted_by(hint) in (hint, type(None)) for hint in hints)


def _compile_deep_check(
    hint: Any, refuse: Callable[[object, Any], NoReturn]
) -> Callable[[object], None]:
    try:
        import typeguard
    except ImportError:
        raise ConfigurationError(
            f"Checking values against {name_of(hint)} looks inside of them, which takes "
            "typeguard: pip install 'sdml-kafka-client[typecheck]'"
        ) from None

    def check(value: object) -> None:
        try:
            typeguard.check_type(
                value, hint, collection_check_strategy=typeguard.CollectionCheckStrategy.ALL_ITEMS
            )
        except typeguard.TypeCheckError:
            refuse(value, hint)

    return check
