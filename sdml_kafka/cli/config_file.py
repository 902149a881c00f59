"""Reads the options of the Kafka client, such as those for TLS and SASL, from a file and from `-o`.

The file is TOML, `key = value`, with the client's own names. For aiokafka a `ssl_context` cannot be
written down, so it is made of `ssl_cafile` and its like. No text here shows a value, since it may
be a secret.
"""

import stat
import tomllib
from argparse import ArgumentTypeError
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sdml_kafka.cli.terminal import say
from sdml_kafka.cli.tls import TLS_OPTIONS, make_tls_context
from sdml_kafka.cli.values import is_number
from sdml_kafka.client_config import ClientConfig
from sdml_kafka.errors import ConfigurationError

if TYPE_CHECKING:
    from sdml_kafka.transport.client_choice import Client

SERVERS = {"aiokafka": "bootstrap_servers", "librdkafka": "bootstrap.servers"}
GIVEN_OTHERWISE = {
    "group_id": "give --group",
    "group.id": "give --group",
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
"""The options of aiokafka whose values are objects of a program."""
SECRETS = ("password", "secret", "passphrase", "key.pem")
"""Parts of the names of options that nobody else should read."""

ADVICE_FOR_PROGRAMS = ": see auto_commit="
"""The beginning of that end of an error which names what commands do not have."""

TRUTHS = {"true": True, "false": False}


def read_config(
    path: str | None, typed: Sequence[tuple[str, str]] = (), client: "Client" = "aiokafka"
) -> ClientConfig:
    """Return what the file says, and what was typed, which counts more.

    Raises:
        ArgumentTypeError: It names the file and the option.
    """
    of_file = {} if path is None else dict(_flat(_parsed(path)))
    source, folder = _source(path, typed), Path(path or "").parent
    servers = of_file.get(SERVERS[client])
    if isinstance(servers, list):
        of_file[SERVERS[client]] = ",".join(map(str, cast("list[object]", servers)))
    if path is not None:
        _warn_if_readable(path, of_file)
    if client == "librdkafka":
        return _of_librdkafka(of_file, dict(typed), source, folder)
    return _of_aiokafka(of_file, dict(typed), source, folder)


def _source(path: str | None, typed: Sequence[tuple[str, str]]) -> str:
    """Return where options were given, an empty text if none were."""
    file = [] if path is None else [f"--config {path}"]
    return " and ".join(file + ["-o"] * bool(typed))


def _of_aiokafka(
    of_file: Mapping[str, Any], typed: Mapping[str, str], source: str, folder: Path
) -> ClientConfig:
    from sdml_kafka.transport.connect import aiokafka_defaults

    consumer, producer = aiokafka_defaults()
    defaults = {**producer, **consumer, **TLS_OPTIONS, SERVERS["aiokafka"]: ""}
    own = {name: _converted(name, text, defaults) for name, text in typed.items()}
    given = {**of_file, **own}
    with _named(source):
        _check(given, defaults)
    bootstrap = given.pop(SERVERS["aiokafka"], None)
    with _named(source):
        context = make_tls_context(given, folder)
    options = {name: value for name, value in given.items() if name not in TLS_OPTIONS}
    if context is not None:
        options["ssl_context"] = context
    for_consumer = {name: value for name, value in options.items() if name in consumer}
    for_producer = {name: value for name, value in options.items() if name in producer}
    return ClientConfig(bootstrap, for_consumer, options, for_producer)


def _of_librdkafka(
    of_file: Mapping[str, Any], typed: Mapping[str, str], source: str, folder: Path
) -> ClientConfig:
    from sdml_kafka.transport.connect import split_librdkafka_options

    given = {name: _located(name, value, folder) for name, value in of_file.items()} | dict(typed)
    bootstrap = given.pop(SERVERS["librdkafka"], None)
    with _named(source):
        if bootstrap is not None and not isinstance(bootstrap, str):
            raise ValueError("bootstrap.servers is text, in quotes")
        for name in GIVEN_OTHERWISE.keys() & given:
            raise ValueError(f"{name} cannot be given here: {GIVEN_OTHERWISE[name]}")
        try:
            for_consumer, for_producer = split_librdkafka_options(given)
        except ConfigurationError as error:
            text, *_ = str(error).removeprefix("client_options: ").split(ADVICE_FOR_PROGRAMS)
            raise ValueError(text) from None
    return ClientConfig(bootstrap, for_consumer, given, for_producer, "librdkafka")


def _located(name: str, value: Any, folder: Path) -> Any:
    """Return the value of an option of librdkafka; a relative path begins at the folder."""
    if not name.startswith("ssl.") or not name.endswith(".location") or value == "probe":
        return value
    return str(folder / Path(value).expanduser()) if isinstance(value, str) else value


@contextmanager
def _named(source: str) -> Generator[None]:
    """Name the place where a wrong option was given."""
    try:
        yield
    except ValueError as error:
        raise ArgumentTypeError(f"{source}: {error}" if source else str(error)) from None


def _parsed(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentTypeError(f"--config {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ArgumentTypeError(f"--config {path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ArgumentTypeError(
            f"--config {path}: {error}; each line is `key = value`, with text in quotes"
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
            raise ValueError(f"{name} cannot be given here, only in a program")
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


def _converted(name: str, text: str, defaults: Mapping[str, object]) -> Any:
    """Return the value that was typed for an option of aiokafka."""
    kind = _kind(name, defaults.get(name, ""))
    if kind == "true or false":
        return TRUTHS.get(text.lower(), text)
    if kind == "text, in quotes" or (kind is None and not name.endswith(("_ms", "_records"))):
        return text
    return int(text) if is_number(text.removeprefix("-")) else text


def _warn_if_readable(path: str, given: Mapping[str, Any]) -> None:
    secrets = [name for name in given if any(part in name for part in SECRETS)]
    if secrets and Path(path).stat().st_mode & stat.S_IROTH:
        say(
            f"warning: {path} holds {' and '.join(secrets)}, and everybody on this machine may "
            f"read it: chmod 600 {path}"
        )
