"""What a call may expect: which reply topics yield it, by which parsers, and how it is checked."""

from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, TypeAliasType, Union, get_args, get_origin

from attrs import frozen

from sdml_kafka.errors import ConfigurationError, ReplyInvalid, UnknownType
from sdml_kafka.parsing.specs import CompiledSpec, accepted_by, name_of


@frozen(eq=False)
class Expectation:
    specs: Mapping[str, CompiledSpec]
    """By reply topic: what parses a reply that comes there."""
    check: Callable[[object], None]
    """Raises ReplyInvalid for a value of another type."""


class Expectations:
    """Compiled once for each type that is asked for."""

    def __init__(self, specs: Sequence[CompiledSpec]) -> None:
        self._specs = specs
        self._compiled: dict[Any, Expectation] = {}
        self.topics: frozenset[str] = frozenset(topic for spec in specs for topic in spec.topics)

    def of(self, hint: Any) -> Expectation:
        """`hint` None: whatever comes. UnknownType when no parser yields it."""
        try:
            return self._compiled[hint]
        except (KeyError, TypeError):  # not compiled yet, or not hashable
            pass
        expectation = self._compile(hint)
        self._compiled[hint] = expectation
        return expectation

    def _compile(self, hint: Any) -> Expectation:
        try:
            hash(hint)
        except TypeError:
            raise ConfigurationError(f"res_expect_type {hint!r} is not hashable") from None
        specs: dict[str, CompiledSpec] = {}
        for spec in self._specs:
            if hint is None or _yields(spec.type, hint):
                for topic in spec.topics:
                    specs.setdefault(topic, spec)
        if not specs:
            known = ", ".join(sorted({name_of(spec.type) for spec in self._specs}))
            raise UnknownType(
                f"No parser yields {name_of(hint)}; those given yield: {known}. Expect one of "
                "these, or add a ParserSpec."
            )
        return Expectation(specs, _checker(hint))


def _yields(made: Any, wanted: Any) -> bool:
    """Whether a parser that makes `made` may give what is wanted; the value itself is checked."""
    if made == wanted or made is Any or made is object or wanted is Any:
        return True
    if isinstance(wanted, TypeAliasType):
        return _yields(made, wanted.__value__)
    if get_origin(wanted) in (Union, UnionType):
        return any(_yields(made, member) for member in get_args(wanted))
    if isinstance(made, type) and made is get_origin(wanted):
        return True
    return isinstance(made, type) and isinstance(wanted, type) and issubclass(made, wanted)


def _checker(hint: Any) -> Callable[[object], None]:
    if hint is None or hint is Any or hint is object:
        return lambda value: None
    accepts = accepted_by(hint)
    if isinstance(hint, type) and get_origin(hint) is None and accepts is hint:
        return lambda value: None if isinstance(value, hint) else _refuse(value, hint)
    if get_origin(hint) in (Union, UnionType) and _are_plain(get_args(hint)):
        return lambda value: None if isinstance(value, accepts) else _refuse(value, hint)
    return _deep_checker(hint)


def _are_plain(hints: Sequence[Any]) -> bool:
    return all(isinstance(hint, type) and accepted_by(hint) in (hint, type(None)) for hint in hints)


def _deep_checker(hint: Any) -> Callable[[object], None]:
    try:
        import typeguard
    except ImportError:
        raise ConfigurationError(
            f"Checking replies against {name_of(hint)} looks inside of the values, which takes "
            "typeguard: pip install 'sdml-kafka-client[typecheck]'"
        ) from None

    def check(value: object) -> None:
        try:
            typeguard.check_type(
                value, hint, collection_check_strategy=typeguard.CollectionCheckStrategy.ALL_ITEMS
            )
        except typeguard.TypeCheckError:
            _refuse(value, hint)

    return check


def _refuse(value: object, hint: Any) -> None:
    raise ReplyInvalid(
        f"The reply is of type {type(value).__name__}, and the call expects {name_of(hint)}"
    )
