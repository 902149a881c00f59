"""Parses the arguments of `sdml-kafka` into the frozen options of one command."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn, cast

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli.asyncapi.arguments import AsyncApiOptions, add_asyncapi
from sdml_kafka.cli.broker.arguments import BrokerOptions, add_broker
from sdml_kafka.cli.dead_letters.arguments import DeadLettersOptions, add_dead_letters
from sdml_kafka.cli.demo.arguments import DemoOptions, add_demo
from sdml_kafka.cli.doctor.arguments import DoctorOptions, add_doctor
from sdml_kafka.cli.listen.arguments import ListenOptions, add_listen
from sdml_kafka.cli.request.arguments import RequestOptions, add_request
from sdml_kafka.cli.send.arguments import SendOptions, add_send
from sdml_kafka.cli.serve.arguments import ServeOptions, add_serve
from sdml_kafka.cli.top.arguments import TopOptions, add_top

Options = (
    ListenOptions
    | AsyncApiOptions
    | DeadLettersOptions
    | DemoOptions
    | DoctorOptions
    | BrokerOptions
    | RequestOptions
    | SendOptions
    | ServeOptions
    | TopOptions
)


def parse_arguments(argv: Sequence[str] | None) -> Options:
    """Return the options of one command; wrong arguments end the program with exit code 2."""
    words, program = list(sys.argv[1:] if argv is None else argv), list[str]()
    if words[:1] == ["serve"] and "--" in words:
        # What follows belongs to the program that is run: argparse would look for options in it.
        at = words.index("--")
        words, program = words[:at], words[at + 1 :]
    given, rest = _parser().parse_known_args(words)
    if rest:
        _refuse(given.parser, words, rest)
    given.program = tuple(program)
    if hasattr(given, "read_config"):
        given.config = given.read_config(given)
    return cast(Options, given.make_options(given))


def _refuse(parser: argparse.ArgumentParser, words: list[str], rest: list[str]) -> NoReturn:
    """End the program because of words that mean nothing; say where a program for `serve` goes."""
    text = f"unrecognized arguments: {' '.join(rest)}"
    if words[0] == "serve" and not rest[0].startswith("-"):
        for word in reversed(rest):
            del words[len(words) - 1 - words[::-1].index(word)]
        right = shlex.join(["sdml-kafka", *words, "--", *rest])
        text += f"\nThe program goes to the end, behind --:\n  {right}"
    if words[0] == "dead-letters" and rest[0] in ("show", "replay"):
        text += f"\n{rest[0]} goes right behind the topic"
    parser.error(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sdml-kafka",
        description=help_texts.DESCRIPTION,
        epilog=help_texts.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"sdml-kafka {version('sdml-kafka-client')}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        add_demo,
        add_listen,
        add_send,
        add_request,
        add_serve,
        add_dead_letters,
        add_doctor,
        add_top,
        add_asyncapi,
        add_broker,
    ):
        add(commands)
    return parser
