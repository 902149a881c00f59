"""The partitions that are assigned: what was fetched and waits, and the ledger of the rest.

The meeting place of the actors: the consumer loop opens and closes partitions here and puts
records in, the dispatcher (in a server: the request queue) takes them out. Plain synchronous
calls; nothing here waits.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from itertools import accumulate, compress

from attrs import define, field

from sdml_kafka.consuming.backlog import Backlog
from sdml_kafka.consuming.byte_budget import ByteBudget
from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.offsets.finishes import Finishes
from sdml_kafka.consuming.offsets.ledger import Ledger
from sdml_kafka.consuming.offsets.offset_map import Interval, decode, outside
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.consuming.preparations import Preparations
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.health.standing import Standstill
from sdml_kafka.hooks.batches import OnFinished
from sdml_kafka.transport.fetched.parts import offset_at, offsets_of
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Commit, End, Health, Jump, Polled

LOW_BACKLOG = 500
"""A partition is polled when fewer records of it than this wait to be dispatched."""
LOW_BACKLOG_BYTES = 1 << 18
"""A partition is polled when fewer bytes than this wait. Without it a client in a thread, which
fetches while the program works, has all of `max_bytes_in_flight` waiting if records are large."""
MAX_BYTES_IN_FLIGHT = 64 << 20
"""The default bound of the bytes of records that were fetched and have not finished."""
SLICES = 16
"""The least number of slices that the byte budget is dispatched in. A slice stays in memory as a
whole while its records are read."""


@define(eq=False)
class Partition:
    """A partition that is assigned, with its tenancy and the records that wait."""

    key: TopicPartition
    tenancy: Tenancy
    backlog: Backlog = field(factory=Backlog, init=False)
    """The records fetched and not dispatched, oldest first."""
    sizes: list[int] = field(factory=list[int], init=False)
    """The bytes of each record in the backlog."""
    waiting_bytes: int = field(default=0, init=False)
    """The bytes of all of them."""
    busy: bool = field(default=False, init=False)
    """True if an async parser works on it."""
    parsing: int = field(default=0, init=False)
    """The number of records at the front of the backlog that are being parsed."""
    read_to: int = field(init=False)
    """The client's own position, as of the last poll."""
    seeks: int = 0
    """The number of the seek that has moved it here. Polls that do not know of that are of before.
    """
    is_revoked: bool = field(default=False, init=False)
    """True if it is being revoked, so that it does not begin anew."""
    standstill: Standstill = field(factory=Standstill, init=False)
    """Since when nothing moves in it, as of the last `stands_since`."""

    def __attrs_post_init__(self) -> None:
        self.read_to = self.tenancy.start

    def stands_since(self, now: float) -> float | None:
        """Return since when the lowest unfinished record is that one, None if there is none.

        It has been in hand, or not, since then as well. Finishing notes no time, as that happens a
        million times a second, so this is exact to `MAX_LOOK_S` if somebody looks that often.
        """
        tenancy = self.tenancy
        since, frontier = tenancy.frontier_since(), tenancy.frontier()
        return self.standstill.note(now, since, frontier, tenancy.taken, tenancy.in_hand)

    def is_low(self) -> bool:
        """Return whether so little waits that more may be fetched."""
        return len(self.backlog) < LOW_BACKLOG and self.waiting_bytes < LOW_BACKLOG_BYTES

    def first(self, count: int) -> int:
        """Return how many of the first `count` records that wait go out together.

        They are a slice in bytes at most, but one record at least.
        """
        held = self.tenancy.held
        most = held.budget.limit // SLICES
        if held.count <= most or sum(self.sizes[:count]) <= most:
            return count
        return max(1, bisect_right(list(accumulate(self.sizes[:count])), most))

    def without_finished(self, batch: Sequence[Record]) -> Sequence[Record]:
        """Return the records that had not finished before this tenancy began."""
        wanted = outside(offsets_of(batch), self.tenancy.known)
        left = list(compress(batch, wanted))
        if not wanted[-1]:
            # Behind the others there is none to come, as if these did not exist.
            fetched_to = left[-1].offset + 1 if left else self.fetched_to()
            self.tenancy.skip(fetched_to, self.read_to)
        return left

    def fetched_to(self) -> int:
        """Return the offset behind the last record that was fetched."""
        return self.backlog.last_offset() + 1 if self.backlog else self.tenancy.delivered_to()


