"""The arguments of `sdml-kafka send`."""

import argparse
from functools import partial
from typing import Any

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.options import (
    add_backend,
    add_command,
    add_connection,
    add_key_and_headers,
    add_progress,
    bootstrap_of,
)
from sdml_kafka.cli.terminal import Backend
from sdml_kafka.client_config import NO_CONFIG, ClientConfig


@frozen
class SendOptions:
    topic: str
    bootstrap: str
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    reads_json: bool
    """True if each line is an object, and not a value."""
    progress: bool
    backend: Backend
    config: ClientConfig = NO_CONFIG


def add_send(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "send", "send each line of stdin as a record", help_texts.SEND)
    parser.add_argument("topic", metavar="TOPIC", type=values.topic, help="where to send")
    add_connection(parser)
    add_key_and_headers(parser, "the key of all records", "all records")
    parser.add_argument(
        "--json",
        dest="reads_json",
        action="store_true",
        help="each line is an object with value, key, headers and partition",
    )
    add_progress(parser)
    add_backend(parser)
    parser.set_defaults(make_options=partial(_send_options, parser))


def _send_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> SendOptions:
    return SendOptions(
        topic=given.topic,
        bootstrap=bootstrap_of(parser, given),
        key=given.key,
        headers=tuple(given.headers),
        reads_json=given.reads_json,
        progress=given.progress,
        backend=given.backend,
        config=given.config,
    )
