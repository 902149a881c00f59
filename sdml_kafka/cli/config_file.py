"""Reads the options of the Kafka client from a file, such as those for TLS and SASL.

The file is TOML, `key = value`, with aiokafka's names. A `ssl_context` cannot be written down, so
it is made of `ssl_cafile` and its like. No text here shows a value, since it may be a secret.
"""

import stat
import tomllib
from argparse import ArgumentTypeError
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from sdml_kafka.cli.client_config import ClientConfig
from sdml_kafka.cli.terminal import say
from sdml_kafka.cli.tls import TLS_OPTIONS, make_tls_context

SERVERS = "bootstrap_servers"
GIVEN_OTHERWISE = {
    "group_id": "give --group",
    "ssl_context": "give ssl_cafile and its like, of which it is made",
}
NOT_IN_A_FILE = {
    "key_serializer",
    "value_serializer",
    "key_deserializer",
    "value_deserializer",
    "partitioner",
    "partition_assignment_strategy",
    "sasl_oauth_token_provider",
}
"""The options whose values are objects of a program."""


def read_config(path: str) -> ClientConfig:
    """Return what the file says. Raises ArgumentTypeError, which names the file and the option."""
    from sdml_kafka.transport.connect import client_options

    given = dict(_flat(_parsed(path)))
    if isinstance(given.get(SERVERS), list):
        given[SERVERS] = ",".join(map(str, given[SERVERS]))
    consumer, producer = client_options()
    try:
        _check(given, {**producer, **consumer, **TLS_OPTIONS, SERVERS: ""})
        bootstrap = given.pop(SERVERS, None)
        context = make_tls_context(given, Path(path).parent)
    except ValueError as error:
        raise ArgumentTypeError(f"{path}: {error}") from None
    _warn_if_readable(path, given)
    options = {name: value for name, value in given.items() if name not in TLS_OPTIONS}
    if context is not None:
        options["ssl_context"] = context
    for_consumer = {name: value for name, value in options.items() if name in consumer}
    for_producer = {name: value for name, value in options.items() if name in producer}
    return ClientConfig(bootstrap, for_consumer, options, for_producer)


def _parsed(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentTypeError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ArgumentTypeError(f"{path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ArgumentTypeError(
            f"{path}: {error}; each line is `key = value`, with text in quotes"
        ) from None


def _flat(options: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values; what stands below a [section] has a name with dots."""
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _flat(cast("dict[str, Any]", value), f"{above}{name}.")
        else:
            yield above + name, value


def _check(given: Mapping[str, Any], defaults: Mapping[str, object]) -> None:
    """Raise a ValueError if an option is unknown, or its value of the wrong kind."""
    known = defaults.keys() - NOT_IN_A_FILE - GIVEN_OTHERWISE.keys()
    for name, value in given.items():
        if name in GIVEN_OTHERWISE:
            raise ValueError(f"{name} cannot be given here: {GIVEN_OTHERWISE[name]}")
        if name in NOT_IN_A_FILE:
            raise ValueError(f"{name} cannot be given in a file, only in a program")
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"there is no option {name}{hint}")
        if (kind := _kind(name, defaults[name])) is not None and not _is(value, kind):
            raise ValueError(f"{name} is {kind}")


def _kind(name: str, default: object) -> str | None:
    """Return what the value of an option has to be, None if that is not known."""
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, int | float):
        return "a number, without quotes"
    if isinstance(default, str) or name.startswith("sasl_"):
        return "text, in quotes"
    return None


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "true or false"
    if isinstance(value, int | float):
        return kind == "a number, without quotes"
    return isinstance(value, str) and kind == "text, in quotes"


def _warn_if_readable(path: str, given: Mapping[str, Any]) -> None:
    secrets = [name for name in given if "password" in name]
    if secrets and Path(path).stat().st_mode & stat.S_IROTH:
        say(
            f"warning: {path} holds {' and '.join(secrets)}, and everybody on this machine may "
            f"read it: chmod 600 {path}"
        )