class Intake:
    """All partitions that are assigned, and what is known of them."""

    paused: Container[TopicPartition]
    _held_back: set[TopicPartition]
    """The partitions that are not read yet though others are."""
    must_rejoin: bool = False
    """True if the group has to be joined anew, which alone knows what is committed."""

    def __init__(
        self,
        is_read: Callable[[str], bool],
        current: CurrentConsumer,
        max_bytes: float,
        *,
        keeps_maps: bool = True,
        paused: Container[TopicPartition] = frozenset(),
        on_finished: OnFinished | None = None,
    ) -> None:
        """Begin without partitions.

        Args:
            is_read: Returns whether somebody reads a topic.
            current: The consumer to nudge when a partition may be polled again.
            max_bytes: The bytes of records that may be held; see `byte_budget`.
            keeps_maps: Whether what finishes beyond the frontier is committed as well, and not
                delivered again; see `offset_map`.
            paused: The partitions that are not to be read for now.
            on_finished: Called with records that have finished, if hooks observe that.
        """
        self._is_read = is_read
        self._current, self._keeps_maps = current, keeps_maps
        self.budget: ByteBudget = ByteBudget(max_bytes, current.nudge)
        self.ledger: Ledger = Ledger(self.budget, Finishes(on_finished))
        self.partitions: dict[TopicPartition, Partition] = {}
        self.preparations: Preparations = Preparations()
        """The records whose parsers or serializers need something first."""
        self.paused, self._held_back = paused, set[TopicPartition]()
        self.seeks: int = 0
        """The number of seeks that were begun."""
        self.health: Health = Health(False, {})
        self.health_noted_at: float = 0.0
        """When the health was true at the earliest, by the event loop's clock."""
        self.rebalances: int = 0
        """The number of assignments received."""
        self.jumps: int = 0
        """How often reading went on elsewhere, since the offset to be read next was gone."""
        self.lost_offsets: int = 0
        """The number of offsets that were passed over then."""
        self.corrupt: int = 0
        """The number of offsets that were skipped, since what is there does not decode."""

    def note_health(self, health: Health, asked_at: float) -> None:
        """Note the health that the client has returned after it was asked at that time."""
        self.health, self.health_noted_at = health, asked_at

    def open(self, assignment: Assignment, ends: Mapping[TopicPartition, End]) -> None:
        """Begin a tenancy for each partition of an assignment; unless it adds, the others end.

        `ends` says where partitions end, as far as that is known.
        """
        self.close(list(assignment.positions if assignment.adds else self.partitions))
        self.rebalances += 1
        for key, position in assignment.positions.items():
            commit = assignment.committed.get(key)
            tenancy = self.ledger.open(
                *key,
                assignment.epoch,
                position,
                None if commit is None else commit.offset,
                self._known(commit, ends.get(key)),
                keeps_map=self._keeps_maps,
            )
            self.partitions[key] = Partition(key, tenancy)

    def _known(self, commit: Commit | None, end: End | None) -> Sequence[Interval]:
        """Return what a commit says has finished beyond its offset."""
        if commit is None or not self._keeps_maps:
            return ()
        known = decode(commit.offset, commit.metadata)
        if known and end is not None and known[-1][1] > end.offset:
            return ()  # the log was another one then: the topic was created anew, or restored
        return known

    def ready(self) -> list[TopicPartition]:
        """Return the partitions that may be polled: read by somebody, with room for more."""
        if self.budget.is_short:
            self.recount()
        self.budget.look_anew()
        ready = [
            partition.key
            for partition in self.partitions.values()
            if partition.is_low()
            and not partition.tenancy.withdrawn
            and partition.key not in self.paused
            and self._is_read(partition.key.topic)
            and partition.tenancy.held.may_grow()
        ]
        held_back = self._held_back
        return [key for key in ready if key not in held_back] if held_back else ready

    def hold_back(self, assignment: Assignment) -> None:
        """Do not read these partitions until `read_now`, while others are read."""
        self._held_back.update(assignment.positions)

    def read_now(self, assignment: Assignment) -> None:
        """Read the partitions of an assignment from now on."""
        self._held_back -= self.present(assignment)
        self.nudge()

    def present(self, assignment: Assignment) -> frozenset[TopicPartition]:
        """Return the partitions of an assignment that have not been taken away since."""
        return frozenset(
            key
            for key in assignment.positions
            if (partition := self.partitions.get(key)) is not None
            and partition.tenancy.epoch == assignment.epoch
            and not partition.is_revoked
        )

    def look(self, now: float) -> None:
        """Note which partitions stand still, from a ledger that is up to date with the readers."""
        for partition in self.partitions.values():
            partition.stands_since(now)

    def recount(self) -> int:
        """Release the bytes of all records that have finished, and return how many are held."""
        for partition in self.partitions.values():
            partition.tenancy.recount()
        return self.budget.held

    def count_jumps(self, jumps: Sequence[Jump]) -> None:
        """Count where reading goes on elsewhere than it should have."""
        self.jumps += len(jumps)
        self.lost_offsets += sum(jump.lost for jump in jumps)

    def set_back(self, polled: Polled, seeks: int) -> dict[TopicPartition, int]:
        """Return the partitions that a poll has set back, with the offset that they begin at.

        Their log is another one than before: the topic was created anew, or restored.
        """
        begins = dict(polled.positions)
        begins.update((key, offset_at(batch, 0)) for key, batch in polled.records.items())
        return {
            key: begin
            for key, begin in begins.items()
            if (partition := self._reading(key, seeks)) is not None and begin < partition.read_to
        }

    def _reading(self, key: TopicPartition, seeks: int) -> Partition | None:
        """Return a partition of which a poll brings something, None if nobody wants it any more.

        `seeks` is the number of the last seek that the poll knew of.
        """
        partition = self.partitions.get(key)
        if partition is None or partition.tenancy.withdrawn or partition.seeks > seeks:
            return None
        return partition

    def restart(self, key: TopicPartition, position: int, seeks: int = 0) -> None:
        """Begin a partition anew at `position`; its records were withdrawn."""
        tenancy = self.partitions[key].tenancy
        anew = self.ledger.open(*key, tenancy.epoch, position, None, keeps_map=self._keeps_maps)
        self.partitions[key] = Partition(key, anew, seeks)

    def go_on(self, key: TopicPartition, seeks: int) -> None:
        """Read a partition on from its frontier, where the client was moved to."""
        anew = self.ledger.reopen(self.partitions[key].tenancy)
        self.partitions[key] = Partition(key, anew, seeks)

    def accept(
        self,
        records: Mapping[TopicPartition, Sequence[Record]],
        positions: Mapping[TopicPartition, int],
        sizes_of: Callable[[Sequence[Record]], Sequence[int]],
        seeks: int = 0,
    ) -> None:
        """Put in what a poll brought, except for partitions that are being revoked.

        `seeks` is the number of the last seek that the poll knew of.
        """
        expected = 0
        for key, batch in records.items():
            partition = self._reading(key, seeks)
            if partition is not None:
                partition.read_to = offset_at(batch, -1) + 1
                known = partition.tenancy.known
                if known and offset_at(batch, 0) < known[-1][1]:
                    batch = partition.without_finished(batch)
                    if not batch:
                        continue
                sizes = sizes_of(batch)
                size = sum(sizes)
                expected = max(expected, size // len(batch))
                partition.tenancy.held.add(size)
                partition.waiting_bytes += size
                partition.sizes.extend(sizes)
                partition.backlog.append(batch)
        if expected:
            self.budget.expect(expected)
        for key, position in positions.items():
            partition = self._reading(key, seeks)
            if partition is not None:
                partition.tenancy.skip(partition.fetched_to(), position)
                partition.read_to = position

    def remove(self, partition: Partition, count: int) -> Sequence[int]:
        """Remove the first records of a partition's backlog, since they are dispatched now.

        Return the bytes of each, which are held on.
        """
        was_low = partition.is_low()
        sizes = partition.sizes[:count]
        partition.backlog.remove(count)
        del partition.sizes[:count]
        partition.waiting_bytes -= sum(sizes)
        if not was_low and partition.is_low():
            self._current.nudge()
        return sizes

    def withdraw(self, keys: Collection[TopicPartition]) -> list[Tenancy]:
        """Hand out nothing more of these partitions, and return their tenancies.

        Records in hand may still finish.
        """
        tenancies: list[Tenancy] = []
        for key in keys:
            partition = self.partitions.get(key)
            if partition is not None:
                partition.tenancy.withdrawn = True
                partition.tenancy.held.release(partition.waiting_bytes)
                partition.waiting_bytes = 0
                partition.backlog.clear()
                partition.sizes.clear()
                tenancies.append(partition.tenancy)
        return tenancies

    def nudge(self) -> None:
        """Let a poll that waits begin anew, since other partitions may be read now."""
        self._current.nudge()

    def note_revoked(self, keys: Collection[TopicPartition]) -> None:
        """Note that these partitions are being revoked, and are not to begin anew."""
        for key in keys:
            if (partition := self.partitions.get(key)) is not None:
                partition.is_revoked = True

    def note_doubt(self, tenancies: Collection[Tenancy]) -> list[Tenancy]:
        """Note that nobody knows what a transaction has committed of these tenancies.

        Nothing more of them is handed out or committed. What the group hands out anew begins at
        what it knows. Return those that are still here.
        """
        doubtful = [each for each in self.partitions.values() if each.tenancy in tenancies]
        for partition in doubtful:
            partition.tenancy.in_doubt = True
        self.must_rejoin |= any(not partition.is_revoked for partition in doubtful)
        withdrawn = self.withdraw([partition.key for partition in doubtful])
        self.nudge()
        return withdrawn

    def close(self, keys: Collection[TopicPartition]) -> None:
        """End the tenancies of these partitions: what finishes from now on is late."""
        for key in keys:
            if self.partitions.pop(key, None) is not None:
                self.ledger.close(*key)
                self._held_back.discard(key)


def check_max_bytes(max_bytes_in_flight: object) -> None:
    """Raise a ConfigurationError if this cannot bound the bytes that are held."""
    if type(max_bytes_in_flight) is not int or max_bytes_in_flight < 1:
        raise ConfigurationError(
            f"max_bytes_in_flight is a number of bytes, 1 or more, not {max_bytes_in_flight!r}"
        )
