"""A finding: what a rule has found. Pure."""

from collections.abc import Iterator, Mapping
from enum import IntEnum

from attrs import frozen

from sdml_kafka.transport.interfaces.inspection import Address


class Severity(IntEnum):
    """The severity of a finding, the larger the worse."""

    NOTE = 0
    """Nothing is wrong; somebody with trouble wants to know it."""
    WARNING = 1
    """It works, and will not always."""
    ERROR = 2
    """Something does not work."""


@frozen
class Finding:
    """Something that was found, and what to change."""

    severity: Severity
    code: str
    """A name that does not change, for programs."""
    about: str
    """The thing that the finding is about: `broker 1`, `topic orders`, `group billing`."""
    found: str
    change: str


Findings = Iterator[Finding]

MAX_DIGITS = 19
"""The digits of Kafka's longest numbers; what has more comes from no broker."""

KAFKAS_ERRORS: Mapping[int, str] = {
    3: "there is no such topic or partition",
    5: "a partition has no leader at the moment",
    7: "the broker waited in vain for others",
    14: "the coordinator is loading what it needs",
    15: "there is no coordinator",
    16: "the broker is not the group's coordinator",
    17: "the name cannot be a topic",
    29: "this client may not see the topic",
    30: "this client may not see the group",
    31: "this client may not ask for that",
    35: "the broker is too old for this question",
    69: "there is no such group",
}


def reason_of(code: int) -> str:
    """Return an error of Kafka's in words, its number if it has none here."""
    return KAFKAS_ERRORS.get(code, f"Kafka's error {code}")


def place(address: Address) -> str:
    """Return an address as people write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def some(items: Iterator[str] | list[str] | tuple[str, ...], most: int = 5) -> str:
    """Return some of the items, and how many there are beside them."""
    listed = list(items)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def number_of(values: Mapping[str, str], name: str) -> int | None:
    """Return a setting that is a number, None if it is not known, or stands for no limit."""
    text = values.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def duration(milliseconds: float) -> str:
    """Return a duration in the largest unit of which it has two or more."""
    for unit, size in (("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000)):
        if milliseconds >= 2 * size:
            return f"{milliseconds / size:.3g} {unit}"
    return f"{milliseconds / 1000:.3g} s"


def error(code: str, about: str, found: str, change: str) -> Finding:
    return Finding(Severity.ERROR, code, about, found, change)


def warning(code: str, about: str, found: str, change: str) -> Finding:
    return Finding(Severity.WARNING, code, about, found, change)


def note(code: str, about: str, found: str, change: str) -> Finding:
    return Finding(Severity.NOTE, code, about, found, change)
