"""What can be typed, and what it means: arguments in, frozen options out."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, Literal, cast

from attrs import frozen

from sdml_kafka.cli import help as _help
from sdml_kafka.cli import values as _values
from sdml_kafka.cli.terminal import Backend

MIN_DEMO_S = 8.0
MIN_TIMEOUT_S = 0.1
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


@frozen
class RequestOptions:
    topic: str
    value: bytes | None
    """None: what stdin holds."""
    bootstrap: str
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timeout_s: float
    server_group: str | None
    reply_topic: str | None
    streams: bool
    backend: Backend


@frozen
class ServeOptions:
    topic: str
    bootstrap: str
    group: str
    concurrency: int
    timeout_s: float
    maximum: int | None
    backend: Backend
    command: tuple[str, ...]


Options = ListenOptions | DemoOptions | BrokerOptions | RequestOptions | ServeOptions


def parse_arguments(argv: Sequence[str] | None) -> Options:
    """The options of one subcommand. Wrong ones end the program with exit code 2."""
    words, program = list(sys.argv[1:] if argv is None else argv), list[str]()
    if words[:1] == ["serve"] and "--" in words:
        # All that follows is the program's own: argparse would look for options in it.
        at = words.index("--")
        words, program = words[:at], words[at + 1 :]
    given = _parser().parse_args(words)
    given.program = tuple(program)
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
    _add_request(commands)
    _add_serve(commands)
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
        type=_values.bootstrap,
        help="a Kafka that is there already (default: bring one up)",
    )
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=_values.Seconds(MIN_DEMO_S),
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
    parser.add_argument("topics", metavar="TOPIC", nargs="+", type=_values.topic)
    _add_bootstrap(parser)
    _add_group(parser, "partitions")
    parser.add_argument(
        "--from",
        dest="start",
        choices=["earliest", "latest"],
        default="earliest",
        help="where a group that has committed nothing yet begins (default: earliest)",
    )
    parser.add_argument("--max", metavar="N", type=_values.count, help="end after so many records")
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


def _add_request(commands: Any) -> None:
    parser = _add_command(commands, "request", "make a call, print its reply", _help.REQUEST)
    parser.add_argument("topic", metavar="TOPIC", type=_values.topic)
    parser.add_argument("value", metavar="VALUE", help="the request; -: what stdin holds")
    _add_bootstrap(parser)
    parser.add_argument("--key", metavar="K", type=_values.raw, help="of the record")
    parser.add_argument(
        "--header",
        metavar="NAME=VALUE",
        dest="headers",
        type=_values.header,
        action="append",
        default=[],
        help="can be given several times",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=_values.Seconds(MIN_TIMEOUT_S),
        default=30.0,
        help="seconds for all of it, connecting included (default: 30)",
    )
    parser.add_argument(
        "--server-group",
        metavar="G",
        type=_values.name,
        help="end at once when no member of this consumer group is alive",
    )
    parser.add_argument(
        "--reply-topic",
        metavar="T",
        type=_values.topic,
        help="where to reply (default: a topic of its own, deleted afterwards)",
    )
    parser.add_argument(
        "--stream", action="store_true", help="several replies, a newline after each"
    )
    _add_backend(parser)
    parser.set_defaults(make_options=_request_options)


def _request_options(given: argparse.Namespace) -> RequestOptions:
    return RequestOptions(
        topic=given.topic,
        value=None if given.value == "-" else _values.raw(given.value),
        bootstrap=given.bootstrap,
        key=given.key,
        headers=tuple(given.headers),
        timeout_s=given.timeout,
        server_group=given.server_group,
        reply_topic=given.reply_topic,
        streams=given.stream,
        backend=given.backend,
    )


def _add_serve(commands: Any) -> None:
    parser = _add_command(commands, "serve", "answer calls with a program", _help.SERVE)
    parser.usage = (
        "sdml-kafka serve TOPIC --bootstrap HOST:PORT --group NAME [options] -- CMD [ARG ...]"
    )
    parser.add_argument("topic", metavar="TOPIC", type=_values.topic)
    _add_bootstrap(parser)
    _add_group(parser, "requests")
    parser.add_argument(
        "--concurrency",
        metavar="N",
        type=_values.count,
        default=10,
        help="how many programs run at a time (default: 10)",
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=_values.Seconds(MIN_TIMEOUT_S),
        default=60.0,
        help="seconds that a run may take; the call's own deadline may be shorter (default: 60)",
    )
    parser.add_argument("--max", metavar="N", type=_values.count, help="end after so many requests")
    _add_backend(parser)
    parser.set_defaults(make_options=partial(_serve_options, parser))


def _serve_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> ServeOptions:
    if not given.program:
        parser.error("which program shall answer? Put it at the end: -- CMD [ARG ...]")
    return ServeOptions(
        topic=given.topic,
        bootstrap=given.bootstrap,
        group=given.group,
        concurrency=given.concurrency,
        timeout_s=given.timeout,
        maximum=given.max,
        backend=given.backend,
        command=given.program,
    )


def _add_broker(commands: Any) -> None:
    parser = _add_command(commands, "broker", "a real Kafka to try things on", _help.BROKER)
    parser.add_argument("--nodes", metavar="N", type=_values.count, default=1, help="default: 1")
    parser.add_argument(
        "--port",
        metavar="PORT",
        type=_values.port,
        default=9092,
        help="of the first node, the others follow (default: 9092)",
    )
    parser.set_defaults(make_options=_broker_options)


def _broker_options(given: argparse.Namespace) -> BrokerOptions:
    return BrokerOptions(given.nodes, given.port)


def _add_bootstrap(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bootstrap", metavar="HOST:PORT", type=_values.bootstrap, required=True)


def _add_group(parser: argparse.ArgumentParser, shared: str) -> None:
    parser.add_argument(
        "--group",
        metavar="NAME",
        type=_values.name,
        required=True,
        help=f"the consumer group; its members share the {shared}",
    )


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=["asyncio", "trio"], default="asyncio", help="default: asyncio"
    )
