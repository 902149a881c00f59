"""The arguments of `sdml-kafka demo`."""

import argparse
from typing import Any

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.options import add_backend, add_command
from sdml_kafka.cli.terminal import Backend

MIN_DEMO_S = 8.0


@frozen
class DemoOptions:
    bootstrap: str | None
    """The address of a Kafka that is there already; None if the demo starts its own."""
    seconds: float
    """How long records are sent."""
    backend: Backend


def add_demo(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "demo", "see it work, and recover", help_texts.DEMO)
    parser.add_argument(
        "--bootstrap",
        metavar="HOST:PORT",
        type=values.bootstrap,
        help="a Kafka that is there already (default: start one, whatever the environment says)",
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=values.Seconds(MIN_DEMO_S),
        default=20.0,
        help=f"how long records are sent, at least {MIN_DEMO_S:g} (default: 20)",
    )
    add_backend(parser)
    parser.set_defaults(make_options=_demo_options)


def _demo_options(given: argparse.Namespace) -> DemoOptions:
    return DemoOptions(given.bootstrap, given.seconds, given.backend)
