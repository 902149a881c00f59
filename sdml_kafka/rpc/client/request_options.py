"""The options of a call, checked and put into the form in which they travel."""

from collections.abc import Callable, Collection, Mapping, Sequence
from math import ceil, inf
from typing import Any, Literal, NamedTuple, TypedDict, get_args

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.rpc.dialects.messages import MAX_ID_BYTES
from sdml_kafka.rpc.dialects.native import REPLY_TOPIC, RESERVED

PropagateCorrTo = Literal["both", "header", "key"]
RequestHeaders = Mapping[str, str | bytes] | Sequence[tuple[str, str | bytes]]


class RequestOptions(TypedDict, total=False):
    """The options that `request` and `stream` share; see `KafkaRPC.request`."""

    req_key: bytes | str | None
    req_headers: RequestHeaders | None
    req_headers_reply_to: Sequence[str] | None
    res_timeout: float | None
    correlation_id: bytes | str | None
    propagate_corr_to: PropagateCorrTo
    correlation_header_key: str
    server_group: str | None


class CallOptions(NamedTuple):
    """The options of a call that its plan is made from, and the key under which the plan is kept.

    A named tuple, since it is made and looked up for each call: attrs takes twice as long to make
    a frozen object, and four times as long to look one up.
    """

    timeout_s: float | None
    expect_type: Any
    propagate_to: PropagateCorrTo
    id_name: str
    is_keyless: bool
    """True if the caller gave no key, so that the id may travel as the key."""
    headers: RequestHeaders | None
    reply_to: Sequence[str] | None


def check_propagation(propagate_to: str, header: str, *, is_keyless: bool) -> None:
    """Raise ConfigurationError unless an id may travel as the options say."""
    if propagate_to not in get_args(PropagateCorrTo):
        raise ConfigurationError(
            f"propagate_corr_to is 'both', 'header' or 'key', not {propagate_to!r}"
        )
    if not isinstance(header, str) or not header:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"correlation_header_key is a header's name, not {header!r}")
    if propagate_to == "key" and not is_keyless:
        raise ConfigurationError(
            "With propagate_corr_to='key' the key is the correlation id: leave req_key out, or "
            "let the id travel in the header"
        )


def in_bytes(name: str, value: object) -> bytes:
    """Return bytes as they are, and a text encoded as UTF-8."""
    if type(value) is bytes:
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise ConfigurationError(f"{name} cannot be encoded as UTF-8: {error.reason}") from None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)  # pyright: ignore[reportUnknownArgumentType]
    raise ConfigurationError(f"{name} is bytes or a text, not {type(value).__name__}")


def payload(value: object) -> bytes | None:
    """Return a request's value as bytes; None stays None."""
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)  # pyright: ignore[reportUnknownArgumentType]
    raise ConfigurationError(
        f"req_value is bytes or Encoded, not {type(value).__name__}: encode it, text.encode() or "
        "json.dumps(value).encode()"
    )


def call_id(value: bytes | str) -> bytes:
    """Return the caller's own correlation id as bytes."""
    id_ = in_bytes("correlation_id", value)
    if not 0 < len(id_) <= MAX_ID_BYTES:
        raise ConfigurationError(f"correlation_id has 1 to {MAX_ID_BYTES} bytes, not {len(id_)}")
    return id_


def own_headers(
    headers: RequestHeaders, carries_id: Callable[[str], bool], reserved: Collection[str]
) -> tuple[list[tuple[str, bytes]], list[str]]:
    """Return the caller's own headers, and the reply topics that are named among them.

    Args:
        headers: What the caller gave.
        carries_id: Returns whether a header of this name is read for an id.
        reserved: The names, in lower case, that mean something else in the dialect.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    own: list[tuple[str, bytes]] = []
    topics: list[str] = []
    try:
        for name, value in pairs:
            lowered = _name(name).lower()
            if lowered == REPLY_TOPIC:
                topics.append(in_bytes(f"header {name!r}", value).decode())
            elif carries_id(lowered):
                raise ConfigurationError(
                    f"header {name!r} carries correlation ids: pass it as correlation_id"
                )
            elif lowered in RESERVED or lowered in reserved:
                raise ConfigurationError(f"header {name!r} belongs to the protocol of calls")
            else:
                own.append((name, in_bytes(f"header {name!r}", value)))
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            "req_headers is a mapping, or a list of (name, value) pairs"
        ) from None
    return own, topics


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"a header's name is a text, not {name!r}")
    return name


def check_timeout(timeout_s: float | None) -> float:
    """Return the timeout in seconds, `inf` for None; raise unless it is finite and more than 0."""
    if timeout_s is None:
        return inf
    try:
        if 0 < timeout_s < inf:
            return timeout_s
    except TypeError:
        pass
    raise ConfigurationError(
        f"res_timeout is in seconds, more than 0, or None for no deadline, not {timeout_s!r}"
    )


def check_positive[N: (int, float)](name: str, number: N) -> N:
    """Return the number; raise ConfigurationError unless it is finite and more than 0."""
    is_number = isinstance(number, int | float) and not isinstance(number, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not is_number or not 0 < number < inf:
        raise ConfigurationError(f"{name} is more than 0, not {number!r}")
    return number


def in_ms(seconds: float) -> int | None:
    """Return whole milliseconds, at least 1; None for `inf`."""
    return None if seconds == inf else max(1, ceil(seconds * 1000))
