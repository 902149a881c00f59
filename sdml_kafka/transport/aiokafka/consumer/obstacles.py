# pyright: basic
# aiokafka is not typed.
"""Find out why a consumer gets no partitions, or cannot read those that it got.

aiokafka tries again for ever, and says why in its log alone.
"""

from collections.abc import Collection
from typing import Any

from aiokafka.client import CoordinationType
from aiokafka.errors import KafkaError

from sdml_kafka.errors import CoordinatorUnavailable, GroupFull, SdmlKafkaError
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.connecting import Connecting
from sdml_kafka.transport.aiokafka.connection_failures import advertised
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.interfaces.records import TopicPartition

GROUP_FULL = 81


class Obstacles:
    """Watches a consumer's coordinator, its joins and its connections."""

    def __init__(self, consumer: Client, connecting: Connecting) -> None:
        self._consumer = consumer
        self._connecting = connecting
        self._coordinator: int | None = None
        """The broker that was named as the group's coordinator at last."""
        self._lookup_error: KafkaError | None = None
        self._join_code = 0
        self._look_up = internals.replace_lookup(consumer, self._look_up_and_note)

    def watch_joins(self) -> None:
        """Watch the answers to joins, once the consumer was started."""
        internals.watch_joins(self._consumer, self._note_join)

    async def _look_up_and_note(self, kind: Any, key: str) -> int:
        try:
            found: int = await self._look_up(kind, key)
        except KafkaError as error:
            self._lookup_error = error
            raise
        if kind == CoordinationType.GROUP:
            self._coordinator, self._lookup_error = found, None
        return found

    def _note_join(self, code: int) -> None:
        self._join_code = code

    def find(self, to_position: Collection[TopicPartition] | None) -> SdmlKafkaError | None:
        """Return what keeps the consumer from reading, None if nothing is known to.

        `to_position` are assigned partitions whose positions are not known yet, None if no
        partitions have been assigned lately.
        """
        failures, connecting = self._connecting.failures(), self._connecting
        if to_position is not None:
            if not failures:
                return None
            leaders = {internals.leader(self._consumer, each) for each in to_position}
            failures = {node: failures[node] for node in leaders & failures.keys()}
            return advertised(failures, connecting.asked, connecting.protocol) if failures else None
        if not internals.has_group(self._consumer):
            return None
        group = internals.group_of(self._consumer)
        if self._join_code == GROUP_FULL:
            return _group_full(group)
        if self._lookup_error is not None and internals.is_connected(self._consumer):
            return self._no_coordinator(group, self._lookup_error)
        if self._coordinator in failures:
            failures = {self._coordinator: failures[self._coordinator]}
        elif not internals.is_connected(self._consumer) and failures:
            return advertised(failures, connecting.asked, connecting.protocol)
        else:
            return None
        cause = advertised(failures, connecting.asked, connecting.protocol)
        error = CoordinatorUnavailable(
            f"The coordinator of the group {group!r} cannot be reached. {cause}"
        )
        error.__cause__ = cause
        return error

    def _no_coordinator(self, group: str, reason: KafkaError) -> CoordinatorUnavailable:
        error = CoordinatorUnavailable(
            f"The group {group!r} has no coordinator: {reason!r}. If that lasts, the brokers "
            "cannot create or serve the topic __consumer_offsets: "
            "offsets.topic.replication.factor must not be larger than the number of brokers, and "
            "enough replicas of the topic must be there; see the log of the brokers."
        )
        error.__cause__ = reason
        return error


def _group_full(group: str) -> GroupFull:
    error = GroupFull(
        f"The group {group!r} is full: it has as many members as group.max.size on the broker "
        "allows. Raise that, or run fewer members."
    )
    error.__cause__ = KafkaError(f"[Error {GROUP_FULL}] GroupMaxSizeReached")
    return error
