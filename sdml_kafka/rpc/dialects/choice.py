"""Which dialects a program has chosen, and the codecs for them."""

from collections.abc import Sequence
from typing import Literal

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.rpc.dialects.foreign import CORRELATION_ID, ForeignDialect, ForeignName
from sdml_kafka.rpc.dialects.messages import DialectName
from sdml_kafka.rpc.dialects.native import ID_NAMES, Wire, wire_of
from sdml_kafka.rpc.dialects.nestjs import NestCodec, NestJS
from sdml_kafka.rpc.dialects.spring import Spring, SpringCodec
from sdml_kafka.rpc.dialects.union import Union

Dialect = DialectName | Spring | NestJS


def check_dialects(dialects: Sequence[Dialect]) -> tuple[bool, Union | None]:
    """Return whether a server takes native requests, and what reads and answers the others.

    Raises:
        ConfigurationError: These are no dialects.
    """
    if isinstance(dialects, str | Spring | NestJS):
        raise ConfigurationError(f"dialects is a list: put this one into [ ], not {dialects!r}")
    names = set[DialectName]()
    error_headers: tuple[str, ...] = ()
    for dialect in dialects:
        if (dialect := named(dialect)) == "native":
            names.add("native")
        elif isinstance(dialect, Spring):
            names.add("spring")
            error_headers = tuple(dialect.error_headers)
        else:
            names.add("nestjs")
    if not names:
        raise ConfigurationError("dialects names one at least: 'native', 'spring' or 'nestjs'")
    foreign = frozenset[ForeignName](name for name in names if name != "native")
    return "native" in names, Union(foreign, error_headers) if foreign else None


def named(dialect: object) -> Literal["native"] | Spring | NestJS:
    """Return the dialect that a program has named or given.

    Raises:
        ConfigurationError: There is none of this name.
    """
    if dialect == "native":
        return "native"
    if dialect == "spring":
        return Spring()
    if dialect == "nestjs":
        return NestJS()
    if isinstance(dialect, Spring | NestJS):
        return dialect
    raise ConfigurationError(
        "A dialect is 'native', 'spring', 'nestjs', Spring(error_headers=...) or NestJS(), not "
        f"{dialect!r:.80}"
    )


def codec_of(dialect: Dialect, id_names: Sequence[str]) -> Wire | ForeignDialect:
    """Return what a client reads replies with.

    Args:
        dialect: What the program has chosen.
        id_names: The headers that may carry an id, which is for the project's own dialect.

    Raises:
        ConfigurationError: That is no dialect, or they do not go together.
    """
    chosen = named(dialect)
    if chosen == "native":
        return wire_of(id_names)
    codec = SpringCodec(tuple(chosen.error_headers)) if isinstance(chosen, Spring) else NestCodec()
    if tuple(id_names) != ID_NAMES:
        raise ConfigurationError(
            f"corr_header_keys is for the dialect 'native': in {codec.name!r} an id is in "
            f"{CORRELATION_ID}"
        )
    return codec
