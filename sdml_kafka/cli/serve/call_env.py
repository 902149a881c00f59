"""Builds the environment variables in which a program finds the call that it answers."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, quote_from_bytes

PRINTABLE = bytes(code for code in range(0x20, 0x7F) if code != ord("%")).decode()
MAX_CHARS = 32_768
"""The longest value of a variable; Linux takes four times as much."""

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
    """Return the environment of a program: what is inherited, and the variables of the call.

    Values are percent-encoded, so they are printable ASCII whatever the caller sent. A variable is
    missing when the call has no such thing, or when its value is longer than `MAX_CHARS`.
    """
    env = dict(inherited)
    variables = {
        ID: None if id is None else escaped(id),
        KEY: None if key is None else escaped(key),
        TIMEOUT_MS: None if remaining_s is None else str(int(remaining_s * 1000)),
        HEADERS: form(headers),
    }
    for name, value in variables.items():
        env.pop(name, None)  # `serve` may itself be the program of another `serve`
        if value is not None and len(value) <= MAX_CHARS:
            env[name] = value
    return env


def escaped(data: bytes) -> str:
    """Return the bytes as printable ASCII, with `%` and all other bytes as %XX."""
    return quote_from_bytes(data, PRINTABLE)


def form(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Return the headers as in the query of a URL: NAME=VALUE&NAME=VALUE.

    Everything but letters, digits and `_.-~` is written as %XX.
    """
    return "&".join(
        f"{quote(name, safe='', errors='replace')}={quote_from_bytes(value or b'', '')}"
        for name, value in headers
    )
