"""The arguments of `sdml-kafka demo`."""

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.options import add_backend, add_client, add_command, add_kafka_version
from sdml_kafka.cli.terminal import Backend

if TYPE_CHECKING:  # `--help` needs none of it
    from sdml_kafka.transport.client_choice import Client

MIN_DEMO_S = 8.0


@frozen
class DemoOptions:
    bootstrap: str | None
    """The address of a Kafka that is there already; None if the demo starts its own."""
    seconds: float
    """The seconds for which records are sent."""
    backend: Backend
    version: str | None = None
    """The version of the Kafka that the demo starts; None for the default."""
    client: "Client" = "aiokafka"


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
    add_kafka_version(parser)
    add_client(parser)
    add_backend(parser)
    parser.set_defaults(make_options=partial(_demo_options, parser))


def _demo_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> DemoOptions:
    if given.bootstrap is not None and given.kafka_version is not None:
        parser.error(
            "--kafka-version is that of a Kafka that the demo starts: leave --bootstrap out"
        )
    where = given.bootstrap, given.seconds, given.backend, given.kafka_version
    return DemoOptions(*where, given.client)
