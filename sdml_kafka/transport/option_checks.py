"""Check addresses and names of options before anything is connected.

No error here shows the value of an option, since it may be a secret. The suggestions are taken from
what is right.
"""

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from ipaddress import IPv6Address

from sdml_kafka.errors import ConfigurationError

_ADDRESS = re.compile(r"(?P<host>\[[^\[\]\s]+\]|[^\s:/@\[\]]+)(?::(?P<port>[0-9]+))?")


def check_addresses(servers: object) -> None:
    """Raise a ConfigurationError if `bootstrap_servers` cannot be addresses."""
    if isinstance(servers, str):
        servers = servers.split(",")
    if not isinstance(servers, Sequence) or not all(isinstance(s, str) for s in servers):  # pyright: ignore[reportUnknownVariableType]
        raise ConfigurationError(
            "bootstrap_servers is 'host:port', several with commas or in a list"
        )
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


_ELSEWHERE = {
    "create_topics": "listeners and servers have that; KafkaRPC creates its reply topic itself, "
    "KafkaProducer creates none"
}
"""Options of other classes, whose nearest name here would mislead."""


def check_names(
    options: Collection[str],
    known: Collection[str],
    client: str,
    own_names: Collection[str] | None = None,
) -> None:
    """Raise a ConfigurationError that names the options which `client` does not have.

    `own_names` are parameters of the public class, which may have been meant as well.
    """
    if unknown := sorted(set(options) - set(known)):
        names = "; ".join(
            f"{name} ({_ELSEWHERE[name]})"
            if name in _ELSEWHERE
            else f"{name} (did you mean {near[0]}?)"
            if (near := get_close_matches(name, [*known, *(own_names or ())], n=1))
            else name
            for name in unknown
        )
        raise ConfigurationError(f"{client} has no option {names}")
