"""The arguments of `sdml-kafka listen`."""

import argparse
from functools import partial
from typing import Any, Literal

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.options import (
    add_backend,
    add_command,
    add_connection,
    add_group,
    add_progress,
    bootstrap_of,
)
from sdml_kafka.cli.terminal import Backend
from sdml_kafka.client_config import NO_CONFIG, ClientConfig

Start = Literal["earliest", "latest"]
Offset = int | Start


@frozen
class ListenOptions:
    topics: tuple[str, ...]
    bootstrap: str
    group: str | None
    """The consumer group; None to read without one, from `offset` on."""
    start: Start
    maximum: int | None
    """The most records that are written; None for no limit."""
    progress: bool
    backend: Backend
    config: ClientConfig = NO_CONFIG
    offset: Offset = "earliest"
    """The place where reading without a group begins."""
    partitions: frozenset[int] = frozenset()
    """The partitions that are read without a group; empty for all."""
    exits_at_end: bool = False
    """True if the command ends when it has written what was there."""


def add_listen(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "listen", "write a topic's records as lines of JSON", help_texts.LISTEN
    )
    parser.add_argument(
        "topics", metavar="TOPIC", nargs="+", type=values.topic, help="what to read"
    )
    add_connection(parser)
    add_group(parser, "partitions", required=False)
    parser.add_argument(
        "--from",
        dest="start",
        choices=["earliest", "latest"],
        help="where a group that has committed nothing yet begins (default: earliest)",
    )
    parser.add_argument(
        "--offset",
        metavar="OFFSET",
        type=values.offset,
        help="instead of --group: begin at earliest, latest, or at this number in each --partition",
    )
    parser.add_argument(
        "--partition",
        metavar="N",
        dest="partitions",
        type=values.whole_number,
        action="append",
        default=[],
        help="instead of --group: read only this partition; can be given several times",
    )
    parser.add_argument(
        "--exit-at-end",
        action="store_true",
        help="end when all is written that was there when reading began",
    )
    parser.add_argument("--max", metavar="N", type=values.count, help="end after N records")
    add_progress(parser)
    add_backend(parser)
    parser.set_defaults(make_options=partial(_listen_options, parser))


def _listen_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> ListenOptions:
    _check_group(parser, given)
    start: Start = given.start or given.config.reset or "earliest"
    return ListenOptions(
        topics=tuple(given.topics),
        bootstrap=bootstrap_of(parser, given),
        group=given.group,
        start=start,
        maximum=given.max,
        progress=given.progress,
        backend=given.backend,
        config=given.config,
        offset=_offset(given, start),
        partitions=frozenset(given.partitions),
        exits_at_end=given.exit_at_end,
    )


def _check_group(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """End the program with exit code 2 if what is typed does not go together."""
    seeks = given.offset is not None or given.partitions
    if given.group is None and not seeks:
        parser.error(
            "give --group NAME, which remembers what was read; or read without a group, from "
            "--offset earliest or latest on"
        )
    if given.group is not None and seeks:
        name = "--partition" if given.partitions else "--offset"
        parser.error(
            f"{name} does not go with --group: a group shares out its partitions, and goes on "
            "where it was. Leave out --group; or leave the choice to the group, and begin a new "
            "one with --from"
        )
    if given.offset is not None and given.start is not None:
        parser.error("--from does not go with --offset, which says already where to begin")
    if isinstance(given.offset, int) and not given.partitions:
        parser.error(
            f"--offset {given.offset} needs --partition: each partition has offsets of its own"
        )


def _offset(given: argparse.Namespace, start: Start) -> Offset:
    """Return where reading begins without a group; the default where there is one."""
    if given.group is not None:
        return "earliest"
    offset: Offset = start if given.offset is None else given.offset
    return offset
