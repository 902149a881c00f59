"""The arguments of `sdml-kafka broker`."""

import argparse
from typing import Any

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.options import add_command


@frozen
class BrokerOptions:
    nodes: int
    port: int
    """The port of the first node."""


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
        help="the port of the first node; the other nodes take the next ones (default: 9092)",
    )
    parser.set_defaults(make_options=_broker_options)


def _broker_options(given: argparse.Namespace) -> BrokerOptions:
    return BrokerOptions(given.nodes, given.port)
