"""A consumer group of the in-memory broker, as a state machine: no await, time is passed in.

Rebalances are eager, as aiokafka's are: each takes all partitions from all members, waits until
they are released, and then deals them out anew.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from enum import Enum, auto
from itertools import cycle
from typing import Literal, Self

from attrs import define, field, frozen

from sdml_kafka.testing.memory.log import Log, MemoryCommit, Misuse
from sdml_kafka.transport.interfaces import Assignment, Tail, TopicPartition
from sdml_kafka.transport.tail_share import TailShare, tail_position

Reset = Literal["earliest", "latest"]


class Standing(Enum):
    """What a member believes; what the broker believes is `Member.inside`."""

    OUT = auto()
    WAITING = auto()
    """It has joined and owns nothing until the next assignment."""
    OWNING = auto()
    REVOKING = auto()
    """Its partitions are asked back, and it has not released them."""


@frozen
class MemberOptions:
    auto_offset_reset: Reset
    session_timeout_s: float
    rebalance_timeout_s: float
    max_poll_interval_s: float


@frozen
class Asked:
    """What a member has yet to release."""

    epoch: int
    partitions: frozenset[TopicPartition]
    lost: bool


@define(eq=False)
class TailPlace:
    """How far a member has read that goes on there after a rebalance."""

    share: TailShare
    offsets: dict[TopicPartition, int]

    @classmethod
    def of(cls, tail: Tail) -> Self:
        offsets = {TopicPartition(*each): offset for each, offset in tail.positions.items()}
        return cls(TailShare(tail), offsets)


@define(eq=False)
class Member:
    name: str
    options: MemberOptions
    topics: frozenset[str] = frozenset()
    known: frozenset[TopicPartition] = frozenset()
    """Partitions that were there when it started; later ones are read from their beginning."""
    tail: TailPlace | None = None
    inside: bool = False
    standing: Standing = Standing.OUT
    epoch: int = 0
    assigned: frozenset[TopicPartition] = frozenset()
    partitions: frozenset[TopicPartition] = frozenset()
    """Those of the assigned that it reads."""
    positions: dict[TopicPartition, int] = field(factory=dict[TopicPartition, int])
    assignment: Assignment | None = None
    """One that the member was not told of yet."""
    asked: Asked | None = None
    release_by: float = 0.0
    polled_at: float | None = None
    """None while it polls."""
    heartbeats_end_at: float | None = None
    """Set when it died; its session ends then."""
    learns_at: float | None = None
    """Set when it was thrown out; until then it believes that all is well."""

    def deadlines(self) -> list[float]:
        """The times at which something becomes of it without anybody's doing."""
        times = [time for time in (self.heartbeats_end_at, self.learns_at) if time is not None]
        if self.standing is Standing.REVOKING:
            times.append(self.release_by)
        if self.inside and self.polled_at is not None:
            times.append(self.polled_at + self.options.max_poll_interval_s)
        return times


