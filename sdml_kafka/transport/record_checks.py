"""Check what a record and a topic's name have to be before any client takes them. Pure.

Both the drivers and the broker in memory raise the errors that are made here.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import cast

from sdml_kafka.errors import ConfigurationError, TopicMissing
from sdml_kafka.transport.interfaces.producer import Message

Bytes = bytes | bytearray | memoryview | None
TOPIC_RULE = (
    "a topic's name is 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-', and neither "
    "'.' nor '..'"
)
MAX_TIME = 1 << 63
"""The milliseconds from which on a time is too large for a record."""
MAX_COMPARED = 10_000
"""The number of topics that a misspelt name is compared with."""
MIN_LIKENESS = 0.75
"""How much of two names is alike, from 0 to 1, if one may be meant by the other."""
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def is_topic_name(topic: object) -> bool:
    """Return whether Kafka accepts `topic` as a topic's name."""
    return (
        isinstance(topic, str) and _TOPIC.fullmatch(topic) is not None and topic not in (".", "..")
    )


def is_topic_of_calls(topic: object) -> bool:
    """Return whether requests or replies may travel in `topic`, which Kafka's own may not."""
    return is_topic_name(topic) and not str(topic).startswith("__")


def nearest_topics(missing: Collection[str], existing: Collection[str]) -> Mapping[str, str]:
    """Return for each missing topic the existing one with the most similar name, if one is near."""
    if len(existing) > MAX_COMPARED:
        return {}  # so many comparisons would hold up the event loop
    names = [topic for topic in existing if not topic.startswith("__")]
    near = {topic: get_close_matches(topic, names, n=1, cutoff=MIN_LIKENESS) for topic in missing}
    return {topic: found[0] for topic, found in near.items() if found}


def fault_of(message: Message) -> ConfigurationError | None:
    """Return the error of a record that no broker could take, None for one that may be sent."""
    if not is_topic_name(message.topic):
        return ConfigurationError(f"{message.topic!r:.300} cannot be a topic: {TOPIC_RULE}.")
    partition = message.partition
    if partition is not None and (type(partition) is not int or partition < 0):
        return ConfigurationError(f"A partition is a number from 0 on, not {partition!r:.300}.")
    if not _is_bytes(message):
        return not_bytes(message.topic)
    at_ms = cast(object, message.timestamp_ms)
    if at_ms is not None and not (isinstance(at_ms, int) and -MAX_TIME <= at_ms < MAX_TIME):
        return ConfigurationError(
            f"A record's time is a whole number of milliseconds of 64 bits, not {at_ms!r:.300}."
        )
    return None


def check_timestamp_ms(timestamp_ms: object) -> None:
    """Raise a ConfigurationError unless this can be a record's time."""
    if type(timestamp_ms) is not int or not 0 <= timestamp_ms < 1 << 63:
        raise ConfigurationError(
            "timestamp_ms is a whole number of milliseconds since the epoch, such as "
            f"int(time.time() * 1000), not {timestamp_ms!r:.300}"
        )


def _is_bytes(message: Message) -> bool:
    try:
        headers: list[tuple[object, object]] = [(name, value) for name, value in message.headers]
        for name, _ in headers:
            str.encode(name)  # type: ignore[arg-type]  # it may be anything
    except (TypeError, ValueError):
        return False
    values: list[object] = [message.key, message.value, *(value for _, value in headers)]
    return all(isinstance(value, Bytes) for value in values)


def not_bytes(topic: str, why: str = "") -> ConfigurationError:
    """Return the error of a record that is not made of bytes; `why` is added to its text."""
    return ConfigurationError(
        f"The record for {topic!r} cannot be sent: key and value are bytes or None, and headers "
        f"are pairs of a str and bytes, [('name', b'value')]{why}."
    )


def no_such_topic(topic: str, *, may_create: bool = True) -> TopicMissing:
    """Return the error of a record for a missing topic.

    `may_create` says whether the sender lets a broker create topics; the advice depends on it.
    """
    if not may_create:
        return TopicMissing(
            f"The topic {topic!r} does not exist: whoever reads it has to create it."
        )
    return TopicMissing(
        f"The topic {topic!r} does not exist, and the broker does not create topics by itself: "
        "create it, check its name, or set auto.create.topics.enable on the broker."
    )


def no_such_partition(topic: str, partition: int, count: int) -> ConfigurationError:
    """Return the error of a record for a partition beyond the `count` that the topic has."""
    return ConfigurationError(
        f"The topic {topic!r} has the partitions 0 to {count - 1}, so there is no {partition}."
    )
