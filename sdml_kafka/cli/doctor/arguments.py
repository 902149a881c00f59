"""The arguments of `sdml-kafka doctor`."""

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

TIMEOUT_S = 5.0
WATCH_S = 6.0
"""Seconds between two looks: a listener commits every 5 s by default."""


@frozen
class DoctorOptions:
    topics: tuple[str, ...]
    """The topics to look at, beside those of the group."""
    bootstrap: str
    group: str | None
    writes_json: bool = False
    timeout_s: float = TIMEOUT_S
    """Seconds within which a broker has to answer."""
    watch_s: float = WATCH_S
    """Seconds between two looks at a group that has something to read; 0 for one look."""
    backend: Backend = "asyncio"
    config: ClientConfig = NO_CONFIG


def add_doctor(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "doctor", "say what is wrong with a Kafka, topics or a group", help_texts.DOCTOR
    )
    parser.add_argument(
        "topics", metavar="TOPIC", nargs="*", type=values.topic, help="the topics to look at"
    )
    add_connection(parser)
    add_group(parser, "partitions", required=False)
    parser.add_argument("--json", action="store_true", help="write one JSON object, for programs")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=values.Seconds(0.1),
        default=TIMEOUT_S,
        help=f"how long a broker may take to answer (default: {TIMEOUT_S:g})",
    )
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        type=values.Seconds(0.0),
        default=WATCH_S,
        help="the time between two looks at a group with lag, to see whether it moves; 0 for one "
        f"look (default: {WATCH_S:g})",
    )
    add_backend(parser)
    parser.set_defaults(make_options=partial(_doctor_options, parser))


def _doctor_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> DoctorOptions:
    if given.client != "aiokafka":
        parser.error("doctor works over aiokafka alone: leave --client out")
    return DoctorOptions(
        topics=tuple(dict.fromkeys(given.topics)),
        bootstrap=bootstrap_of(parser, given),
        group=given.group,
        writes_json=given.json,
        timeout_s=given.timeout,
        watch_s=given.watch,
        backend=given.backend,
        config=given.config,
    )
