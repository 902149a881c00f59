"""The requests that wait for a worker: in turn from each partition, within each handler's limit."""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf

from sdml_kafka.consuming.end_sightings import EndSightings
from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.consuming.partitions import Intake, Partition
from sdml_kafka.rpc.server.call import ServerCall
from sdml_kafka.rpc.server.handlers import Handler
from sdml_kafka.transport.fetched.parts import offsets_of
from sdml_kafka.transport.interfaces.consumer import POLL_TIMEOUT_S
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import Health

MAX_SLICE = 64
"""The number of requests of a partition that are entered into the ledger in one go."""
TIMELY_POLL_S = 2 * POLL_TIMEOUT_S
"""Seconds that a poll takes at most, unless the event loop stood still meanwhile."""


class Lane:
    """The requests of one partition. Those that have become calls are in the ledger already."""

    __slots__ = (
        "_seen",
        "calls",
        "cancelled",
        "chunk",
        "handler",
        "is_queued",
        "partition",
        "sent_after",
        "sightings",
        "there_at",
    )

    def __init__(self, partition: Partition, handler: Handler, sightings: EndSightings) -> None:
        self.partition: Partition = partition
        self.handler: Handler = handler
        self.sightings: EndSightings = sightings
        self.chunk: Chunk[Tenancy]
        self.calls: list[ServerCall] = []
        """The next calls, the first one last."""
        self.sent_after: float = -inf
        """When none of the records in the ledger was in the log yet, by the event loop's clock."""
        self.there_at: float = 0.0
        """When all of the records in the ledger were in the log."""
        self.is_queued: bool = False
        """True if the lane waits for its turn, or is parked."""
        self.cancelled: set[bytes] = set()
        """The ids of requests that wait here and must not be started any more."""
        self._seen = -1

    def unseen(self) -> list[Record]:
        """Return the records that have come since the last call, the newest first."""
        unseen = self.partition.backlog.after(self._seen)
        if unseen:
            self._seen = unseen[0].offset
        return unseen

    def refill(self, now: float, intake: Intake, calls_of: "CallsOf") -> bool:
        """Enter the next slice into the ledger; return False if there is none."""
        partition = self.partition
        if not partition.backlog or partition.tenancy.withdrawn:
            return False
        count = partition.first(min(MAX_SLICE, len(partition.backlog)))
        records = partition.backlog.first(count)
        sizes = intake.remove(partition, count)
        offsets = offsets_of(records)
        self.sent_after, self.there_at = self.sightings.bounds(offsets[0], offsets[-1], now)
        self.chunk = partition.tenancy.deliver(offsets, bytes([1]) * count, now, sizes)
        self.calls = calls_of(self, records, now)
        self.calls.reverse()
        return True

    def waiting(self) -> int:
        """Return how many requests wait here."""
        return len(self.calls) + len(self.partition.backlog)


CallsOf = Callable[[Lane, Sequence[Record], float], list[ServerCall]]
"""Returns the calls of records that follow each other in a lane, at a time."""


class RequestQueue:
    """Hands out the requests one by one, as long as their handlers' limits admit more."""

    def __init__(
        self,
        intake: Intake,
        handlers: Mapping[str, Handler],
        look_ahead: Callable[[Lane, Sequence[Record]], None],
        calls_of: CallsOf,
    ) -> None:
        """Make a queue over what the consumer loop puts into `intake`.

        Args:
            intake: The partitions that are assigned, and the records that were fetched.
            handlers: The handler of each topic; the server adds to it until it is entered.
            look_ahead: Called with the records that have come for a handler that answers with
                streams, before their turn.
            calls_of: Makes the calls of the next records of a lane.
        """
        self._intake = intake
        self._handlers = handlers
        self._look_ahead = look_ahead
        self._calls_of = calls_of
        self._lanes: dict[TopicPartition, Lane] = {}
        self._sightings: dict[TopicPartition, EndSightings] = {}
        """Kept when a partition is revoked: what was seen of its log stays true."""
        self._turns: deque[Lane] = deque()

    @property
    def topics(self) -> Collection[str]:
        """The topics that are read."""
        return frozenset(self._handlers)

    def refresh(self) -> None:
        """Queue the partitions that requests have come for."""
        for key, partition in self._intake.partitions.items():
            if partition.backlog:
                lane = self._lanes.get(key)
                if lane is None or lane.partition is not partition:
                    sightings = self._sightings_of(partition)
                    lane = Lane(partition, self._handlers[key.topic], sightings)
                    self._lanes[key] = lane
                if lane.handler.kind == "stream":
                    self._look_ahead(lane, lane.unseen())
                if not lane.is_queued:
                    lane.is_queued = True
                    self._turns.append(lane)

    def note_ends(self, health: Health, earliest: float, latest: float) -> None:
        """Note the ends of the partitions, as the client knew them between these two times."""
        if latest - earliest <= TIMELY_POLL_S:
            earliest = latest
        for key, age_s in health.mark_ages_s.items():
            partition, end = self._intake.partitions.get(key), health.high_watermarks.get(key)
            if partition is not None and end is not None:
                self._sightings_of(partition).note(end, earliest - age_s, latest)

    def _sightings_of(self, partition: Partition) -> EndSightings:
        sightings = self._sightings.get(partition.key)
        if sightings is None:
            sightings = self._sightings[partition.key] = EndSightings(partition.tenancy.start)
        return sightings

    def take(self, now: float) -> Lane | None:
        """Return the lane whose next call may be started, None if there is none."""
        turns = self._turns
        while turns:
            lane = turns[0]
            if not lane.calls and not lane.refill(now, self._intake, self._calls_of):
                turns.popleft()
                lane.is_queued = False
            elif lane.handler.running >= lane.handler.limit:
                lane.handler.parked.append(turns.popleft())
            else:
                turns.rotate(-1)
                return lane
        return None

    def put_back(self, call: ServerCall) -> bool:
        """Put a call in front of those that wait; return False if its partition was taken away."""
        tenancy = call.chunk.tenancy
        lane = self._lanes.get(TopicPartition(tenancy.topic, tenancy.partition))
        if lane is None or lane.partition.tenancy is not tenancy or tenancy.withdrawn:
            return False
        lane.calls.append(call)
        if not lane.is_queued:
            lane.is_queued = True
            self._turns.append(lane)
        return True

    def unpark(self, handler: Handler) -> None:
        """Put the lanes of this handler back into the queue, if it may run one more request."""
        if handler.parked and handler.running < handler.limit:
            self._turns.extend(handler.parked)
            handler.parked.clear()

    def waiting(self, most: int) -> int:
        """Return how many requests wait in the lanes that have a turn, counted up to `most`."""
        count = 0
        for lane in self._turns:
            count += lane.waiting()
            if count >= most:
                return most
        return count

    def withdraw(self, tenancies: Sequence[Tenancy]) -> None:
        """Drop the requests of these tenancies that were not handed out."""
        gone = set(tenancies)
        for lane in list(self._lanes.values()):
            if lane.partition.tenancy in gone:
                lane.calls.clear()
                del self._lanes[lane.partition.key]
        self._intake.preparations.release_gone()
