"""The partitions that a group gives to one member and takes away, in the thread that owns it.

How this works
--------------
librdkafka reports a rebalance by a callback within a poll, and goes on once the application has
called one of its functions to (un)assign. Until then it fetches nothing of any partition, also of
those that stay. So the client that is in the group is assigned nothing, ever, and a second one
fetches (`records/`), whose partitions are no group's affair. Nothing waits here: commits and
commands go on through a rebalance. Measured with Kafka 4.1 under KIP-848, `cooperative-sticky` and
`range`:

- *Given.* `on_assign` assigns nothing, which lets librdkafka go on. The partitions are positioned
  between two polls.
- *Taken away.* `on_revoke` must not let it go on. Without a call of the application confluent-kafka
  would unassign, so it is made to believe in one: an assignment of nothing, which changes nothing
  in this state. (Under an eager protocol that is refused, with a line in the log, and counts all
  the same.) Once the program has released the partitions, nothing is unassigned, which lets
  librdkafka go on. Until then heartbeats and commits go on, and the members that are to get the
  partitions wait.

Rules for whoever edits this file:

- Under KIP-848 nothing is reported of a member that gets no partition: `look_whether_joined`.
- Under the classic protocol librdkafka joins once one of the topics exists. Until then the member
  counts as one without partitions (`member.py`).
- A callback that raises would end the poll: nothing may leave one.
- A revocation may come before what it takes was positioned, or was seen by the program.
- While the consumer closes, callbacks let librdkafka go on at once.
"""

import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from time import monotonic

from attrs import define
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from sdml_kafka.transport.interfaces.records import TopicPartition

EMPTY_S = 0.5
"""Seconds after which a member that has joined without a partition has none for now."""
_METADATA = b"CGMDv2:"
"""The beginning of librdkafka's text of a group's metadata; the generation follows."""


@define(eq=False)
class PendingRevocation:
    """A revocation that librdkafka waits with, see `Revocation`."""

    epoch: int
    partitions: frozenset[TopicPartition]
    lost: bool
    """True if nothing may be committed any more: the member is out of its group, or the rebalance
    has gone on without a release."""
    deadline: float
    """When the rebalance goes on without a release."""
    is_released: bool = False


