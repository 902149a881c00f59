"""The arguments of `sdml-kafka top`."""

import argparse
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from attrs import frozen

from sdml_kafka.cli import help as help_texts
from sdml_kafka.cli import values
from sdml_kafka.cli.options import add_command

INTERVAL_S = 1.0
PATH = "/status.json"


@frozen
class TopOptions:
    url: str
    """The address of the document."""
    interval_s: float = INTERVAL_S
    """Seconds between two looks."""
    once: bool = False
    """True to write one picture and end."""


def add_top(commands: Any) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "top", "show what a program is doing", help_texts.TOP)
    parser.add_argument(
        "url",
        metavar="URL",
        type=_url,
        help=f"where the program serves observability.app, with {PATH} or without",
    )
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=values.Seconds(0.1),
        default=INTERVAL_S,
        help=f"the time between two looks (default: {INTERVAL_S:g})",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="write one picture and end, as to what is no terminal",
    )
    parser.set_defaults(make_options=_top_options)


def _top_options(given: argparse.Namespace) -> TopOptions:
    return TopOptions(given.url, given.interval, given.once)


def _url(text: str) -> str:
    """Return the address of the document, whose scheme and path may be left out."""
    try:
        scheme, place, path, query, _ = urlsplit(text if "://" in text else f"http://{text}")
        has_host = bool(urlsplit(f"//{place}").hostname)
        urlsplit(f"//{place}").port  # noqa: B018  what is no port raises
    except ValueError:
        scheme = place = path = query = ""
        has_host = False
    if scheme not in ("http", "https") or not has_host or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not like http://localhost:8000/ops")
    if "@" in place:
        raise argparse.ArgumentTypeError("leave out the user and the password: neither is sent")
    if not path.endswith(PATH):
        path = path.rstrip("/") + PATH
    return urlunsplit((scheme, place, path, query, ""))
