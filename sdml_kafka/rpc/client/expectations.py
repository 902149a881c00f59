"""Expectations of calls: which reply topics yield a type, by which parsers, how it is checked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from attrs import frozen

from sdml_kafka.errors import ConfigurationError, ReplyInvalid, UnknownType
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.parsing.type_checks import compile_check, may_yield, name_of


@frozen(eq=False)
class Expectation:
    """The common part of calls that expect one type."""

    specs: Mapping[str, CompiledSpec]
    """The spec that parses a reply, by the reply topic in which it comes."""
    check: Callable[[object], None]
    """Raises ReplyInvalid for a value of another type."""
    hint: Any
    """The type. A value of exactly this class need not be checked."""


class Expectations:
    """The expectations of a client, compiled once for each type that calls ask for."""

    def __init__(self, specs: Sequence[CompiledSpec]) -> None:
        self._specs = specs
        self._compiled: dict[Any, Expectation] = {}

    def of(self, hint: Any) -> Expectation:
        """Return what a call expects that asks for this type; None stands for any.

        Raises:
            UnknownType: No parser yields the type.
            ConfigurationError: The type cannot be checked.
        """
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
            if hint is None or may_yield(spec.type, hint):
                for topic in spec.topics:
                    specs.setdefault(topic, spec)
        if not specs:
            known = ", ".join(sorted({name_of(spec.type) for spec in self._specs}))
            raise UnknownType(
                f"No parser yields {name_of(hint)}; the parsers given yield: {known}. "
                "Expect one of these types, or add a ParserSpec."
            )
        return Expectation(specs, compile_check(hint, _refuse), hint)


def _refuse(value: object, hint: Any) -> NoReturn:
    raise ReplyInvalid(
        f"The reply is of type {type(value).__name__}, and the call expects {name_of(hint)}"
    )
