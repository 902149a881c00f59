"""The partitions that are ours: what was fetched and not dispatched, and the ledger of the rest.

The meeting place of the actors: the consumer loop opens and closes partitions here and puts
records in, the dispatcher takes them out. Plain synchronous calls; nothing here waits but
`drained`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import anyio
from attrs import define, field

from sdml_kafka.consuming.ledger import Ledger, Tenancy
from sdml_kafka.transport.interfaces import Assignment, Health, Record, TopicPartition

LOW_BACKLOG = 500
"""A partition is polled again when fewer records of it wait to be parsed."""


@define(eq=False)
class Partition:
    key: TopicPartition
    tenancy: Tenancy
    backlog: list[Record] = field(factory=list[Record], init=False)
    """Fetched and not dispatched, oldest first."""
    busy: bool = field(default=False, init=False)
    """An async parser works on it."""

    def take(self, count: int) -> None:
        del self.backlog[:count]


class Intake:
    def __init__(self, max_in_flight: int, is_read: Callable[[str], bool]) -> None:
        self.max_in_flight = max_in_flight
        self.ledger: Ledger = Ledger()
        self.partitions: dict[TopicPartition, Partition] = {}
        self.health: Health = Health(False, {})
        self.rebalances = 0
        self.failure: Exception | None = None
        """What stops the listener: a failed delivery, a parse error under the policy `raise`."""
        self.on_work: Callable[[], None] = lambda: None
        """Called when the dispatcher has something to do."""
        self.flush: Callable[[], None] = lambda: None
        """Brings the ledger up to date with the readers."""
        self._is_read = is_read
        self.on_ready: Callable[[], None] = lambda: None
        """Called when some partition may be polled that could not be before."""

    # -- the consumer loop's side --------------------------------------------------------

    def open(self, assignment: Assignment) -> None:
        self.close(list(self.partitions))
        for key, position in assignment.positions.items():
            tenancy = self.ledger.open(
                *key, assignment.epoch, position, assignment.committed.get(key)
            )
            self.partitions[key] = Partition(key, tenancy)

    def accept(self, records: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Take a poll's records; those of partitions that are being taken away are let go."""
        for key, batch in records.items():
            partition = self.partitions.get(key)
            if partition is not None and not partition.tenancy.withdrawn:
                partition.backlog.extend(batch)
        if records:
            self.on_work()

    def ready(self) -> list[TopicPartition]:
        """The partitions that may be polled: read by somebody, with room for more."""
        return [
            partition.key
            for partition in self.partitions.values()
            if len(partition.backlog) < LOW_BACKLOG
            and not partition.tenancy.withdrawn
            and self._is_read(partition.key.topic)
        ]

    def watch_in_flight(self, tenancy: Tenancy) -> None:
        """Go on with a full partition when half of what is in flight has finished."""
        low = self.max_in_flight // 2

        def watch() -> None:
            if tenancy.in_flight <= low:
                tenancy.watch = None
                self.on_work()

        if not tenancy.withdrawn:
            tenancy.watch = watch

    # -- taking away ---------------------------------------------------------------------

    def withdraw(self, keys: Collection[TopicPartition]) -> list[Tenancy]:
        """Hand out nothing more of these; what is in hand may still finish."""
        tenancies = [self.partitions[key].tenancy for key in keys if key in self.partitions]
        for key in keys:
            if key in self.partitions:
                self.partitions[key].tenancy.withdrawn = True
                self.partitions[key].backlog.clear()
        return tenancies

    async def drained(self, tenancies: Sequence[Tenancy]) -> None:
        """Until nobody has a record of these in hand."""
        self.flush()
        while any(tenancy.in_hand > 0 for tenancy in tenancies):
            changed = anyio.Event()
            for tenancy in tenancies:
                tenancy.watch = changed.set
            await changed.wait()

    def close(self, keys: Collection[TopicPartition]) -> None:
        """End their tenancies: what finishes from now on is late."""
        for key in keys:
            if self.partitions.pop(key, None) is not None:
                self.ledger.close(*key)

    # -- the users' side -----------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """Stop the listener with this error; the first one counts."""
        if self.failure is None:
            self.failure = error
            self.on_work()
