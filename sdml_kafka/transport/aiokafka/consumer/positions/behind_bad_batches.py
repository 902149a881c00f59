# pyright: basic
# aiokafka is not typed.
"""Go on behind batches that do not decode."""

from collections.abc import Iterable, Mapping
from logging import getLogger
from typing import Any

from sdml_kafka.log_fields import fields
from sdml_kafka.transport.aiokafka.consumer.internals import as_client
from sdml_kafka.transport.aiokafka.consumer.positions.read_positions import ReadPositions
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Jump

_log = getLogger("sdml_kafka.transport")

MAX_SINGLE_STEPS = 8
"""The number of offsets that are tried one by one behind a batch that does not decode."""


class BehindBadBatches:
    """Moves partitions on behind batches that do not decode."""

    def __init__(
        self, consumer: Any, positions: ReadPositions, bad_ends: dict[TopicPartition, int]
    ) -> None:
        """Begin with nothing skipped; `bad_ends` has where batches end, as far as that is known."""
        self._consumer, self._positions, self._bad_ends = consumer, positions, bad_ends
        self._skipped: list[Jump] = []
        self.tries: dict[TopicPartition, int] = {}
        """The number of moves of each partition since its last record that decodes."""

    def skip(self, held: Mapping[TopicPartition, str]) -> None:
        """Go on behind batches that do not decode, and lose no record behind them.

        Where a batch ends is known if it was decoded here and its checksum is right, or if the next
        one was fetched with it. Otherwise the next offset is tried: it may bring the same batch.
        """
        for partition, reason in held.items():
            at = self._positions.next[partition]
            end = max(at + 1, self._bad_ends.pop(partition, at + 1))
            self._positions.move(partition, end)
            self._consumer.seek(as_client(partition), end)
            why = f"what does not decode is skipped ({reason})"
            self._skipped.append(Jump(partition, at, end, why))

    def take_skipped(self) -> list[Jump]:
        """Return what was skipped since the last call."""
        skipped, self._skipped = self._skipped, []
        return skipped

    def pass_over(self, held: Mapping[TopicPartition, str]) -> bool:
        """Move a tail on behind batches that do not decode, which would hold up all that follows.

        aiokafka does not say where a batch ends, so the next offsets are tried one by one, then in
        steps that double. Return whether a partition was moved: one may be at its end already.
        """
        has_moved = False
        for partition, reason in held.items():
            end = self._consumer.highwater(partition)
            if end is None or end <= (at := self._positions.next[partition]):
                continue
            tries = self.tries.get(partition, 0)
            self.tries[partition] = tries + 1
            if not tries:
                text = "%r partition %d offset %d is passed over: %s"
                topic, number = partition
                extra = fields(topic=topic, partition=number, offset=at)
                _log.error(text, topic, number, at, reason, extra=extra)
            next_try = min(end, at + (1 << max(0, tries - MAX_SINGLE_STEPS)))
            self._positions.next[partition] = next_try
            self._consumer.seek(as_client(partition), next_try)
            has_moved = True
        return has_moved

    def delivered(self, partitions: Iterable[TopicPartition]) -> None:
        """Note that partitions have records that decode."""
        for partition in partitions:
            self.tries.pop(partition, None)
