# pyright: basic
# aiokafka is not typed.
"""The driver of one aiokafka consumer: owns it on the asyncio side, and puts its parts to work.

How this works
--------------
All of it runs in one asyncio loop, and two tasks meet here. The program's `poll` comes in by
`adapter.py`. aiokafka's own coordination task calls `on_assigned` and `on_revoked`, and waits in
the latter; meanwhile aiokafka does not rebalance.

An assignment goes through three states, so that the port sees them in order with the records:

1. `on_assigned` pauses the partitions and notes them in `_to_position`.
2. The next `poll` looks up where each is read from. Until all are known it returns no records; then
   it moves the partitions to `_assigned` and returns the `Assignment`.
3. `on_revoked` puts a `PendingRevocation` into the gate and waits until the program has drained and
   released, or the group would wait no longer. Commits are open from the first state until the
   release.

A consumer without a group, which only a tail can be, is assigned every partition here: it waits for
no group and shares with nobody.

Rules for whoever edits this file:

- `on_assigned` runs without heartbeats: it notes things and returns. Nothing but `Exception` may
  leave either callback, or aiokafka's coordination task dies.
- Every await on aiokafka is bounded by a timeout of this package, and `getmany` is never cancelled
  (see `fetching.py`).
- A commit is checked right before it is sent (`_check_may_commit`): aiokafka stamps it with the
  generation of that moment, and the broker does not check who owns the partition.
- After any exception out of `getmany` every partition is sought back (`_recover`), since healthy
  records may be gone.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from sdml_kafka.errors import (
    CommitFailed,
    CommitRejected,
    ConfigurationError,
    ConsumerFailed,
    SeekFailed,
)
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.connecting import Connecting
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.bad_batches import BadBatches
from sdml_kafka.transport.aiokafka.consumer.commits import Commits
from sdml_kafka.transport.aiokafka.consumer.fetch_sessions import begin_sessions
from sdml_kafka.transport.aiokafka.consumer.fetching import Batches, FetchedRecords
from sdml_kafka.transport.aiokafka.consumer.health import (
    NEW_PARTITIONS_INTERVAL_S,
    HealthCheck,
    PartitionEnds,
)
from sdml_kafka.transport.aiokafka.consumer.internals import as_client
from sdml_kafka.transport.aiokafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.aiokafka.consumer.positions.behind_bad_batches import BehindBadBatches
from sdml_kafka.transport.aiokafka.consumer.positions.log_bounds import LogBounds
from sdml_kafka.transport.aiokafka.consumer.positions.read_positions import ReadPositions
from sdml_kafka.transport.aiokafka.consumer.positions.start_positions import (
    CommittedStart,
    StartPositions,
    look_up_in_time,
    start_reading,
)
from sdml_kafka.transport.aiokafka.consumer.positions.tail_positions import TailStart
from sdml_kafka.transport.aiokafka.consumer.positions.targets import look_up_targets
from sdml_kafka.transport.aiokafka.consumer.revocation import PendingRevocation, RevocationGate
from sdml_kafka.transport.aiokafka.consumer.shutdown import stop_consumer
from sdml_kafka.transport.aiokafka.consumer.startup import (
    check_consumer,
    check_group,
    explain_start,
)
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.aiokafka.log_filter import own_lines
from sdml_kafka.transport.aiokafka.silent_connections import SilentConnections
from sdml_kafka.transport.aiokafka.startup import Startup
from sdml_kafka.transport.interfaces.consumer import Target
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import (
    Assignment,
    Commit,
    ConsumerSettings,
    Polled,
    Tail,
)

POSITION_RETRY_S = 0.05
MIN_DRAIN_S = 0.5
LOOK_BACK_S = 2.0
"""Seconds that the look at what the group has read before may take."""
REBALANCE_MARGIN_S = 1.0
"""Seconds before the end of the rebalance timeout at which the rebalance goes on anyway."""


class _Callbacks(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    def __init__(self, driver: "ConsumerDriver") -> None:
        self._driver = driver

    def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        self._driver.on_assigned([TopicPartition(*partition) for partition in assigned])

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        await self._driver.on_revoked()


class ConsumerDriver:
    def __init__(self, consumer: object) -> None:
        self._consumer = check_consumer(consumer)
        self.settings: ConsumerSettings = internals.settings_of(self._consumer)
        self.max_poll_interval_s: float = internals.max_poll_interval_s(self._consumer)
        internals.disable_auto_commit(self._consumer)
        self._loop = asyncio.get_running_loop()
        self._connecting = connecting = Connecting(internals.client_of(self._consumer))
        self._startup = Startup(self._consumer, connecting, explain_start)
        self._obstacles = Obstacles(self._consumer, connecting)
        self._topics: Topics
        self._start_positions: StartPositions
        self._health_check: HealthCheck
        self._epoch = 0
        self._generation = -1
        self._may_commit = False
        self._to_position: frozenset[TopicPartition] | None = None
        """Partitions that were assigned and have no position yet."""
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._positions = ReadPositions(self._consumer)
        self._fetched = FetchedRecords(self._consumer, self._positions)
        self._ends = PartitionEnds(self._consumer)
        self._bad_batches = BadBatches()
        self._skips_corrupt = False
        self._behind_bad = BehindBadBatches(self._consumer, self._positions, self._fetched.bad_ends)
        self._sought: dict[TopicPartition, int] = {}
        """The number of the seek for each partition that no poll knows to be moved."""
        self._commits = Commits(self._consumer)
        self._revocations = RevocationGate()
        self._watching: asyncio.Task[None] | None = None
        self._closing = False

    async def start(
        self,
        topics: Collection[str],
        timeout_s: float,
        tail: Tail | None = None,
        *,
        create_topics: bool = False,
        skips_corrupt: bool = False,
    ) -> None:
        self._skips_corrupt = skips_corrupt
        deadline = self._loop.time() + timeout_s
        if tail is None:
            check_group(self._consumer)
        self._topics = names = Topics(self._consumer, topics)
        reads_all = tail is not None and tail.share is None
        self._health_check = HealthCheck(
            self._consumer,
            names,
            self._ends,
            self._connecting,
            refresh_interval_s=NEW_PARTITIONS_INTERVAL_S if reads_all else inf,
            asks_for_ends=tail is None,  # nobody is shown the lag of a tail
        )
        bounds = LogBounds(self._consumer, self._ends.note)
        if tail is None:
            self._start_positions = CommittedStart(self._consumer, names, bounds)
        else:
            self._start_positions = TailStart(self._consumer, names, tail, bounds)
            self._positions.next = dict(tail.positions)
        # Subscribing comes after the start: one with a topic that is missing takes
        # request_timeout_ms, and then fails.
        await self._startup.run(timeout_s)
        begin_sessions(self._consumer)
        self._fetched.begin()
        self._obstacles.watch_joins()
        silent = SilentConnections(self._consumer._client, repeats_produce=False)
        self._watching = self._loop.create_task(silent.close_repeatedly())
        await names.find(deadline - self._loop.time() if create_topics else None)
        with suppress(KafkaError, TimeoutError):  # joining the group meets the same errors
            async with asyncio.timeout(min(LOOK_BACK_S, deadline - self._loop.time())):
                await self._start_positions.look_back()
        if internals.has_group(self._consumer):
            self._consumer.subscribe(list(names.names), listener=_Callbacks(self))
        else:
            self._assign_all(names.partitions())

    # -- poll ----------------------------------------------------------------------------

    async def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Polled:
        if self._closing:
            raise ConsumerFailed("the consumer is closed")
        health_is_due = self._health_check.is_due()
        if health_is_due and (dead := internals.dead_task(self._consumer)) is not None:
            raise ConsumerFailed(f"aiokafka's {dead} has died")
        if health_is_due and not internals.has_group(self._consumer):
            self._follow_topics()
        records: Batches = {}
        if self._to_position is None:
            if self._sought:
                self._sought = {p: number for p, number in self._sought.items() if number > seeks}
                ready = set(ready).difference(self._sought)
            records = await self._fetch(ready, max_records, timeout_s)
        assignment = None
        if self._to_position is not None:
            assignment = await self._position()
        health = None
        if health_is_due or assignment is not None:  # which brings the ends
            health = self._health_check.check(
                self._assigned, self._bad_batches.held(), self._obstacles.find(self._to_position)
            )
            if self._to_position is None:
                # Of a partition that has become empty nothing is fetched.
                self._positions.look(self._assigned)
        positions = self._positions
        moves = positions.news(), positions.take_jumps(), self._behind_bad.take_skipped()
        return Polled(records, assignment, health, *moves)

    async def wait_fetched(self, timeout_s: float) -> None:
        """Wait until a poll may have something to do at once, or the time is over."""
        if self._to_position is None:
            await self._fetched.wait(timeout_s)

    def nudge(self) -> None:
        self._fetched.nudge()

    async def _fetch(
        self, ready: Collection[TopicPartition], max_records: int, timeout_s: float
    ) -> Batches:
        partitions: Collection[TopicPartition] = self._assigned.intersection(ready)
        bad_batches = self._bad_batches
        if bad_batches.is_active:
            partitions, max_records = bad_batches.narrow(partitions, max_records)
        try:
            batches = await self._fetched.read(partitions, max_records, timeout_s)
        except ConsumerFailed:
            raise
        except Exception as error:
            if not self._closing:
                self._recover(error)
            return {}
        if batches is None:
            return {}
        if bad_batches.is_active:
            bad_batches.delivered(batches)
        if self._behind_bad.tries:
            self._behind_bad.delivered(batches)
        return batches

    async def seek(
        self,
        epoch: int,
        number: int,
        targets: Mapping[TopicPartition, Target],
        timeout_s: float,
        *,
        within_log: bool,
    ) -> Mapping[TopicPartition, int]:
        self._check_may_seek(epoch, targets)
        positions = await look_up_targets(self._consumer, targets, timeout_s, within_log=within_log)
        self._check_may_seek(epoch, targets)
        self._fetched.interrupt()  # a poll that waits may take them still
        if self._bad_batches.is_active:
            self._bad_batches = BadBatches()
        for partition, position in positions.items():
            self._sought[partition] = number
            self._positions.seek(partition, position)
            self._consumer.seek(as_client(partition), position)
        return positions

    def _check_may_seek(self, epoch: int, partitions: Collection[TopicPartition]) -> None:
        is_over = epoch != self._epoch or self._to_position is not None
        if self._closing or is_over or not self._assigned.issuperset(partitions):
            raise SeekFailed("The partitions are being revoked: seek once they are assigned again")

    def _recover(self, error: Exception) -> None:
        """Seek every partition back: aiokafka may have dropped healthy records of others."""
        if (final := error_mapping.from_poll(error)) is not None:
            raise final from error
        if internals.dead_task(self._consumer) is not None:
            raise ConsumerFailed(f"aiokafka's coordination has died: {error!r}") from error
        for partition in self._consumer.assignment():
            if (offset := self._positions.next.get(TopicPartition(*partition))) is not None:
                self._consumer.seek(partition, offset)
        self._bad_batches.raised(error, self._assigned)
        if held := self._bad_batches.held():
            self._go_on_behind(held)

    def _go_on_behind(self, held: Mapping[TopicPartition, str]) -> None:
        if self._start_positions.keeps_positions:
            has_moved = self._behind_bad.pass_over(held)
        else:
            has_moved = self._skips_corrupt
            if has_moved:
                self._behind_bad.skip(held)
        if has_moved:
            self._bad_batches = BadBatches()

    # -- assignment ----------------------------------------------------------------------

    def _follow_topics(self) -> None:
        """Assign what the topics have by now: without a group nobody else does."""
        partitions = self._topics.partitions()
        if partitions != {TopicPartition(*each) for each in self._consumer.assignment()}:
            self._assign_all(partitions)

    def _assign_all(self, partitions: Collection[TopicPartition]) -> None:
        self._consumer.assign([as_client(partition) for partition in partitions])
        internals.track_topics(self._consumer, set(self._topics.names))  # those without any, too
        self.on_assigned(partitions)

    def on_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._epoch += 1
        self._generation = internals.generation(self._consumer)
        self._to_position = self._start_positions.hold(assigned)
        self._bad_batches = BadBatches()
        self._may_commit = True
        self._fetched.interrupt()

    async def _position(self) -> Assignment | None:
        """Give the assigned partitions their positions, and return their assignment.

        Return None if another rebalance has come meanwhile, or the next poll has to ask again.
        """
        epoch, partitions = self._epoch, self._to_position or frozenset()
        found = await look_up_in_time(self._start_positions, partitions, self._positions.next)
        if epoch != self._epoch or self._to_position is None:
            return None
        if found is None:
            await asyncio.sleep(POSITION_RETRY_S)
            return None
        start_reading(self._consumer, found)
        self._to_position, self._assigned = None, partitions
        self._sought.clear()
        self._positions.next.update(found.positions)
        self._positions.jumps.extend(found.jumps)
        return Assignment(epoch, found.positions, found.committed, found.elsewhere)

    # -- revocation ----------------------------------------------------------------------

    async def on_revoked(self) -> None:
        """Wait until the partitions are released and the commit in flight is answered."""
        assigned = self._assigned if self._to_position is None else self._to_position
        self._to_position = None
        if not self._start_positions.keeps_positions:
            self._positions.clear()
        lost = internals.generation(self._consumer) == -1
        if lost:
            self._may_commit = False
        if assigned and not self._closing:
            await self._revocations.wait_released(
                PendingRevocation(self._epoch, assigned, lost, self._drain_s())
            )
            self._assigned = frozenset()
            if not lost:
                await self._commits.wait_in_flight(REBALANCE_MARGIN_S / 2)
        self._may_commit = False

    def _drain_s(self) -> float:
        """Return the seconds that the group will wait, with a margin for the last commit.

        The rebalance may have begun a heartbeat interval ago.
        """
        heartbeat_s = internals.heartbeat_interval_s(self._consumer)
        return max(
            MIN_DRAIN_S, self.settings.rebalance_timeout_s - heartbeat_s - REBALANCE_MARGIN_S
        )

    async def next_revocation(self) -> PendingRevocation:
        return await self._revocations.next()

    def release(self, pending: PendingRevocation) -> None:
        if self._revocations.is_current(pending):
            self._may_commit = False
        pending.released.set()

    # -- commit --------------------------------------------------------------------------

    async def commit(
        self, epoch: int, commits: Mapping[TopicPartition, Commit], timeout_s: float
    ) -> None:
        self._start_positions.note_commit({partition.topic for partition in commits})
        with own_lines():
            await self._commits.commit(commits, timeout_s, partial(self._check_may_commit, epoch))

    def _check_may_commit(self, epoch: int) -> None:
        """Raise if a commit of this epoch must not be sent.

        The broker checks the membership, not the ownership, and nothing once the group is empty.
        """
        if not self._may_commit or epoch != self._epoch:
            raise CommitRejected("the assignment that this commit belongs to is over")
        if internals.generation(self._consumer) != self._generation:
            raise CommitRejected("the member is out of its group")
        if (dead := internals.dead_task(self._consumer)) is not None:
            raise CommitFailed(f"aiokafka's {dead} has ended")

    # -- close ---------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> None:
        if self._closing:
            return
        self._closing = True
        self._may_commit = False
        self._revocations.close()
        if self._watching is not None:
            self._watching.cancel()
        with own_lines():
            await self._startup.cancel()
            await self._ends.close()
            await stop_consumer(self._consumer, timeout_s)
            await self._commits.close()


async def build_driver(consumer: object) -> ConsumerDriver:
    """Return a driver of a consumer that a user's factory returned.

    Raises:
        ConfigurationError: The consumer cannot be used. It is closed, unless it was started.
    """
    try:
        return ConsumerDriver(consumer)
    except ConfigurationError:
        if isinstance(consumer, AIOKafkaConsumer) and internals.in_use(consumer) != "started":
            # Nobody else will, and a consumer that is dropped open logs an error.
            await consumer.stop()
        raise
