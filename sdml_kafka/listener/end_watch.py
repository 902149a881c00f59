"""Ends a run once everything is written that was there when it began to read."""

from collections.abc import Callable

import anyio

from sdml_kafka.errors import TopicMissing
from sdml_kafka.listener.listener import KafkaListener
from sdml_kafka.listener.status import ListenerStatus
from sdml_kafka.runtime import ActorState
from sdml_kafka.transport.interfaces.records import TopicPartition

CHECK_EVERY_S = 0.1


class EndWatch:
    """Knows where each partition ended when it was first read, and whether all of that is done."""

    def __init__(self) -> None:
        self._ends: dict[TopicPartition, int] = {}
        self._assignments = 0
        """The number of assignments when partitions were assigned last."""

    async def run(self, status: Callable[[], ListenerStatus], on_end: Callable[[], None]) -> None:
        """Call `on_end` when all is done."""
        while not self.is_done(status()):  # noqa: ASYNC110  (a status has no event)
            await anyio.sleep(CHECK_EVERY_S)
        on_end()

    def is_done(self, status: ListenerStatus) -> bool:
        """Return whether each assigned partition has finished up to its end at first sight."""
        if not all(actor.state is ActorState.RUNNING for actor in status.tree.children):
            return False
        if not status.connected:
            return False
        if status.partitions:
            self._assignments = status.counters.rebalances
        elif self._assignments == status.counters.rebalances:
            return False  # between two assignments
        for key, partition in status.partitions.items():
            if partition.high_watermark is None or partition.lag is None:
                return False
            end = self._ends.setdefault(key, partition.high_watermark)
            if partition.high_watermark - partition.lag < end:
                return False
        return not status.missing_topics


def check_topics(listener: KafkaListener) -> None:
    """Raise TopicMissing if a topic does not exist."""
    status = listener.status()
    if status.missing_topics:
        texts = (
            f"{topic!r}" + (f" (did you mean {near!r}?)" if near else "")
            for topic in sorted(status.missing_topics)
            for near in (status.nearest_topics.get(topic),)
        )
        raise TopicMissing(f"there is no topic {', '.join(texts)}")
