"""Names of partitions, offsets, topics and brokers for people, in one bounded line."""

from collections.abc import Collection, Iterable
from itertools import groupby, islice

from sdml_kafka.transport.interfaces.records import TopicPartition

MAX_NAMES = 10


def partitions(keys: Collection[TopicPartition]) -> str:
    """Return such as `'orders' 0-3, 7, 'items' 0`, or `none`."""
    ordered = sorted(keys)
    parts = [
        f"{topic!r} {', '.join(_runs([key.partition for key in group]))}"
        for topic, group in groupby(ordered[:1000], lambda key: key.topic)
    ]
    return _bounded(parts, len(parts)) if parts else "none"


def offsets(keys: Collection[tuple[TopicPartition, int]]) -> str:
    """Return such as `'orders' partition 0 offset 17`."""
    names = (f"{at.topic!r} partition {at.partition} offset {to}" for at, to in sorted(keys))
    return _bounded(names, len(keys))


def topics(names: Collection[str]) -> str:
    """Return such as `'items', 'orders'`."""
    return _bounded(map(repr, sorted(names)), len(names))


def brokers(names: Collection[str]) -> str:
    """Return such as `1, 2`."""
    return _bounded(sorted(names), len(names))


def _bounded(names: Iterable[str], count: int) -> str:
    more = f" and {count - MAX_NAMES} more" if count > MAX_NAMES else ""
    return ", ".join(islice(names, MAX_NAMES)) + more


def _runs(numbers: list[int]) -> list[str]:
    """Return ascending numbers as runs, such as `0-3`; a long list is cut."""
    runs: list[str] = []
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    more = len(runs) - MAX_NAMES
    return runs if more <= 0 else [*runs[:MAX_NAMES], f"and {more} more"]
