"""The arguments of `sdml-kafka listen`."""

import argparse
from functools import partial
from typing import Any, Literal

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.client_config import NO_CONFIG, ClientConfig
from sdml_kafka.cli.options import (
    add_backend,
    add_command,
    add_connection,
    add_group,
    bootstrap_of,
)
from sdml_kafka.cli.terminal import Backend

Start = Literal["earliest", "latest"]


@frozen
class ListenOptions:
    topics: tuple[str, ...]
    bootstrap: str
    group: str
    start: Start
    maximum: int | None
    """How many records are written at most; None for no limit."""
    progress: bool
    backend: Backend
    config: ClientConfig = NO_CONFIG


def add_listen(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "listen", "write a topic's records as lines of JSON", help_texts.LISTEN
    )
    parser.add_argument(
        "topics", metavar="TOPIC", nargs="+", type=values.topic, help="what to read"
    )
    add_connection(parser)
    add_group(parser, "partitions")
    parser.add_argument(
        "--from",
        dest="start",
        choices=["earliest", "latest"],
        default="earliest",
        help="where a group that has committed nothing yet begins (default: earliest)",
    )
    parser.add_argument("--max", metavar="N", type=values.count, help="end after N records")
    parser.add_argument(
        "--progress",
        action="store_true",
        help="report the progress on stderr, even when that is not a terminal",
    )
    add_backend(parser)
    parser.set_defaults(make_options=partial(_listen_options, parser))


def _listen_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> ListenOptions:
    return ListenOptions(
        topics=tuple(given.topics),
        bootstrap=bootstrap_of(parser, given),
        group=given.group,
        start=given.start,
        maximum=given.max,
        progress=given.progress,
        backend=given.backend,
        config=given.config,
    )
