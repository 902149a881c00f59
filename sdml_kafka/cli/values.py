"""Checks and converts single arguments, as argparse's `type=` functions."""

import argparse
import os

MAX_PORT = 65535
MAX_DIGITS = 30
"""The digits of a number that is typed; Python refuses to read very long ones."""


def is_number(text: str) -> bool:
    """Return whether a text is a whole number that can be read, without a sign."""
    return text.isdecimal() and len(text) <= MAX_DIGITS


def bootstrap(text: str) -> str:
    """Return the addresses, HOST:PORT with commas between them, as they were typed."""
    for address in text.split(","):
        host, _, port = address.rpartition(":")
        if not host.strip() or not is_number(port) or not 0 < int(port) <= MAX_PORT:
            raise argparse.ArgumentTypeError(
                f"{address!r} is not HOST:PORT (several are separated by commas)"
            )
    return text


def kafka_version(text: str) -> str:
    """Return a version of Kafka that can be embedded."""
    # Imported late, because most commands do not start a Kafka.
    from sdml_kafka.testing.embedded.releases import known_versions

    if text not in (known := known_versions()):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be had here: give {' or '.join(known)}")
    return text


def topic(text: str) -> str:
    """Return the name of a topic."""
    # Imported late, because `--help` does not need what this import brings with it.
    from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_name

    if not is_topic_name(text):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be a topic: {TOPIC_RULE}")
    return text


MAX_NAME = 32_000
"""The bytes of a group's name; Kafka's protocol has room for 32,767, with what is put behind it."""


def name(text: str) -> str:
    """Return the name of a group."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a group needs a name")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # what was typed is no UTF-8
        size = MAX_NAME + 1
    if size > MAX_NAME:
        raise argparse.ArgumentTypeError(f"a group's name is UTF-8, of {MAX_NAME:,} bytes at most")
    return text


def count(text: str) -> int:
    """Return a whole number of 1 or more."""
    if not is_number(text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def whole_number(text: str) -> int:
    """Return a whole number of 0 or more."""
    if not is_number(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def offset(text: str) -> int | str:
    """Return an offset, or `earliest` or `latest`."""
    if text in ("earliest", "latest"):
        return text
    if not is_number(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not earliest, latest or a whole number of 0 or more"
        )
    return int(text)


def port(text: str) -> int:
    """Return the number of a port, or 0 for a free one."""
    if not is_number(text) or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a port: 1 to {MAX_PORT}, or 0 for a free one"
        )
    return int(text)


def raw(text: str) -> bytes:
    """Return the very bytes that were typed."""
    return os.fsencode(text)


def option(text: str) -> tuple[str, str]:
    """Return the name and the value of an option that was typed as NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name.strip() or not equals:
        raise argparse.ArgumentTypeError("an option is NAME=VALUE")  # the text may be a secret
    return name.strip(), value


def header(text: str) -> tuple[str, bytes]:
    """Return the name and the value of a header that was typed as NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"the name in {text!r} is not UTF-8") from None
    return name, raw(value)


class Seconds:
    """Converts text to a number of seconds that is finite and at least `least`."""

    def __init__(self, least: float) -> None:
        self._least = least

    def __call__(self, text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
        if not self._least <= seconds < float("inf"):
            raise argparse.ArgumentTypeError(
                f"{text!r}: at least {self._least:g} seconds are needed"
            )
        return seconds
