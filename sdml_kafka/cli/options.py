"""Options that several commands have, and how a command is added to the parser."""

import argparse
from typing import Any

from sdml_kafka.cli import values


def add_command(commands: Any, name: str, summary: str, text: str) -> argparse.ArgumentParser:
    """Add a command and return its parser.

    Args:
        commands: What argparse's `add_subparsers` returned.
        name: The word that is typed.
        summary: What the list of commands says about it.
        text: The command's own help; what follows `---` is shown below the options.
    """
    description, _, epilog = text.partition("---\n")
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_bootstrap(parser: argparse.ArgumentParser) -> None:
    """Add the required `--bootstrap`."""
    parser.add_argument(
        "--bootstrap",
        metavar="HOST:PORT",
        type=values.bootstrap,
        required=True,
        help="the Kafka to connect to; several addresses are separated by commas",
    )


def add_group(parser: argparse.ArgumentParser, shared: str) -> None:
    """Add the required `--group`; `shared` names what the members of the group share."""
    parser.add_argument(
        "--group",
        metavar="NAME",
        type=values.name,
        required=True,
        help=f"the consumer group; its members share the {shared}",
    )


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Add `--backend`."""
    parser.add_argument(
        "--backend",
        choices=["asyncio", "trio"],
        default="asyncio",
        help="the event loop to run on (default: asyncio)",
    )
