"""The arguments of `sdml-kafka request`."""

import argparse
from functools import partial
from typing import Any, get_args

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.options import (
    add_backend,
    add_command,
    add_connection,
    add_key_and_headers,
    bootstrap_of,
)
from sdml_kafka.cli.terminal import Backend
from sdml_kafka.client_config import NO_CONFIG, ClientConfig
from sdml_kafka.rpc.dialects.messages import DialectName

MIN_TIMEOUT_S = 0.1


@frozen
class RequestOptions:
    topic: str
    value: bytes | None
    """The request; None if it is read from stdin."""
    bootstrap: str
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timeout_s: float
    server_group: str | None
    reply_topic: str | None
    streams: bool
    """True if the server may answer with several replies."""
    backend: Backend
    config: ClientConfig = NO_CONFIG
    dialect: DialectName = "native"


def add_request(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "request", "make a call, print its reply", help_texts.REQUEST)
    parser.add_argument("topic", metavar="TOPIC", type=values.topic, help="where to send")
    parser.add_argument("value", metavar="VALUE", help="the request; `-` sends what stdin holds")
    add_connection(parser)
    add_key_and_headers(parser, "the record's key", "the record")
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=values.Seconds(MIN_TIMEOUT_S),
        default=30.0,
        help="seconds for the whole call, connecting included (default: 30)",
    )
    parser.add_argument(
        "--server-group",
        metavar="G",
        type=values.name,
        help="end at once when no member of this consumer group is alive",
    )
    parser.add_argument(
        "--reply-topic",
        metavar="T",
        type=values.topic,
        help="the topic for the reply (default: a topic of its own, deleted afterwards)",
    )
    parser.add_argument(
        "--dialect",
        choices=get_args(DialectName),
        default="native",
        help="what the server speaks: our own, or that of Spring or NestJS (default: native)",
    )
    parser.add_argument(
        "--stream", action="store_true", help="take several replies, with a newline after each"
    )
    add_backend(parser)
    parser.set_defaults(make_options=partial(_request_options, parser))


def _request_options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> RequestOptions:
    return RequestOptions(
        topic=given.topic,
        value=None if given.value == "-" else values.raw(given.value),
        bootstrap=bootstrap_of(parser, given),
        key=given.key,
        headers=tuple(given.headers),
        timeout_s=given.timeout,
        server_group=given.server_group,
        reply_topic=given.reply_topic,
        streams=given.stream,
        backend=given.backend,
        config=given.config,
        dialect=given.dialect,
    )