@define(eq=False)
class Group:
    name: str
    logs: Mapping[TopicPartition, Log]
    commits: list[MemoryCommit]
    changed: Callable[[], None]
    """Called when something has happened that a member may be waiting for."""
    connected: list[Member] = field(factory=list[Member], init=False)
    """Those inside, those that were thrown out, and the dead whose session goes on."""
    generation: int = field(default=0, init=False)
    committed: dict[TopicPartition, int] = field(factory=dict[TopicPartition, int], init=False)
    reachable: bool = field(default=True, init=False)
    _rebalancing: bool = field(default=False, init=False)

    def inside(self) -> list[Member]:
        return [member for member in self.connected if member.inside]

    # -- time ----------------------------------------------------------------------------

    def advance(self, now: float) -> None:
        """Let happen what was due by `now`. Nothing does while no broker can be reached."""
        if not self.reachable:
            return
        for member in list(self.connected):
            self._advance_member(member, now)
        self._settle(now)

    def _advance_member(self, member: Member, now: float) -> None:
        options = member.options
        if member.heartbeats_end_at is not None and member.heartbeats_end_at <= now:
            self._forget(member, now)
            return
        if (
            member.inside
            and member.polled_at is not None
            and member.polled_at + options.max_poll_interval_s <= now
        ):
            self.throw_out(member, now, learns_at=now)
        if member.learns_at is not None and member.learns_at <= now:
            self._learn(member, now)
        if member.standing is Standing.REVOKING and member.release_by <= now:
            # The group does not wait any longer; the member finds out by itself, too.
            member.inside = False
            self._let_go(member)

    def next_deadline(self) -> float:
        if not self.reachable:
            return float("inf")
        times = (time for member in self.connected for time in member.deadlines())
        return min(times, default=float("inf"))

    # -- membership ----------------------------------------------------------------------

    def join(self, member: Member, now: float) -> None:
        if member not in self.connected:
            self.connected.append(member)
        member.inside = True
        member.standing = Standing.WAITING
        self.rebalance(now)

    def leave(self, member: Member, now: float) -> None:
        """Closed by its owner. With no broker to tell, its session has to run out."""
        member.assignment = member.asked = None
        if not member.inside or self.reachable:
            self._forget(member, now)
            return
        self.die(member, now)
        if self._rebalancing:
            member.standing = Standing.REVOKING
            member.release_by = min(member.release_by, now + member.options.session_timeout_s)

    def die(self, member: Member, now: float) -> None:
        member.heartbeats_end_at = now + member.options.session_timeout_s

    def throw_out(self, member: Member, now: float, learns_at: float) -> None:
        member.inside = False
        member.learns_at = learns_at
        self.rebalance(now)

    def _forget(self, member: Member, now: float) -> None:
        member.heartbeats_end_at = member.learns_at = None
        self._let_go(member)
        if member in self.connected:
            self.connected.remove(member)
        if member.inside:
            member.inside = False
            self.rebalance(now)

    def _learn(self, member: Member, now: float) -> None:
        """It finds out that it was thrown out."""
        member.learns_at = None
        if member.standing is Standing.OWNING:
            self._ask_back(member, now, lost=True)
        elif member.asked is not None:
            member.asked = Asked(member.epoch, member.partitions, lost=True)
        elif member.standing is Standing.WAITING:
            self._let_go(member)

    # -- rebalance -----------------------------------------------------------------------

    def rebalance(self, now: float) -> None:
        self._rebalancing = True
        self._settle(now)

    def _ask_back(self, member: Member, now: float, *, lost: bool) -> None:
        if not member.partitions:
            self._let_go(member)
            return
        member.assignment = None
        member.asked = Asked(member.epoch, member.partitions, lost)
        member.standing = Standing.REVOKING
        patience = [other.options.rebalance_timeout_s for other in (*self.inside(), member)]
        member.release_by = now + max(patience)
        self.changed()

    def release(self, member: Member, epoch: int, now: float) -> None:
        if member.standing is Standing.REVOKING and member.epoch == epoch:
            self._let_go(member)
            self._settle(now)

    def _let_go(self, member: Member) -> None:
        member.standing = Standing.WAITING if member.inside else Standing.OUT
        if member.tail is not None:
            member.tail.offsets.update(member.positions)
        member.assigned = member.partitions = frozenset()
        member.positions = {}
        member.assignment = member.asked = None
        self.changed()

    def _settle(self, now: float) -> None:
        """Take a rebalance as far as it goes."""
        if not self._rebalancing or not self.reachable:
            return
        members = self.inside()
        for member in members:
            if member.standing is Standing.OWNING:
                self._ask_back(member, now, lost=False)
        if any(member.standing is Standing.REVOKING for member in members):
            return
        self._rebalancing = False
        self.generation += 1
        for member, partitions in self._deal(members):
            self._assign(member, partitions)
        self.changed()

    def _deal(self, members: Collection[Member]) -> list[tuple[Member, list[TopicPartition]]]:
        """Round robin over the members that want the topic."""
        dealt: dict[str, tuple[Member, list[TopicPartition]]] = {
            member.name: (member, []) for member in sorted(members, key=lambda each: each.name)
        }
        turns = cycle(dealt.values())
        for partition in sorted(self.logs):
            for _ in dealt:
                member, hand = next(turns)
                if partition.topic in member.topics:
                    hand.append(partition)
                    break
        return list(dealt.values())

    def _assign(self, member: Member, partitions: list[TopicPartition]) -> None:
        member.epoch += 1
        member.standing = Standing.OWNING
        member.assigned = member.partitions = frozenset(partitions)
        elsewhere = frozenset[TopicPartition]()
        if member.tail is not None:
            there = [each for each in self.logs if each.topic in member.topics]
            counts = Counter(each.topic for each in there)
            member.partitions = member.tail.share.of(partitions, counts)
            elsewhere = frozenset(there) - member.assigned
        member.positions = {each: self._first_position(member, each) for each in member.partitions}
        committed = {each: self.committed.get(each) for each in member.partitions}
        member.assignment = Assignment(member.epoch, dict(member.positions), committed, elsewhere)

    def _first_position(self, member: Member, partition: TopicPartition) -> int:
        if member.tail is not None:
            log, tail = self.logs[partition], member.tail
            is_late = partition not in member.known or tail.share.continues_all_of(partition.topic)
            return tail_position(tail.offsets.get(partition), is_late, log.start, log.end)
        if (committed := self.committed.get(partition)) is not None:
            return committed
        late = partition not in member.known
        from_start = late or member.options.auto_offset_reset == "earliest"
        return self.logs[partition].start if from_start else self.end(partition)

    def end(self, partition: TopicPartition) -> int:
        return self.logs[partition].end

    # -- commits -------------------------------------------------------------------------

    def refusal(self, member: Member, epoch: int) -> str | None:
        """Why a commit that arrives now is refused."""
        if not member.inside:
            return "the member is out of its group"
        if epoch != member.epoch or member.standing not in (Standing.OWNING, Standing.REVOKING):
            return "the assignment that this commit belongs to is over"
        return None

    def commit(self, member: Member, offsets: Mapping[TopicPartition, int]) -> None:
        for partition, offset in offsets.items():
            partition = TopicPartition(*partition)
            self._check_offset(member, partition, offset)
            self.committed[partition] = offset
            self.commits.append(
                MemoryCommit(
                    self.name, member.name, member.epoch, self.generation, partition, offset
                )
            )

    def _check_offset(self, member: Member, partition: TopicPartition, offset: int) -> None:
        """Kafka takes any offset; none of these is ever meant."""
        if partition not in member.partitions:
            raise Misuse(f"commit of {partition}, which is not assigned to {member.name}")
        if offset > self.end(partition):
            raise Misuse(f"commit of {offset} in {partition}, which ends at {self.end(partition)}")
        if offset < (before := self.committed.get(partition, 0)):
            raise Misuse(f"commit of {offset} in {partition} goes backwards from {before}")
