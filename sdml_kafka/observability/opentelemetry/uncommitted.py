"""Contexts of records that were delivered and are not committed, for the links of commits."""

from collections import deque
from collections.abc import Iterable, Mapping

from opentelemetry.trace import SpanContext

from sdml_kafka.hooks.events import Origin
from sdml_kafka.observability.opentelemetry.spans import MAX_LINKS
from sdml_kafka.transport.interfaces.records import TopicPartition

MAX_KEPT = MAX_LINKS
"""The most contexts of a partition, the latest ones."""


class Uncommitted:
    """Keeps the contexts that the spans of deliveries have links to, until a commit has them.

    They were read for those links already, so that they cost nothing for each record.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Origin, TopicPartition], deque[tuple[int, SpanContext]]] = {}

    def keep(
        self, origin: Origin, partition: TopicPartition, contexts: list[tuple[int, SpanContext]]
    ) -> None:
        """Keep the contexts of records of a partition, each with its record's offset."""
        if contexts:
            of_partition = self._kept.setdefault((origin, partition), deque(maxlen=MAX_KEPT))
            of_partition.extend(contexts)

    def take(self, origin: Origin, offsets: Mapping[TopicPartition, int]) -> list[SpanContext]:
        """Return the contexts of records before these offsets, which are not kept any more."""
        taken: list[SpanContext] = []
        for partition, offset in offsets.items():
            key = origin, partition
            kept = self._kept.get(key)
            if kept is None:
                continue
            while kept and kept[0][0] < offset:
                taken.append(kept.popleft()[1])
            if not kept:
                del self._kept[key]
        return taken[:MAX_LINKS]

    def forget(self, origin: Origin, partitions: Iterable[TopicPartition]) -> None:
        """Keep nothing of these partitions."""
        for partition in partitions:
            self._kept.pop((origin, partition), None)
