"""What can be typed, and what it means: arguments in, frozen options out."""

import argparse
import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal, cast

from attrs import frozen

from sdml_kafka.cli import _help
from sdml_kafka.cli._terminal import Backend

MIN_DEMO_S = 8.0
Start = Literal["earliest", "latest"]


@frozen
class ListenOptions:
    topics: tuple[str, ...]
    bootstrap: str
    group: str
    start: Start
    maximum: int | None
    progress: bool
    backend: Backend


@frozen
class DemoOptions:
    bootstrap: str | None
    seconds: float
    backend: Backend


@frozen
class BrokerOptions:
    nodes: int
    port: int


Options = ListenOptions | DemoOptions | BrokerOptions


def parse_arguments(argv: Sequence[str] | None) -> Options:
    """The options of one subcommand. Wrong ones end the program with exit code 2."""
    given = _parser().parse_args(argv)
    return cast(Options, given.make_options(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sdml-kafka",
        description=_help.DESCRIPTION,
        epilog=_help.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"sdml-kafka {version('sdml-kafka-client')}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_listen(commands)
    _add_broker(commands)
    return parser


def _add_command(commands: Any, name: str, summary: str, text: str) -> argparse.ArgumentParser:
    description, _, epilog = text.partition("---\n")
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _add_demo(commands: Any) -> None:
    parser = _add_command(commands, "demo", "see it work, and recover", _help.DEMO)
    parser.add_argument(
        "--bootstrap",
        metavar="HOST:PORT",
        type=_bootstrap,
        help="a Kafka that is there already (default: bring one up)",
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=_seconds,
        default=20.0,
        help=f"how long records are sent, at least {MIN_DEMO_S:g} (default: 20)",
    )
    _add_backend(parser)
    parser.set_defaults(make_options=_demo_options)


def _demo_options(given: argparse.Namespace) -> DemoOptions:
    return DemoOptions(given.bootstrap, given.seconds, given.backend)


def _add_listen(commands: Any) -> None:
    parser = _add_command(
        commands, "listen", "write a topic's records as lines of JSON", _help.LISTEN
    )
    parser.add_argument("topics", metavar="TOPIC", nargs="+", type=_topic)
    parser.add_argument("--bootstrap", metavar="HOST:PORT", type=_bootstrap, required=True)
    parser.add_argument(
        "--group",
        metavar="NAME",
        type=_name,
        required=True,
        help="the consumer group; its members share the partitions",
    )
    parser.add_argument(
        "--from",
        dest="start",
        choices=["earliest", "latest"],
        default="earliest",
        help="where a group that has committed nothing yet begins (default: earliest)",
    )
    parser.add_argument("--max", metavar="N", type=_count, help="end after so many records")
    parser.add_argument(
        "--progress",
        action="store_true",
        help="say on stderr how it goes, also when that is not a terminal",
    )
    _add_backend(parser)
    parser.set_defaults(make_options=_listen_options)


def _listen_options(given: argparse.Namespace) -> ListenOptions:
    return ListenOptions(
        topics=tuple(given.topics),
        bootstrap=given.bootstrap,
        group=given.group,
        start=given.start,
        maximum=given.max,
        progress=given.progress,
        backend=given.backend,
    )


def _add_broker(commands: Any) -> None:
    parser = _add_command(commands, "broker", "a real Kafka to try things on", _help.BROKER)
    parser.add_argument("--nodes", metavar="N", type=_count, default=1, help="default: 1")
    parser.add_argument(
        "--port",
        metavar="PORT",
        type=_port,
        default=9092,
        help="of the first node, the others follow (default: 9092)",
    )
    parser.set_defaults(make_options=_broker_options)


def _broker_options(given: argparse.Namespace) -> BrokerOptions:
    return BrokerOptions(given.nodes, given.port)


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=["asyncio", "trio"], default="asyncio", help="default: asyncio"
    )


def _bootstrap(text: str) -> str:
    for address in text.split(","):
        host, _, port = address.rpartition(":")
        if not host.strip() or not port.isdecimal() or not 0 < int(port) < 65536:
            raise argparse.ArgumentTypeError(
                f"{address!r} is not HOST:PORT (several are separated by commas)"
            )
    return text


def _topic(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text) or text in (".", ".."):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be a topic: 1 to 249 letters, digits, '.', '_' and '-'"
        )
    return text


def _name(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a group needs a name")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not MIN_DEMO_S <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: at least {MIN_DEMO_S:g} seconds are needed")
    return seconds
