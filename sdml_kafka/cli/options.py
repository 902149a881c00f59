"""Options that several commands have, and how a command is added to the parser."""

import argparse
import os
from functools import partial
from typing import Any

from sdml_kafka.cli import values
from sdml_kafka.client_config import NO_CONFIG, ClientConfig

BOOTSTRAP = "SDML_KAFKA_BOOTSTRAP"
"""The environment variable that holds the address where none is typed."""


def add_command(commands: Any, name: str, summary: str, text: str) -> argparse.ArgumentParser:
    """Add a command and return its parser.

    Args:
        commands: What argparse's `add_subparsers` returned.
        name: The word that is typed.
        summary: What the list of commands says about it.
        text: The command's own help; what follows `---` is shown below the options.
    """
    description, _, epilog = text.partition("---\n")
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser)
    return parser


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add `--bootstrap`, which `bootstrap_of` reads, and the options of the Kafka client."""
    parser.add_argument(
        "--bootstrap",
        metavar="HOST:PORT",
        type=values.bootstrap,
        help="the Kafka to connect to; several addresses are separated by commas (default: those "
        f"of --config, else the environment variable {BOOTSTRAP})",
    )
    add_client(parser)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a file with options of the client, such as those for TLS and SASL: TOML, each line "
        "key = value, with the client's own names",
    )
    parser.add_argument(
        "-o",
        metavar="NAME=VALUE",
        dest="client_options",
        type=values.option,
        action="append",
        default=[],
        help="an option of the client; can be given several times. Everybody on the machine sees "
        "what is typed: secrets belong into a file",
    )
    parser.set_defaults(read_config=partial(_read_config, parser))


def add_client(parser: argparse.ArgumentParser) -> None:
    """Add `--client`."""
    parser.add_argument(
        "--client",
        choices=["aiokafka", "librdkafka"],
        default="aiokafka",
        help="the Kafka client; librdkafka needs the extra of that name (default: aiokafka)",
    )


def _read_config(parser: argparse.ArgumentParser, given: argparse.Namespace) -> ClientConfig:
    """Return the client and its options; wrong ones end the program with exit code 2."""
    if given.client == "aiokafka" and given.config is None and not given.client_options:
        return NO_CONFIG
    # Imported late, because `--help` does not need what this import brings with it.
    from sdml_kafka.cli.config_file import read_config

    try:
        return read_config(given.config, given.client_options, given.client)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))


def add_kafka_version(parser: argparse.ArgumentParser) -> None:
    """Add `--kafka-version`, of a Kafka that the command starts."""
    parser.add_argument(
        "--kafka-version",
        metavar="VERSION",
        type=values.kafka_version,
        help="the version of the Kafka that is started, such as 4.1.0 (default: the environment "
        "variable SDML_KAFKA_EMBEDDED_VERSION, else the newest)",
    )


def bootstrap_of(parser: argparse.ArgumentParser, given: argparse.Namespace) -> str:
    """Return where to connect to; without an address the program ends with exit code 2."""
    bootstrap: str | None = given.bootstrap
    file: ClientConfig = given.config
    sources = {"--config": file.bootstrap, BOOTSTRAP: os.environ.get(BOOTSTRAP)}
    for source, text in sources.items():
        if bootstrap is None and text:
            try:
                bootstrap = values.bootstrap(text)
            except argparse.ArgumentTypeError as error:
                parser.error(f"{source}: {error}")
    if bootstrap is None:
        parser.error(f"no Kafka to connect to: give --bootstrap HOST:PORT, or set {BOOTSTRAP}")
    return bootstrap


def add_group(parser: argparse.ArgumentParser, shared: str, *, required: bool = True) -> None:
    """Add `--group`; `shared` names what the members of the group share."""
    parser.add_argument(
        "--group",
        metavar="NAME",
        type=values.name,
        required=required,
        help=f"the consumer group; its members share the {shared}",
    )


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Add `--progress`."""
    parser.add_argument(
        "--progress",
        action="store_true",
        help="report the progress on stderr, even when that is not a terminal",
    )


def add_key_and_headers(parser: argparse.ArgumentParser, key: str, of: str) -> None:
    """Add `--key`, whose help is `key`, and `--header`; `of` names what the headers are of."""
    parser.add_argument("--key", metavar="K", type=values.raw, help=key)
    parser.add_argument(
        "--header",
        metavar="NAME=VALUE",
        dest="headers",
        type=values.header,
        action="append",
        default=[],
        help=f"a header of {of}; can be given several times",
    )


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add `--backend`."""
    parser.add_argument(
        "--backend",
        choices=["asyncio", "trio"],
        default="asyncio",
        help="the event loop to run on (default: asyncio)",
    )