class Assignments:
    """The partitions that one member was given, and the revocation that is not released yet."""

    def __init__(
        self,
        consumer: Consumer,
        withhold: Callable[[Collection[TopicPartition]], frozenset[TopicPartition]],
        announce: Callable[[PendingRevocation], object],
        *,
        is_incremental: bool,
        drain_s: float,
    ) -> None:
        """Begin without partitions.

        Args:
            consumer: The consumer that is in the group.
            withhold: Called with partitions of which no record may go out any more; returns those
                that the program knows of.
            announce: Called with a revocation that the program has to release.
            is_incremental: Whether partitions come and go while others stay.
            drain_s: Seconds that the program has until a revocation is released without it.
        """
        self._consumer = consumer
        self._withhold = withhold
        self._announce = announce
        self._is_incremental = is_incremental
        self._drain_s = drain_s
        self.epoch: int = 0
        self.to_position: frozenset[TopicPartition] | None = None
        """The partitions that were given and are not read yet, None if none were given lately."""
        self.epochs: dict[TopicPartition, int] = {}
        """The epoch of each partition that is the program's, or will be once it is positioned.
        Commits are sent for these alone."""
        self._pending: PendingRevocation | None = None
        self._overdue: list[PendingRevocation] = []
        """Those that the rebalance has not waited for, and the program may not know of yet."""
        self._revoked: frozenset[TopicPartition] = frozenset()
        """The partitions that the pending revocation takes, also those that nobody has seen."""
        self._reports_empty = False
        self._joined_at: float | None = None
        self._is_closing = False

    def subscribe(self, topics: Iterable[str], *, reports_empty: bool) -> None:
        """Join the group; an assignment that gives nothing counts as one if `reports_empty`."""
        self._reports_empty = reports_empty
        self._consumer.subscribe(
            list(topics),
            on_assign=lambda _, given: self._on_assign(given),
            on_revoke=lambda _, taken: self._on_revoke(taken, lost=False),
            on_lost=lambda _, taken: self._on_revoke(taken, lost=True),
        )

    def look_whether_joined(self) -> None:
        """Take an empty assignment if the member has joined without being given any."""
        if self.epoch or self.to_position is not None:
            return
        if not is_member(self._consumer.consumer_group_metadata()):
            self._joined_at = None
        elif self._joined_at is None:
            self._joined_at = monotonic()
        elif monotonic() - self._joined_at >= EMPTY_S:
            self.give(())

    @property
    def has_joined(self) -> bool:
        """True if the group had taken the member, as far as `look_whether_joined` has seen."""
        return self._joined_at is not None

    def give(self, keys: Iterable[TopicPartition]) -> None:
        """Take partitions, as the group does."""
        self.epoch += 1
        self.to_position = frozenset({*(self.to_position or ()), *keys})
        self.epochs.update(dict.fromkeys(self.to_position, self.epoch))

    def follow(self, there: Collection[TopicPartition]) -> None:
        """Give what is there, and take what is gone: so the partitions of no group come and go."""
        owned = self.epochs.keys()
        if self._pending is not None:
            return
        if gone := owned - there:
            self._revoke(frozenset(gone), lost=False)
        elif (new := there - owned) or self._revoked:
            self._revoked = frozenset()
            self.give(new)

    def _on_assign(self, given: list[ClientPartition]) -> None:
        consumer = self._consumer
        with suppress(KafkaException):  # it is closing, or has failed, which polls report
            (consumer.incremental_assign if self._is_incremental else consumer.assign)([])
        is_news = given or self._reports_empty or not (self.epoch and self._is_incremental)
        if is_news and not self._is_closing:
            self.give(TopicPartition(each.topic, each.partition) for each in given)

    def _on_revoke(self, taken: list[ClientPartition], *, lost: bool) -> None:
        self._revoke(
            frozenset(TopicPartition(each.topic, each.partition) for each in taken), lost=lost
        )

    def _revoke(self, keys: frozenset[TopicPartition], *, lost: bool) -> None:
        if (before := self._pending) is not None:  # librdkafka has not waited for its release
            before.lost = before.lost or lost
            self._overdue.append(before)
            keys = keys | self._revoked
        self._revoked = keys
        if self.to_position is not None:
            self.to_position = self.to_position - keys or None
        if self._is_closing:
            self._go_on()
            return
        with suppress(KafkaException):
            self._consumer.incremental_assign([])
        if lost:
            self._forget(keys)
        known = self._withhold(keys)
        deadline = monotonic() + self._drain_s
        self._pending = PendingRevocation(self.epoch, known, lost, deadline, not known)
        if known:
            self._announce(self._pending)

    def release(self, pending: PendingRevocation) -> None:
        """Let the rebalance go on; the next `take_released` does so."""
        pending.is_released = True
        if pending is self._pending:
            self._forget(self._revoked)

    def take_released(self, *, commit_in_flight: bool) -> frozenset[TopicPartition]:
        """Let a rebalance go on that was released, or has waited for as long as the group does.

        Return the partitions that are gone. A commit in flight is waited for.
        """
        if (pending := self._pending) is None:
            return frozenset()
        if not pending.is_released:
            if monotonic() < pending.deadline:
                return frozenset()
            pending.lost = True
            self._overdue.append(pending)
        if commit_in_flight and not pending.lost and monotonic() < pending.deadline:
            return frozenset()
        self._pending = None
        self._go_on()
        return self._revoked

    @property
    def may_be_positioned(self) -> bool:
        """True if partitions were given, none of which the program has yet to release."""
        if self.to_position is None:
            return False
        self._overdue = [each for each in self._overdue if not each.is_released]
        return all(each.partitions.isdisjoint(self.to_position) for each in self._overdue)

    def note_positioned(self) -> None:
        """Note that it was found out where the partitions that were given are read from."""
        self.to_position = None

    def _go_on(self) -> None:
        self._forget(self._revoked)
        with suppress(KafkaException):
            if self._is_incremental:
                self._consumer.incremental_unassign([])
            else:
                self._consumer.unassign()

    def _forget(self, keys: Iterable[TopicPartition]) -> None:
        for key in keys:
            self.epochs.pop(key, None)

    def close(self, *, unsubscribes: bool = False) -> None:
        """Let a rebalance go on that waits, and later ones at once: the consumer leaves.

        With `unsubscribes`, it leaves before it is closed if it has no partition. Of
        `cooperative-sticky` it would else not leave at all
        (findings/librdkafka-silent-leave.sh).
        """
        self._is_closing = True
        if unsubscribes and not self.epochs and self._pending is None:
            with suppress(KafkaException):
                self._consumer.unsubscribe()
        self.epochs.clear()
        self.to_position = None
        if self._pending is not None:
            self._pending.is_released = True
            self._pending = None
            self._go_on()


def is_member(metadata: bytes) -> bool:
    """Return whether a group's metadata names a generation, as that of a member does."""
    at = len(_METADATA)
    generation = int.from_bytes(metadata[at : at + 4], sys.byteorder, signed=True)
    return metadata.startswith(_METADATA) and generation > 0
