"""What a program is told of the call that it answers: in environment variables. Pure."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, quote_from_bytes

PRINTABLE = bytes(code for code in range(0x20, 0x7F) if code != ord("%")).decode()
MAX_CHARS = 32_768
"""Of one variable; Linux takes four times as much."""

ID, KEY, TIMEOUT_MS, HEADERS = (
    "SDML_KAFKA_ID",
    "SDML_KAFKA_KEY",
    "SDML_KAFKA_TIMEOUT_MS",
    "SDML_KAFKA_HEADERS",
)


def call_env(
    inherited: Mapping[str, str],
    id: bytes | None,
    key: bytes | None,
    remaining_s: float | None,
    headers: Sequence[tuple[str, bytes | None]],
) -> dict[str, str]:
    """Percent-encoded, so nothing but printable ASCII whatever a stranger sent. A variable is
    missing when there is no such thing, or when it is longer than `MAX_CHARS`."""
    env = dict(inherited)
    told = {
        ID: None if id is None else escaped(id),
        KEY: None if key is None else escaped(key),
        TIMEOUT_MS: None if remaining_s is None else str(int(remaining_s * 1000)),
        HEADERS: form(headers),
    }
    for name, value in told.items():
        env.pop(name, None)  # a server that answers in a server's place
        if value is not None and len(value) <= MAX_CHARS:
            env[name] = value
    return env


def escaped(data: bytes) -> str:
    """`%` and all that is no printable ASCII as %XX."""
    return quote_from_bytes(data, PRINTABLE)


def form(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """As in the query of a URL: NAME=VALUE&NAME=VALUE, everything but letters, digits, `_.-~`
    as %XX."""
    return "&".join(
        f"{quote(name, safe='', errors='replace')}={quote_from_bytes(value or b'', '')}"
        for name, value in headers
    )
