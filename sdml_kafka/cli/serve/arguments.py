"""The arguments of `sdml-kafka serve`."""

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
    add_group,
    bootstrap_of,
)
from sdml_kafka.cli.terminal import Backend
from sdml_kafka.client_config import NO_CONFIG, ClientConfig

MIN_RUN_S = 0.1


@frozen
class ServeOptions:
    topic: str
    bootstrap: str
    group: str
    concurrency: int
    """The number of programs that run at a time."""
    timeout_s: float
    """The seconds that one run of the program may take."""
    maximum: int | None
    """The most requests that are answered; None for no limit."""
    backend: Backend
    command: tuple[str, ...]
    """The program and its arguments."""
    config: ClientConfig = NO_CONFIG


def add_serve(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "serve", "answer calls with a program", help_texts.SERVE)
    parser.usage = (
        "sdml-kafka serve TOPIC [--bootstrap HOST:PORT] --group NAME [options] -- CMD [ARG ...]"
    )
    parser.add_argument("topic", metavar="TOPIC", type=values.topic, help="what to answer")
    add_connection(parser)
    add_group(parser, "requests")
    parser.add_argument(
        "--concurrency",
        metavar="N",
        type=values.count,
        default=10,
        help="how many programs run at a time (default: 10)",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=values.Seconds(MIN_RUN_S),
        default=60.0,
        help="seconds that a run may take; the call's own deadline may be earlier (default: 60)",
    )
    parser.add_argument("--max", metavar="N", type=values.count, help="end after N requests")
    add_backend(parser)
    parser.set_defaults(make_options=partial(_serve_options, parser))


def _serve_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> ServeOptions:
    if not given.program:
        parser.error("no program is given that answers; put it at the end: -- CMD [ARG ...]")
    return ServeOptions(
        topic=given.topic,
        bootstrap=bootstrap_of(parser, given),
        group=given.group,
        concurrency=given.concurrency,
        timeout_s=given.timeout,
        maximum=given.max,
        backend=given.backend,
        config=given.config,
        command=given.program,
    )
