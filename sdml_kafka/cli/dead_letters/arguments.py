"""The arguments of `sdml-kafka dead-letters`."""

import argparse
from datetime import datetime
from functools import partial
from typing import Any, Literal

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.options import (
    add_backend,
    add_command,
    add_connection,
    add_progress,
    bootstrap_of,
)
from sdml_kafka.cli.terminal import Backend
from sdml_kafka.client_config import NO_CONFIG, ClientConfig

Action = Literal["list", "show", "replay", "replay one"]


@frozen
class DeadLettersOptions:
    topic: str
    """The topic of the dead letters."""
    action: Action
    bootstrap: str
    place: tuple[int, int] = (0, 0)
    """The partition and the offset of the dead letter that is shown, or sent by itself."""
    partitions: frozenset[int] = frozenset()
    from_topics: frozenset[str] = frozenset()
    exceptions: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    to: str | None = None
    """The topic to send to; None for where each one came from."""
    same_partition: bool = False
    new_time: bool = False
    """True if records get the time of sending, and not the time that they had."""
    dry_run: bool = False
    progress: bool = False
    backend: Backend = "asyncio"
    config: ClientConfig = NO_CONFIG


def add_dead_letters(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "dead-letters", "list dead letters, or send them anew", help_texts.DEAD_LETTERS
    )
    parser.usage = (
        "sdml-kafka dead-letters TOPIC [show PARTITION OFFSET | replay [PARTITION OFFSET]] "
        "[--bootstrap HOST:PORT] [options]"
    )
    parser.add_argument("topic", metavar="TOPIC", type=values.topic, help="the dead letters")
    parser.add_argument(
        "action",
        metavar="ACTION",
        nargs="*",
        help="`show PARTITION OFFSET`, `replay`, or `replay PARTITION OFFSET` for one; without it "
        "the dead letters are listed",
    )
    add_connection(parser)
    _add_filters(parser)
    replay = parser.add_argument_group("options of replay")
    replay.add_argument(
        "--dry-run", action="store_true", help="list what would be sent, and send nothing"
    )
    replay.add_argument(
        "--to", metavar="T", type=_target, help="send to this topic, wherever they came from"
    )
    replay.add_argument(
        "--same-partition",
        action="store_true",
        help="send each to the partition it came from; else its key decides",
    )
    replay.add_argument(
        "--new-time",
        action="store_true",
        help="give records the time of now, for topics that delete what is as old as they are",
    )
    add_progress(parser)
    add_backend(parser)
    parser.set_defaults(make_options=partial(_dead_letters_options, parser))


def _add_filters(parser: argparse.ArgumentParser) -> None:
    filters = parser.add_argument_group(
        "filters",
        "of the list and of replay; all have to fit, each of the first three can be "
        "given several times",
    )
    filters.add_argument(
        "--from-topic",
        metavar="T",
        dest="from_topics",
        type=values.topic,
        action="append",
        default=[],
        help="only records that came from this topic",
    )
    filters.add_argument(
        "--exception",
        metavar="NAME",
        dest="exceptions",
        action="append",
        default=[],
        help="only records with this exception or cause: module.Class, or Class alone",
    )
    filters.add_argument(
        "--partition",
        metavar="N",
        dest="partitions",
        type=values.whole_number,
        action="append",
        default=[],
        help="only this partition of the dead letters",
    )
    when = "a date or a time such as 2026-11-29T07:00 (local, unless it ends in Z or +01:00)"
    filters.add_argument(
        "--since", metavar="TIME", type=_time_ms, help=f"only what was written from then on: {when}"
    )
    filters.add_argument(
        "--until", metavar="TIME", type=_time_ms, help="only what was written before then"
    )


def _time_ms(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time, such as 2026-11-29 or 2026-11-29T07:00:00Z"
        ) from None


def _target(text: str) -> str:
    topic = values.topic(text)
    if topic.startswith("__"):
        raise argparse.ArgumentTypeError(f"{topic!r} is a topic of Kafka's own")
    return topic


def _dead_letters_options(
    parser: argparse.ArgumentParser, given: argparse.Namespace
) -> DeadLettersOptions:
    action, place = _action(parser, given.action)
    _check_action(parser, given, action)
    return DeadLettersOptions(
        topic=given.topic,
        action=action,
        bootstrap=bootstrap_of(parser, given),
        place=place,
        partitions=frozenset(given.partitions),
        from_topics=frozenset(given.from_topics),
        exceptions=frozenset(given.exceptions),
        since_ms=given.since,
        until_ms=given.until,
        to=given.to,
        same_partition=given.same_partition,
        new_time=given.new_time,
        dry_run=given.dry_run,
        progress=given.progress,
        backend=given.backend,
        config=given.config,
    )


def _action(parser: argparse.ArgumentParser, words: list[str]) -> tuple[Action, tuple[int, int]]:
    names_one = len(words) == 3 and all(map(values.is_number, words[1:]))
    if words not in ([], ["replay"]) and not (names_one and words[0] in ("show", "replay")):
        parser.error(
            f"{' '.join(words)!r} is neither `show PARTITION OFFSET` or `replay PARTITION OFFSET`, "
            "with two whole numbers, nor `replay`"
        )
    if names_one:
        return "show" if words[0] == "show" else "replay one", (int(words[1]), int(words[2]))
    return "replay" if words else "list", (0, 0)


def _check_action(
    parser: argparse.ArgumentParser, given: argparse.Namespace, action: Action
) -> None:
    """End the program with exit code 2 if what is typed does not go together."""
    filters = ("from_topics", "exceptions", "partitions", "since", "until")
    only_replay = ("to", "same_partition", "new_time", "dry_run", "progress")
    names_one = action in ("show", "replay one")
    wrong = (*filters, *only_replay) if names_one else only_replay
    if action != "replay" and any(getattr(given, name) for name in wrong):
        parser.error(
            "show, and the replay of one, take no filters, and nothing of what replay takes"
            if names_one
            else "--to, --same-partition, --new-time, --dry-run and --progress are for replay alone"
        )
    if given.to == given.topic:
        parser.error("--to is the topic of the dead letters itself")
