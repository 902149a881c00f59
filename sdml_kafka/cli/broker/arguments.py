"""The arguments of `sdml-kafka broker`."""

import argparse
from functools import partial
from typing import Any

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.options import add_command, add_kafka_version


@frozen
class BrokerOptions:
    nodes: int
    port: int
    """The port of the first node; 0 for free ports."""
    version: str | None = None
    """The version of Kafka; None for the default of the embedded Kafka."""


def add_broker(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "broker", "run a real Kafka to try things on", help_texts.BROKER)
    parser.add_argument(
        "--nodes",
        metavar="N",
        type=values.count,
        default=1,
        help="how many nodes the Kafka has (default: 1)",
    )
    parser.add_argument(
        "--port",
        metavar="PORT",
        type=values.port,
        default=9092,
        help="the port of the first node; the other nodes take the next ones; 0 takes free ones "
        "(default: 9092)",
    )
    add_kafka_version(parser)
    parser.set_defaults(make_options=partial(_broker_options, parser))


def _broker_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> BrokerOptions:
    last = given.port + given.nodes - 1
    if given.port and last > values.MAX_PORT:
        parser.error(f"--port {given.port}: the last of {given.nodes} nodes would have {last}")
    return BrokerOptions(given.nodes, given.port, given.kafka_version)
