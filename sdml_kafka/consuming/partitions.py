"""The partitions that are assigned: what was fetched and waits, and the ledger of the rest.

The meeting place of the actors: the consumer loop opens and closes partitions here and puts
records in, the dispatcher (in a server: the request queue) takes them out. Plain synchronous
calls; nothing here waits.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from attrs import define, field

from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.ledger import Ledger, Tenancy
from sdml_kafka.transport.interfaces import Assignment, Health, Polled, Record, TopicPartition

LOW_BACKLOG = 500
"""A partition is polled when fewer records of it than this wait to be dispatched."""


@define(eq=False)
class Partition:
    """A partition that is assigned, with its tenancy and the records that wait."""

    key: TopicPartition
    tenancy: Tenancy
    backlog: list[Record] = field(factory=list[Record], init=False)
    """The records fetched and not dispatched, oldest first."""
    busy: bool = field(default=False, init=False)
    """Whether an async parser works on it."""
    parsing: int = field(default=0, init=False)
    """The number of records at the front of the backlog that are being parsed."""
    read_to: int = field(init=False)
    """The client's own position, as of the last poll."""

    def __attrs_post_init__(self) -> None:
        self.read_to = self.tenancy.start

    def fetched_to(self) -> int:
        """Return the offset behind the last record that was fetched."""
        return self.backlog[-1].offset + 1 if self.backlog else self.tenancy.delivered_to()


class Intake:
    """All partitions that are assigned, and what is known of them."""

    def __init__(self, is_read: Callable[[str], bool], current: CurrentConsumer) -> None:
        """Begin without partitions.

        Args:
            is_read: Returns whether somebody reads a topic.
            current: The consumer to nudge when a partition may be polled again.
        """
        self._is_read = is_read
        self._current = current
        self.ledger: Ledger = Ledger()
        self.partitions: dict[TopicPartition, Partition] = {}
        self.health: Health = Health(False, {})
        self.rebalances: int = 0
        """The number of assignments received."""

    def open(self, assignment: Assignment) -> None:
        """Begin a tenancy for each partition of an assignment; those of the last one end."""
        self.close(list(self.partitions))
        self.rebalances += 1
        for key, position in assignment.positions.items():
            tenancy = self.ledger.open(
                *key, assignment.epoch, position, assignment.committed.get(key)
            )
            self.partitions[key] = Partition(key, tenancy)

    def ready(self) -> list[TopicPartition]:
        """Return the partitions that may be polled: read by somebody, with room for more."""
        return [
            partition.key
            for partition in self.partitions.values()
            if len(partition.backlog) < LOW_BACKLOG
            and not partition.tenancy.withdrawn
            and self._is_read(partition.key.topic)
        ]

    def set_back(self, polled: Polled) -> dict[TopicPartition, int]:
        """Return the partitions that a poll has set back, with the offset that they begin at.

        Their log is another one than before: the topic was created anew, or restored.
        """
        begins = dict(polled.positions)
        begins.update((key, batch[0].offset) for key, batch in polled.records.items())
        return {
            key: begin
            for key, begin in begins.items()
            if (partition := self.partitions.get(key)) is not None
            and begin < partition.read_to
            and not partition.tenancy.withdrawn
        }

    def restart(self, key: TopicPartition, position: int) -> None:
        """Begin a partition anew at `position`; its records were withdrawn."""
        tenancy = self.partitions[key].tenancy
        self.partitions[key] = Partition(key, self.ledger.open(*key, tenancy.epoch, position, None))

    def accept(
        self,
        records: Mapping[TopicPartition, Sequence[Record]],
        positions: Mapping[TopicPartition, int],
    ) -> None:
        """Put in what a poll brought, except for partitions that are being revoked."""
        for key, batch in records.items():
            partition = self.partitions.get(key)
            if partition is not None and not partition.tenancy.withdrawn:
                partition.backlog.extend(batch)
                partition.read_to = batch[-1].offset + 1
        for key, position in positions.items():
            partition = self.partitions.get(key)
            if partition is not None and not partition.tenancy.withdrawn:
                partition.tenancy.skip(partition.fetched_to(), position)
                partition.read_to = position

    def remove(self, partition: Partition, count: int) -> None:
        """Remove the first records of a partition's backlog, since they are dispatched now."""
        was_full = len(partition.backlog) >= LOW_BACKLOG
        del partition.backlog[:count]
        if was_full and len(partition.backlog) < LOW_BACKLOG:
            self._current.nudge()

    def withdraw(self, keys: Collection[TopicPartition]) -> list[Tenancy]:
        """Hand out nothing more of these partitions, and return their tenancies.

        Records in hand may still finish.
        """
        tenancies: list[Tenancy] = []
        for key in keys:
            partition = self.partitions.get(key)
            if partition is not None:
                partition.tenancy.withdrawn = True
                partition.backlog.clear()
                tenancies.append(partition.tenancy)
        return tenancies

    def close(self, keys: Collection[TopicPartition]) -> None:
        """End the tenancies of these partitions: what finishes from now on is late."""
        for key in keys:
            if self.partitions.pop(key, None) is not None:
                self.ledger.close(*key)
