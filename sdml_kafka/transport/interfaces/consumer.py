"""The half of the port that reads: one member of a consumer group."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import (
    Commit,
    ConsumerSettings,
    Polled,
    Revocation,
    Tail,
)
from sdml_kafka.transport.interfaces.transactions import GroupMetadata

Target = int | Literal["earliest", "latest"] | datetime
"""Where to read from: an offset, the first or the last end of the log, or the first record that is
as late as a time, which has a time zone."""

POLL_TIMEOUT_S = 0.5
"""Seconds that a poll should wait for records. A shorter wait would cost an idle program its
processor, and a longer one keep the health from being reported."""


class Consumer(Protocol):
    """One member of a consumer group.

    `poll` is called again and again by one task, `revocation` by another one, `commit` by any.

    Rebalances are eager or incremental, as the `settings` say. An eager one takes all partitions,
    and its assignment names all that the consumer has from then on. An incremental one takes and
    gives only what moves:

    - An assignment adds to what the consumer has (`Assignment.adds`), if it has anything. Each
      partition has the epoch of the assignment that brought it.
    - A revocation names some of the partitions that assignments out of `poll` have brought. Those
      that it does not name go on: polls return their records, also before the release, and they
      are sought and committed as ever. A partition comes back after its release only.
    - Revocations may follow each other without an assignment between them, and assignments may come
      before the release of a revocation of others.
    - A member that is out of its group loses all: its next revocation is `lost`, and names whatever
      it has not released. A revocation for which the group has not waited any longer is `lost` from
      then on.

    Reading starts behind what a transaction has committed: while one with offsets of a partition is
    not known to be committed or aborted, nobody is assigned the partition.
    """

    @property
    def settings(self) -> ConsumerSettings:
        """The settings of the user's consumer that the package has to know."""
        ...

    async def start(
        self,
        topics: Collection[str],
        timeout_s: float,
        tail: Tail | None = None,
        *,
        create_topics: bool = False,
        skips_corrupt: bool = False,
    ) -> None:
        """Connect and join the group. The first assignment comes out of `poll`.

        Args:
            topics: The topics to read. They need not exist yet. Reading creates none, whatever the
                broker does by itself.
            timeout_s: Seconds within which a broker has to answer.
            tail: How to read without commits. None starts each partition at what the group has
                committed, or at the log's beginning if that offset was deleted; without a commit,
                or with one beyond the log's end, as the consumer's `auto_offset_reset` says; but
                from its beginning if it appeared after the group began to read its topic.
            create_topics: Whether to create the topics that are missing now, with the number of
                partitions and the settings that the broker is configured with.
            skips_corrupt: Whether to go on behind a batch that does not decode, which holds its
                partition otherwise.

        Raises:
            BrokerUnreachable: No broker answered in time. A new consumer may be tried.
            AuthenticationFailed: The broker refused the credentials, or its certificate was not
                accepted.
            AuthorizationFailed: The broker does not let this client read.
            ConfigurationError: A setting cannot work.
            ConsumerFailed: The client did not start for any other reason.
        """

    def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Coroutine[Any, Any, Polled]:
        """Wait for records of the partitions in `ready`, for an assignment, or for a nudge.

        Every call keeps the membership alive, also with an empty `ready`. A partition that is not
        ready loses nothing: its records come once it is. From an eager revocation until the next
        assignment no records are returned, and from an incremental one on none of its partitions.
        In an outage none are returned and nothing is raised; `Health` shows it.

        Args:
            ready: The partitions whose records may be returned. Partitions that are not assigned
                are ignored.
            max_records: The number of records of each partition that are returned at most.
            timeout_s: Seconds after which the call returns without records.
            seeks: The number of the last seek that the caller knows of. Of partitions that a later
                one has moved no records are returned.

        Returns:
            The records, with the assignment and the health if either is new.

        Raises:
            AuthorizationFailed: The broker does not let this group read.
            AuthenticationFailed: The broker refused the credentials.
            ConfigurationError: A setting cannot work, which showed only now.
            ConsumerFailed: This consumer is closed or broken and has to be replaced.
        """
        ...

    def sizes(self, records: Sequence[Record]) -> Sequence[int]:
        """Return the bytes of each record: its key, value and headers as sent. Never waits."""
        ...

    def nudge(self) -> None:
        """Make a poll that waits return now, since other partitions are ready. Never waits.

        A nudge that meets no waiting poll may end the next one early.
        """

    async def revocation(self) -> Revocation:
        """Wait for a revocation and return it. Its `release` has to be called, come what may.

        Until then the same revocation is returned again, so that a cancelled wait loses none, or
        a `lost` one that takes its place.
        """
        ...

    async def seek(
        self,
        epoch: int,
        number: int,
        targets: Mapping[TopicPartition, Target],
        timeout_s: float,
        *,
        within_log: bool = False,
    ) -> Mapping[TopicPartition, int]:
        """Read partitions from elsewhere on. Does not wait for a poll, and commits nothing.

        Whatever was fetched of them is dropped. From now on their records are returned by polls
        that know of this seek, and no others. An offset that is gone is treated as ever: reading
        goes on at the log's beginning, which is a jump.

        Args:
            epoch: The epoch of the partitions' assignment, the largest one of several.
            number: The number of the seek, larger than that of every one before.
            targets: Where to read each partition from.
            timeout_s: Seconds within which brokers have to say where that is.
            within_log: Whether brokers are asked where the logs end, so that an offset beyond the
                end is refused. Without it reading goes on at the log's beginning then.

        Returns:
            The offset that each partition is read from.

        Raises:
            OffsetBeyondEnd: An offset is refused. None was moved.
            SeekFailed: A partition is not assigned (any more), or no broker answered in time. None
                was moved.
            AuthorizationFailed: The broker does not let this client read.
        """
        ...

    async def commit(
        self, epoch: int, commits: Mapping[TopicPartition, Commit], timeout_s: float
    ) -> None:
        """Commit for the group. Does not wait for a poll.

        One commit is in flight at a time, in the order of the calls. None is sent once its
        assignment is over, since the broker checks membership, not ownership. That holds for each
        partition of an incremental consumer: whoever was refused may commit the others.

        Args:
            epoch: The epoch of the partitions' assignment, the largest one of several.
            commits: For each partition the offset of the next record to read, and a text.
            timeout_s: Seconds within which the broker has to answer.

        Raises:
            CommitRejected: The assignment is over, the member is out of its group, or the consumer
                is closed. So it is with an incremental consumer if a single partition was given
                away, also if it has come back with a larger epoch. Nothing was committed.
            CommitFailed: No answer came in time (the commit may have gone through all the same),
                or the broker refused the commit.
            AuthorizationFailed: The broker does not let this group commit.
        """

    async def group_metadata(
        self, epoch: int, partitions: Collection[TopicPartition], timeout_s: float
    ) -> GroupMetadata:
        """Return this member as it is now, for a transaction that commits offsets in its name.

        The group refuses the offsets once it has rebalanced since, so ask right before each commit.

        Args:
            epoch: The epoch of the partitions' assignment, the largest one of several.
            partitions: The partitions whose offsets are to be committed.
            timeout_s: Seconds within which the client has to answer; no broker is asked.

        Raises:
            CommitRejected: As with `commit`. Nothing can be committed.
            CommitFailed: The client did not answer in time.
            ConfigurationError: This client has no transactions that the group would refuse.
        """
        ...

    async def close(self, timeout_s: float) -> None:
        """Leave the group and close every socket and task. Commits nothing; may be called again.

        Does not wait for the release of a revocation: whatever holds up the rebalance need not
        any more.
        """


Connect = Callable[[], AbstractAsyncContextManager[Consumer]]
"""Opens a new consumer, not started yet. Leaving the context closes it.

Where a broker's clock is not the wall time, the function has it as its attribute `clock`.
"""

ConsumerFactory = Callable[[], object]
"""A user's function that returns a new consumer of the client below, such as an
`aiokafka.AIOKafkaConsumer`; `object`, since aiokafka is not typed."""

OnRebalance = Callable[[frozenset[TopicPartition]], Awaitable[None]]
"""A user's callback for a rebalance, called in the program's own task."""
