"""A member of a group of the in-memory broker."""

from enum import Enum, auto
from typing import Literal, Self

from attrs import define, field, frozen

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Jump, Tail
from sdml_kafka.transport.tail_share import TailShare

Reset = Literal["earliest", "latest"]


class Standing(Enum):
    """Where a member believes that it stands; the group's view is `Member.inside`."""

    OUT = auto()
    WAITING = auto()
    """The member has joined, and owns nothing until the next assignment."""
    OWNING = auto()
    REVOKING = auto()
    """The member has not yet released partitions that were revoked."""


@frozen
class MemberOptions:
    """The options of a member's consumer."""

    auto_offset_reset: Reset
    session_timeout_s: float
    rebalance_timeout_s: float
    max_poll_interval_s: float


@frozen
class PendingRevocation:
    """The partitions that a member has yet to release."""

    epoch: int
    partitions: frozenset[TopicPartition]
    lost: bool


@define(eq=False)
class TailPositions:
    """How far a member has read that continues there after a rebalance."""

    share: TailShare
    offsets: dict[TopicPartition, int]

    @classmethod
    def of(cls, tail: Tail) -> Self:
        """Begin where the tail says."""
        offsets = {TopicPartition(*each): offset for each, offset in tail.positions.items()}
        return cls(TailShare(tail), offsets)


@define(eq=False)
class Member:
    """A member, as the group and its own consumer see it."""

    name: str
    options: MemberOptions
    topics: frozenset[str] = frozenset()
    known: frozenset[TopicPartition] = frozenset()
    """The partitions that existed when the member started; it reads later ones from the start."""
    read_before: frozenset[str] = frozenset()
    """The topics of which the group had commits when the member started."""
    tail: TailPositions | None = None
    inside: bool = False
    """True if the group counts the member."""
    standing: Standing = Standing.OUT
    epoch: int = 0
    """The number of the latest assignment."""
    assigned: frozenset[TopicPartition] = frozenset()
    partitions: frozenset[TopicPartition] = frozenset()
    """The assigned partitions that the member reads."""
    positions: dict[TopicPartition, int] = field(factory=dict[TopicPartition, int])
    epochs: dict[TopicPartition, int] = field(factory=dict[TopicPartition, int])
    """The number of the assignment that brought each partition, in an incremental group."""
    assignment: Assignment | None = None
    """An assignment that no poll has returned yet."""
    jumps: list[Jump] = field(factory=list[Jump])
    """The jumps that no poll has returned yet."""
    revocation: PendingRevocation | None = None
    release_by: float = 0.0
    """When the group no longer waits for the release."""
    polled_at: float | None = None
    """When the last poll ended; None while the member polls."""
    session_ends_at: float | None = None
    """When the session of a member that has died ends."""
    notices_at: float | None = None
    """When a member that was expelled notices that it was."""

    @property
    def revoking(self) -> frozenset[TopicPartition]:
        """The partitions that are revoked and not released yet."""
        return frozenset() if self.revocation is None else self.revocation.partitions

    def deadlines(self) -> list[float]:
        """Return the times at which the member's state changes although nobody acts."""
        times = [time for time in (self.session_ends_at, self.notices_at) if time is not None]
        if self.standing is Standing.REVOKING or (self.inside and self.revocation is not None):
            times.append(self.release_by)
        if self.inside and self.polled_at is not None:
            times.append(self.polled_at + self.options.max_poll_interval_s)
        return times
