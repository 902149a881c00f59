"""What can be typed, and what it means: arguments in, frozen options out."""

import argparse
import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Literal, cast

from attrs import frozen

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


_DESCRIPTION = """\
Kafka for structured concurrency: supervised actors on anyio.
Commands to see it work, to read topics, and to have a Kafka to try things on.
"""

_EXAMPLES = """\
examples:
  sdml-kafka demo                          a broker, two listeners, and some mishaps
  sdml-kafka broker --port 9092            a real Kafka, until Ctrl-C
  sdml-kafka listen orders --bootstrap localhost:9092 --group me
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sdml-kafka",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
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
    """The text is a description, and below the options whatever follows `---`."""
    description, _, epilog = text.partition("---\n")
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


_DEMO = """\
Real records through supervised actors on a real Kafka, while things go wrong: a listener
leaves its group and comes back, an actor crashes, the broker is restarted. At the end the
books: every record that was sent was finished, none was lost, and why any came twice.
---
examples:
  sdml-kafka demo                          about half a minute, brings its own Kafka
  sdml-kafka demo --backend trio
  sdml-kafka demo --bootstrap localhost:9092     on a topic of its own, deleted at the end;
                                           that broker is not restarted
  sdml-kafka demo | cat                    plain lines

exit codes:
  0    the books balance
  1    they do not, or something failed under way
  2    wrong arguments, no broker, or something is not installed
  130  Ctrl-C
"""


def _add_demo(commands: Any) -> None:
    parser = _add_command(commands, "demo", "see it work, and recover", _DEMO)
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


_LISTEN = """\
Write the records of topics to stdout, one JSON object a line:
  {"topic": ..., "partition": ..., "offset": ..., "timestamp": ..., "key": ..., "value": ...,
   "headers": [[name, value], ...]}
`timestamp` is in milliseconds since 1970. A key, a value or a header's value is a string when
its bytes are UTF-8 (JSON inside stays a string: parse it again), {"base64": "..."} when they
are not, and null when there is none. All else than ASCII is escaped, so that nothing from the
wire acts on a terminal.

A record is committed for the group only after its line was written. Ctrl-C, SIGTERM and a
closed pipe commit what was written and leave; what a pipe had taken counts as written.
---
examples:
  sdml-kafka listen orders --bootstrap localhost:9092 --group me
  sdml-kafka listen orders --bootstrap localhost:9092 --group me | jq -r .value
  sdml-kafka listen orders bills --bootstrap localhost:9092 --group try --max 10

exit codes:
  0  ended by --max, Ctrl-C, SIGTERM or a closed pipe
  1  failed under way
  2  could not begin: wrong arguments, no broker there, refused
"""


def _add_listen(commands: Any) -> None:
    parser = _add_command(commands, "listen", "write a topic's records as lines of JSON", _LISTEN)
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


_BROKER = """\
Run a real Apache Kafka on 127.0.0.1 until Ctrl-C, and remove its data then. No Java and no
container needed; the first start on a machine downloads it.
---
examples:
  sdml-kafka broker
  sdml-kafka broker --nodes 3 --port 9092

exit codes: 0 after Ctrl-C or SIGTERM; 1 failed; 2 wrong arguments
"""


def _add_broker(commands: Any) -> None:
    parser = _add_command(commands, "broker", "a real Kafka to try things on", _BROKER)
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
