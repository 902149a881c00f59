"""Makes the `ssl_context` of the Kafka client from options that a file can hold."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TLS_OPTIONS: Mapping[str, object] = {
    "ssl_cafile": "",
    "ssl_capath": "",
    "ssl_cadata": "",
    "ssl_certfile": "",
    "ssl_keyfile": "",
    "ssl_password": "",
    "ssl_check_hostname": True,
}
"""The arguments of aiokafka's `create_ssl_context`, with `ssl_` before them, and whether the
certificate has to name the host."""
_PATHS = ("ssl_cafile", "ssl_capath", "ssl_certfile", "ssl_keyfile")


def make_tls_context(given: Mapping[str, Any], folder: Path) -> ssl.SSLContext | None:
    """Return the context, None if the options ask for no TLS.

    Without `ssl_cafile` and its like, the authorities that the system trusts are trusted.

    Args:
        given: The options. Those in `TLS_OPTIONS` are read, and `security_protocol`.
        folder: Where relative paths begin.

    Raises:
        ValueError: The options do not go together, or a file is not what it should be.
    """
    protocol = given.get("security_protocol", "PLAINTEXT")
    _check_protocol(given, protocol)
    if protocol not in ("SSL", "SASL_SSL"):
        return None
    paths: dict[str, Path | None] = dict.fromkeys(_PATHS)
    for name in _PATHS:
        if name in given:
            path = paths[name] = folder / Path(given[name]).expanduser()
            if not path.exists():
                raise ValueError(f"{name}: there is no {path}")
    try:
        context = ssl.create_default_context(
            cafile=paths["ssl_cafile"], capath=paths["ssl_capath"], cadata=given.get("ssl_cadata")
        )
        context.check_hostname = given.get("ssl_check_hostname", True)
        if (certificate := paths["ssl_certfile"]) is not None:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(
                certificate, paths["ssl_keyfile"], given.get("ssl_password", "")
            )
    except (OSError, ValueError) as error:
        used = ", ".join(name for name in TLS_OPTIONS if name in given)
        why = getattr(error, "reason", None) or "not PEM, or the wrong password"
        raise ValueError(f"one of {used} cannot be used: {why}") from None
    return context


def _check_protocol(given: Mapping[str, Any], protocol: str) -> None:
    needs = {"ssl_": '"SSL" or "SASL_SSL"', "sasl_": '"SASL_SSL" or "SASL_PLAINTEXT"'}
    for name in given:
        for prefix, protocols in needs.items():
            if name.startswith(prefix) and f'"{protocol}"' not in protocols:
                raise ValueError(f"{name} does nothing without security_protocol = {protocols}")
    if "ssl_keyfile" in given and "ssl_certfile" not in given:
        raise ValueError("ssl_keyfile does nothing without ssl_certfile")
