"""The arguments of `sdml-kafka asyncapi`."""

import argparse
from typing import Any

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli.options import add_command


@frozen
class AsyncApiOptions:
    program: str
    """The module, and what to take of it: `module` or `module:name`."""
    title: str | None
    version: str
    description: str
    writes_yaml: bool
    output: str | None
    """The file to write; None for stdout."""


def add_asyncapi(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(
        commands, "asyncapi", "write the AsyncAPI document of a program", help_texts.ASYNCAPI
    )
    parser.add_argument(
        "described", metavar="MODULE[:NAME]", help="the program's objects, such as service:listener"
    )
    parser.add_argument("--title", metavar="TEXT", help="the program's name (default: MODULE)")
    parser.add_argument(
        "--api-version", metavar="TEXT", default="1.0.0", help="its version (default: 1.0.0)"
    )
    parser.add_argument("--description", metavar="TEXT", default="", help="what it is for")
    parser.add_argument("--yaml", action="store_true", help="write YAML instead of JSON")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the file to write (default: stdout)"
    )
    parser.set_defaults(make_options=_asyncapi_options)


def _asyncapi_options(given: argparse.Namespace) -> AsyncApiOptions:
    texts = given.described, given.title, given.api_version, given.description
    return AsyncApiOptions(*texts, given.yaml, given.output)
