"""Check addresses and options before anything is connected.

No error here shows the value of an option, since it may be a secret. The suggestions are taken from
what is right.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import IPv6Address
from typing import Any

from sdml_kafka.errors import ConfigurationError

_ADDRESS = re.compile(r"(?P<host>\[[^\[\]\s]+\]|[^\s:/@\[\]]+)(?::(?P<port>[0-9]+))?")
_CHOICES: Mapping[str, Sequence[object]] = {
    "auto_offset_reset": ("earliest", "latest", "none"),
    "isolation_level": ("read_uncommitted", "read_committed"),
    "security_protocol": ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "sasl_mechanism": ("PLAIN", "GSSAPI", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
    "compression_type": (None, "gzip", "snappy", "lz4", "zstd"),
    "acks": ("all", 0, 1, -1),
}
"""The options whose values are few."""


def check_addresses(servers: object) -> None:
    """Raise a ConfigurationError if `bootstrap_servers` cannot be addresses."""
    if isinstance(servers, str):
        servers = servers.split(",")
    if not isinstance(servers, list | tuple) or not all(isinstance(s, str) for s in servers):  # pyright: ignore[reportUnknownVariableType]
        raise ConfigurationError("bootstrap_servers is 'host:port', several with commas")
    addresses: list[str] = [str(server).strip() for server in servers]  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    if not any(addresses):
        raise ConfigurationError("bootstrap_servers is empty: give 'host:port'")
    for number, address in enumerate(addresses, start=1):
        if address and not _is_address(address):
            raise ConfigurationError(
                f"bootstrap_servers: address {number} of {len(addresses)} is not 'host:port' with "
                "a number between 1 and 65535 for the port"
            )


def _is_address(address: str) -> bool:
    if address.count(":") > 1 and not address.startswith("["):
        return _is_ipv6(address)
    match = _ADDRESS.fullmatch(address)
    if match is None or (address.startswith("[") and not _is_ipv6(match["host"][1:-1])):
        return False
    return match["port"] is None or 0 < int(match["port"][:6]) < 1 << 16


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def check_names(options: Collection[str], known: Collection[str], client: str) -> None:
    """Raise a ConfigurationError that names the options which `client` does not have."""
    if unknown := sorted(set(options) - set(known)):
        names = "; ".join(
            f"{name} (did you mean {near[0]}?)"
            if (near := get_close_matches(name, known, n=1))
            else name
            for name in unknown
        )
        raise ConfigurationError(f"{client} has no option {names}")


def check_values(options: Mapping[str, Any]) -> None:
    """Raise a ConfigurationError if an option is given none of the values that it may have."""
    for name, choices in _CHOICES.items():
        value = options.get(name, choices[0])
        if value not in choices:
            texts = [choice for choice in choices if isinstance(choice, str)]
            # Some are written in capitals, and some in small letters.
            by_small = {text.lower(): text for text in texts}
            near = get_close_matches(str(value).lower(), by_small, n=1)
            hint = f". Did you mean {by_small[near[0]]!r}?" if near else ""
            raise ConfigurationError(
                f"{name} is {', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}{hint}"
            )
