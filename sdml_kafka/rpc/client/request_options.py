"""What a program passes to a call, checked and put into the form that it travels in."""

from collections.abc import Mapping, Sequence
from math import ceil, inf
from typing import Literal, get_args

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.rpc.dialects.messages import MAX_ID_BYTES
from sdml_kafka.rpc.dialects.native import REPLY_TOPIC, RESERVED, Wire

PropagateCorrTo = Literal["both", "header", "key"]
RequestHeaders = Mapping[str, str | bytes] | Sequence[tuple[str, str | bytes]]


def check_propagation(propagate_to: str, header: str, *, is_keyless: bool) -> None:
    """Where a call's id may travel: in the header, as the key, or both."""
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
    """UTF-8 for a text."""
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise ConfigurationError(f"{name} cannot be encoded as UTF-8: {error.reason}") from None
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)  # pyright: ignore[reportUnknownArgumentType]
    raise ConfigurationError(f"{name} is bytes or a text, not {type(value).__name__}")


def payload(value: object) -> bytes | None:
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)  # pyright: ignore[reportUnknownArgumentType]
    raise ConfigurationError(
        f"req_value is bytes, not {type(value).__name__}: encode it, text.encode() or "
        "json.dumps(value).encode()"
    )


def call_id(value: bytes | str) -> bytes:
    id_ = in_bytes("correlation_id", value)
    if not 0 < len(id_) <= MAX_ID_BYTES:
        raise ConfigurationError(f"correlation_id has 1 to {MAX_ID_BYTES} bytes, not {len(id_)}")
    return id_


def own_headers(headers: RequestHeaders, wire: Wire) -> tuple[list[tuple[str, bytes]], list[str]]:
    """The caller's own, and the reply topics that are asked for among them."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    own: list[tuple[str, bytes]] = []
    topics: list[str] = []
    try:
        for name, value in pairs:
            lowered = _name(name).lower()
            if lowered == REPLY_TOPIC:
                topics.append(in_bytes(f"header {name!r}", value).decode())
            elif wire.carries_id(lowered):
                raise ConfigurationError(
                    f"header {name!r} carries correlation ids: pass it as correlation_id"
                )
            elif lowered in RESERVED:
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
    """As a number of seconds; `inf` for none. A ValueError unless it is > 0 and finite."""
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


def in_ms(seconds: float) -> int | None:
    return None if seconds == inf else max(1, ceil(seconds * 1000))
