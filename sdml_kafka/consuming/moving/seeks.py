"""Reads partitions from elsewhere on, and on where they were paused.

How this works. A partition that is moved is withdrawn, as in a revocation: what waits is taken
back, what is in the user's hands may finish. After that its tenancy ends, the client is moved, and
a new tenancy begins at the new offset. A poll under way may still bring records of before. So each
seek has a number, a partition has that of its last seek, and what polls bring that do not know of
it is dropped (see `Consumer.seek`).

A pause withdraws as well. Then its tenancy stays open until the partition is resumed: what was in
hand finishes and is committed. Reading goes on at the frontier, without what has finished beyond.
So it does after a seek that has failed.

Rules for whoever edits this file:

- A partition that is being revoked never begins anew. Whoever has waited looks at that again.
- The work is done in tasks of the consumer loop: a caller may be a handler that is cut off, and a
  partition that stayed withdrawn would never be read again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

import anyio
import anyio.abc
from attrs import define, field

from sdml_kafka.consuming.committer import Committer
from sdml_kafka.consuming.drain import Drain
from sdml_kafka.consuming.moving.pauses import Pauses
from sdml_kafka.consuming.moving.start_from import StartFrom
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.consuming.partitions import Intake, Partition
from sdml_kafka.errors import ConfigurationError, ConsumerFailed, OffsetBeyondEnd, SeekFailed
from sdml_kafka.transport.interfaces.consumer import Consumer, Target
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment

SEEK_TIMEOUT_S = 5.0
"""Seconds within which brokers have to say where to begin."""
COMMIT_TIMEOUT_S = 2.0
BEGIN_TIMEOUT_S = 30.0
"""Seconds that are spent on finding where an assignment begins. Nothing is polled meanwhile."""
RETRY_S = 0.2


@define(eq=False)
class _Request:
    """A seek that somebody waits for."""

    targets: Mapping[TopicPartition, Target]
    done: anyio.Event = field(factory=anyio.Event)
    error: Exception | None = field(
        factory=lambda: SeekFailed("The consumer was closed: seek once the listener reads again")
    )


class Seeks:
    """Moves the partitions of one listener."""

    def __init__(
        self,
        intake: Intake,
        pauses: Pauses,
        withdraw: Callable[[Sequence[Tenancy]], None],
        committer: Committer,
        drain: Drain,
        start_from: StartFrom,
    ) -> None:
        """Begin without a consumer.

        Args:
            intake: Has the partitions.
            pauses: Those of them that are not to be read.
            withdraw: Takes back the records of tenancies that are in nobody's hands.
            committer: Commits where reading goes on.
            drain: Waits for records in hand.
            start_from: Where partitions begin, if the user says so.
        """
        self._intake = intake
        self._pauses = pauses
        self._withdraw_from_others = withdraw
        self._committer = committer
        self._drain = drain
        self._start_from = start_from
        self._has_forced = False
        self._lock = anyio.Lock()
        """Held by whoever moves partitions."""
        self._tasks: anyio.abc.TaskGroup | None = None
        self._consumer: Consumer | None = None

    async def serve(self, consumer: Consumer) -> None:
        """Do the work with this consumer, until cancelled."""
        self._consumer = consumer
        try:
            async with anyio.create_task_group() as self._tasks:
                await anyio.sleep_forever()
        finally:
            self._tasks = self._consumer = None

    # -- pausing -------------------------------------------------------------------------

    def pause(self, what: str | TopicPartition) -> None:
        """Let no further record of these partitions begin, until they are resumed."""
        self._pauses.set(what, paused=True)
        self._withdraw([p.key for p in self._named(what) if not p.tenancy.withdrawn])

    def resume(self, what: str | TopicPartition) -> None:
        """Read on, as soon as the records have finished that are in hand."""
        self._pauses.set(what, paused=False)
        self._intake.nudge()
        if self._tasks is not None and self._consumer is not None:
            for partition in self._named(what):
                if partition.tenancy.withdrawn and not partition.is_revoked:
                    self._tasks.start_soon(self._go_on, self._consumer, partition)

    def _named(self, what: str | TopicPartition) -> list[Partition]:
        return [p for p in self._intake.partitions.values() if what in (p.key, p.key.topic)]

    async def _go_on(self, consumer: Consumer, partition: Partition) -> None:
        """Read a withdrawn partition on, once nobody has a record of it in hand to repeat."""
        key, tenancy = partition.key, partition.tenancy
        await self._drain.wait_finished([tenancy])
        async with self._lock:
            if self._is_here(partition) and key not in self._pauses:
                with suppress(SeekFailed, ConsumerFailed):  # then another assignment brings it
                    targets = {key: tenancy.frontier()}
                    number, _ = await self._move(consumer, [partition], targets, within_log=False)
                    self._intake.go_on(key, number)
                    self._intake.nudge()

    # -- seeking -------------------------------------------------------------------------

    async def seek(self, what: str | TopicPartition, target: Target) -> None:
        """Read from elsewhere on, and commit that.

        Raises:
            SeekFailed: The partitions are not assigned, or are being revoked, or no broker has said
                in time where to begin.
            OffsetBeyondEnd: The log of one of them ends before the offset.
        """
        if self._tasks is None or self._consumer is None:
            raise SeekFailed("The consumer is being restarted: seek once the listener reads again")
        partitions = self._named(what)
        if not partitions:
            name = repr(what) if isinstance(what, str) else f"{what[0]!r} partition {what[1]}"
            raise SeekFailed(f"{name} is not assigned to this listener, so it cannot be moved")
        request = _Request({partition.key: target for partition in partitions})
        self._tasks.start_soon(self._serve_one, self._consumer, request)
        await request.done.wait()
        if request.error is not None:
            raise request.error

    async def _serve_one(self, consumer: Consumer, request: _Request) -> None:
        try:
            async with self._lock:
                await self._seek(consumer, request.targets)
            await self._committer.commit_by_policy(COMMIT_TIMEOUT_S)
            request.error = None
        except Exception as error:
            request.error = error
        finally:
            request.done.set()

    async def _seek(self, consumer: Consumer, targets: Mapping[TopicPartition, Target]) -> None:
        partitions = [p for key in targets if (p := self._intake.partitions.get(key)) is not None]
        if len(partitions) < len(targets):
            raise _revoked()
        self._check(partitions)
        tenancies = self._withdraw(targets)
        try:
            await self._drain.wait(tenancies)
            number, positions = await self._move(consumer, partitions, targets)
        except Exception:
            assert self._tasks is not None  # this is one of them
            for partition in partitions:
                self._tasks.start_soon(self._go_on, consumer, partition)
            raise
        for key, position in positions.items():
            self._intake.restart(key, position, number)
        self._intake.nudge()

    async def _move(
        self,
        consumer: Consumer,
        partitions: Collection[Partition],
        targets: Mapping[TopicPartition, Target],
        *,
        within_log: bool = True,
    ) -> tuple[int, Mapping[TopicPartition, int]]:
        """Move the client; return the number of that seek, and where the partitions begin."""
        self._check(partitions)
        self._intake.seeks = number = self._intake.seeks + 1
        epoch = max(partition.tenancy.epoch for partition in partitions)
        wanted = epoch, number, targets, SEEK_TIMEOUT_S
        positions = await consumer.seek(*wanted, within_log=within_log)
        self._check(partitions)
        return number, positions

    def _check(self, partitions: Collection[Partition]) -> None:
        """Raise SeekFailed unless all of these partitions are still this consumer's."""
        if not all(map(self._is_here, partitions)):
            raise _revoked()

    def _is_here(self, partition: Partition) -> bool:
        is_same = self._intake.partitions.get(partition.key) is partition
        return is_same and not partition.is_revoked

    def _withdraw(self, keys: Collection[TopicPartition]) -> list[Tenancy]:
        tenancies = self._intake.withdraw(keys)
        self._withdraw_from_others(tenancies)
        return tenancies

    # -- beginning -----------------------------------------------------------------------

    async def begin(self, consumer: Consumer, assignment: Assignment) -> None:
        """Move the partitions of a new assignment to where the user lets them begin.

        Raises:
            SeekFailed: No broker has said in time where that is.
            ConfigurationError: An offset lies beyond the end of its log.
        """
        does_force = self._start_from.force and not self._has_forced
        commits = {key: commit for key, commit in assignment.committed.items() if commit}
        # What else of a topic that was read has no commit is new, and begins at its beginning.
        names_partitions = isinstance(self._start_from.start, Mapping)
        read = set[str]() if names_partitions else {key.topic for key in commits}
        targets: dict[TopicPartition, Target] = {
            key: target
            for key in self._intake.present(assignment)
            if (does_force or not (key in commits or key.topic in read))
            and (target := self._start_from.target_of(key)) is not None
        }
        if targets:
            await self._begin_at(consumer, targets)
        self._has_forced = self._has_forced or bool(assignment.positions)

    async def _begin_at(self, consumer: Consumer, targets: Mapping[TopicPartition, Target]) -> None:
        partitions = [self._intake.partitions[key] for key in targets]
        deadline = anyio.current_time() + BEGIN_TIMEOUT_S
        while here := [partition for partition in partitions if self._is_here(partition)]:
            try:
                async with self._lock:
                    left: dict[TopicPartition, Target] = {p.key: targets[p.key] for p in here}
                    number, positions = await self._move(consumer, here, left)
                    for key, position in positions.items():
                        self._intake.restart(key, position, number)
                return
            except OffsetBeyondEnd as error:
                raise ConfigurationError(f"start_from: {error}") from None
            except SeekFailed:
                if anyio.current_time() >= deadline:
                    raise
            await anyio.sleep(RETRY_S)


def _revoked() -> SeekFailed:
    return SeekFailed("The partitions are being revoked: seek once they are assigned again")
