"""The consumer loop: the one actor that polls the consumer.

How this works. One life of the actor is one consumer: connect, join the group, poll until stopped,
release everything, leave the group. When there are further topics to read, or only the group knows
what a transaction has committed, the life goes on with a new consumer: this counts as no crash.
A poll brings an assignment (a new tenancy begins for each of its partitions), records (they go into
the intake), or the consumer's health. Beside the polling a second task waits for revocations,
because the client below stands still inside its poll until a revocation is released. A revocation,
and likewise leaving, goes step by step:

1. withdraw: records that wait are taken back, those in the user's hands stay there;
2. drain: those in hand get a limited time to finish;
3. commit what has finished;
4. release: the tenancies end, and the rebalance goes on.

A revocation may name all partitions or, where rebalances are incremental, some. Whatever it does
not name goes on: it is polled, handled and committed meanwhile. So an assignment that comes on top
is prepared in a task of its own, and its partitions are not read before that is done.

Rules for whoever edits this file:

- Every step is bounded, and whatever happens a revocation is released, since the whole group waits
  for it. The user's callbacks are bounded as well, and what they raise is logged.
- Partitions that are lost (the member is out of the group already) are withdrawn and closed without
  a drain or a commit: somebody else may be reading them.
- What happens on leaving is shielded from cancellation, so that finished records are committed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from logging import ERROR, WARNING
from math import inf
from typing import Protocol

import anyio
from anyio.abc import TaskGroup
from attrs import evolve

from sdml_kafka.consuming.committer import Committer
from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.drain import Drain
from sdml_kafka.consuming.moving.seeks import Seeks
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.consuming.operator_log import OperatorLog
from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.errors import ConsumerFailed, JoinTimeout
from sdml_kafka.log_fields import fields
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.runtime.waiter import clock
from sdml_kafka.transport.connect_retry import connected
from sdml_kafka.transport.interfaces.consumer import POLL_TIMEOUT_S, Connect, Consumer, OnRebalance
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, End, Health, Revocation

BLOCKING_STEP_S = 2.0
"""Seconds that one step may take for which the polling or the group waits: a commit, or the
user's `on_partitions_revoked`."""
ON_ASSIGNED_TIMEOUT_S = 5.0
"""Seconds that the user's `on_partitions_assigned` may take; its partitions are not polled
meanwhile."""


class Destination(Protocol):
    """The next place of records after the intake."""

    @property
    def topics(self) -> Collection[str]:
        """The topics to read. Whoever adds some nudges the consumer."""
        ...

    def withdraw(self, tenancies: Sequence[Tenancy]) -> None:
        """Take back the records of these tenancies that wait and are in nobody's hands."""


class ConsumerLoop(Actor):
    """Polls, opens the partitions that are assigned, and releases those that are revoked.

    Args:
        connect: Makes the consumer.
        current: Holds the consumer for the others as long as this life lasts.
        intake: Takes assignments and records.
        destination: Says which topics to read, and withdraws what it took from the intake.
        committer: Commits before partitions are released.
        drain: Waits for records in hand before partitions are released.
        log: The log of the part that this loop works for; it looks at the loop meanwhile.
        start_timeout_s: Seconds until the first assignment has to be there.
        create_topics: Whether each start creates the topics that are missing.
        skips_corrupt: Whether to go on behind batches that do not decode.
        on_records: Called after records went into the intake.
        on_health: Called with the client's health whenever it was looked at, and with the times
            between which that was, before records of the same poll go into the intake.
        on_assigned: The user's callback for an assignment.
        on_revoked: The user's callback for a revocation, called after the drain.
        seeks: Moves partitions for the user's calls, and to where the user lets them begin.
    """

    def __init__(
        self,
        connect: Connect,
        current: CurrentConsumer,
        intake: Intake,
        destination: Destination,
        committer: Committer,
        drain: Drain,
        log: OperatorLog,
        *,
        start_timeout_s: float,
        create_topics: bool,
        skips_corrupt: bool,
        on_records: Callable[[], None],
        on_health: Callable[[Health, float, float], None] | None = None,
        on_assigned: OnRebalance | None = None,
        on_revoked: OnRebalance | None = None,
        seeks: Seeks | None = None,
    ) -> None:
        self._connect = connect
        self._current = current
        self._intake = intake
        self._destination = destination
        self._committer = committer
        self._drain = drain
        self._log = log
        self._start_timeout_s = start_timeout_s
        self._create_topics, self._skips_corrupt = create_topics, skips_corrupt
        self._on_records = on_records
        self._on_health = on_health
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._seeks = seeks
        self._revocation: Revocation | None = None
        self._told = frozenset[TopicPartition]()
        """The partitions that `on_assigned` was called with, and `on_revoked` was not since."""
        self._callback = anyio.Lock()
        """Held while a callback of the user runs."""
        self._topics: Collection[str] = ()
        """The topics that the present consumer reads."""

    async def run(self, life: Life) -> None:
        """Live as long as consumers do that read the topics which are to be read."""
        with life.cancel_on_stop():
            while True:
                deadline = anyio.current_time() + self._start_timeout_s
                async with connected(self._connect, self._start, deadline) as consumer:
                    await self._live(consumer, life, deadline)

    async def _start(self, consumer: Consumer, left_s: float) -> None:
        self._topics = topics = self._destination.topics
        options = {"create_topics": self._create_topics, "skips_corrupt": self._skips_corrupt}
        await consumer.start(topics, left_s, None, **options)

    async def _live(self, consumer: Consumer, life: Life, join_deadline: float) -> None:
        self._intake.must_rejoin = False
        try:
            self._log.began(consumer.settings)
            with self._current.set_to(consumer):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._serve_revocations, consumer)
                    tasks.start_soon(self._log.watch, consumer.settings)
                    if self._seeks is not None:
                        tasks.start_soon(self._seeks.serve, consumer)
                    try:
                        await self._poll(consumer, life, join_deadline, tasks)
                    finally:
                        tasks.cancel_scope.cancel()
                        try:
                            await self._leave()
                        finally:
                            self._release()  # a revocation that was cut off by leaving
        finally:
            self._intake.health = evolve(self._intake.health, connected=False)
            self._log.close()

    # -- polling -------------------------------------------------------------------------

    async def _poll(
        self, consumer: Consumer, life: Life, join_deadline: float, tasks: TaskGroup
    ) -> None:
        """Poll until there are other topics to read, or the group has to be joined anew."""
        intake, poll_records = self._intake, consumer.settings.poll_records
        now, on_health = clock(), self._on_health
        while self._destination.topics == self._topics and not intake.must_rejoin:
            asked_at = now()
            ready = intake.ready()
            most, seeks = intake.budget.most_records(poll_records), intake.seeks
            polled = await consumer.poll(ready, most, POLL_TIMEOUT_S, seeks)
            polled_at = now()
            if polled.assignment is not None:
                ends = (polled.health or Health(False, {})).ends
                is_apart = polled.assignment.adds and life.ready
                await self._open(consumer, polled.assignment, ends, tasks if is_apart else None)
                life.started()
            if polled.health is not None:
                intake.note_health(polled.health, asked_at)
                self._log.looked(polled_at)
                if on_health is not None:
                    on_health(polled.health, asked_at, polled_at)
            if not life.ready and anyio.current_time() >= join_deadline:
                raise intake.health.obstacle or JoinTimeout(
                    f"The group's rebalance did not end within {self._start_timeout_s:g} s. A "
                    "member that died holds it up until its session times out, one that drains "
                    "until it has: try again, or allow more with start_timeout."
                )
            if polled.jumps:
                intake.count_jumps(polled.jumps)
                self._log.jumped(polled.jumps)
            if polled.corrupt:
                intake.corrupt += sum(each.lost for each in polled.corrupt)
                self._log.skipped(polled.corrupt)
            if polled.records or polled.positions:
                self._restart(intake.set_back(polled, seeks))
                intake.accept(polled.records, polled.positions, consumer.sizes, seeks)
            if polled.records:
                self._on_records()
            del polled  # its records would stay in memory while the next poll waits

    def _restart(self, set_back: Mapping[TopicPartition, int]) -> None:
        """Begin partitions anew whose log is another one; what waits of the old one is gone."""
        for key, position in set_back.items():
            self._withdraw([key])
            self._intake.restart(key, position)

    async def _open(
        self,
        consumer: Consumer,
        assignment: Assignment,
        ends: Mapping[TopicPartition, End],
        tasks: TaskGroup | None,
    ) -> None:
        """Begin the tenancies of an assignment; with `tasks` return before all is prepared."""
        self._intake.open(assignment, ends)
        self._log.joined(assignment)
        if tasks is None:
            await self._prepare(consumer, assignment)
        else:
            self._intake.hold_back(assignment)
            tasks.start_soon(self._prepare_apart, consumer, assignment)

    async def _prepare_apart(self, consumer: Consumer, assignment: Assignment) -> None:
        """Prepare what comes on top, while the other partitions are read."""
        await self._prepare(consumer, assignment)
        self._intake.read_now(assignment)

    async def _prepare(self, consumer: Consumer, assignment: Assignment) -> None:
        """Do what comes before the reading of partitions that are new here."""
        if self._seeks is not None:
            await self._seeks.begin(consumer, assignment)
        if any(tenancy.committed is None for tenancy in self._intake.ledger.tenancies.values()):
            # With `latest` a group without a commit starts at the end again: whoever gets these
            # partitions next would skip what came meanwhile. A commit beyond the end is none.
            await self._committer.commit_by_policy(BLOCKING_STEP_S)
        with anyio.move_on_after(ON_ASSIGNED_TIMEOUT_S) as scope:
            await self._call(self._on_assigned, partial(self._new_of, assignment), inf)
        if scope.cancelled_caught:
            text = "on_partitions_assigned took over %g s and was cut off"
            extra, limit_s = fields(seconds=ON_ASSIGNED_TIMEOUT_S), ON_ASSIGNED_TIMEOUT_S
            self._log.limited.log(WARNING, "on_assigned", text, limit_s, extra=extra)

    def _new_of(self, assignment: Assignment) -> frozenset[TopicPartition] | None:
        """Return what an assignment has brought; None if nothing of that is here still."""
        present = self._intake.present(assignment)
        self._told |= present
        is_empty = not assignment.positions and not assignment.adds
        return present if present or is_empty else None

    def _told_of(self, partitions: frozenset[TopicPartition]) -> frozenset[TopicPartition] | None:
        """Return those of which `on_assigned` was called before, None if it was of none."""
        told, self._told = self._told & partitions, self._told - partitions
        return told or None

    async def _call(
        self,
        callback: OnRebalance | None,
        partitions: Callable[[], frozenset[TopicPartition] | None],
        wait_s: float,
    ) -> None:
        """Call the user's callback once no other one runs, but after `wait_s` in any case.

        It is called with what `partitions` returns then, and not at all if that is None.
        """
        if callback is None:
            return
        with anyio.move_on_after(wait_s) as waiting:
            await self._callback.acquire()
        try:
            if (called_for := partitions()) is not None:
                await callback(called_for)
        except Exception as error:  # the user's code must not end the revocation
            text = "the rebalance listener raised"
            extra = fields(error=error)
            self._log.limited.log(ERROR, "rebalance listener", text, error=error, extra=extra)
        finally:
            if not waiting.cancelled_caught:
                self._callback.release()

    # -- letting go ----------------------------------------------------------------------

    async def _serve_revocations(self, consumer: Consumer) -> None:
        while True:
            try:
                self._revocation = await consumer.revocation()
            except ConsumerFailed:
                return  # the poll raises it as well, and once is enough
            await self._revoke(self._revocation)
            self._release()

    def _release(self) -> None:
        if self._revocation is not None:
            self._revocation.release()
            self._revocation = None

    async def _revoke(self, revocation: Revocation) -> None:
        partitions = revocation.partitions
        self._intake.note_revoked(partitions)
        tenancies = self._withdraw(partitions)
        self._log.revoking(revocation, tenancies)
        step_s = min(BLOCKING_STEP_S, revocation.deadline_s / 4)
        if revocation.lost:
            self._drain.cut_off(tenancies)
        if not revocation.lost:
            began = anyio.current_time()
            await self._drain.wait(tenancies, limit_s=revocation.deadline_s - 2 * step_s)
            self._log.drained(tenancies, began, is_leaving=False)
        with anyio.move_on_after(step_s):
            await self._call(self._on_revoked, partial(self._told_of, partitions), step_s / 2)
        if not revocation.lost:
            with anyio.move_on_after(step_s):
                await self._committer.commit_by_policy(step_s)
        self._intake.close(partitions)
        self._log.released(revocation)

    async def _leave(self) -> None:
        self._intake.note_revoked(list(self._intake.partitions))
        tenancies = self._withdraw(frozenset(self._intake.partitions))
        began = anyio.current_time()
        await self._drain.wait(tenancies, shield=True)
        self._log.drained(tenancies, began, is_leaving=True)
        with anyio.move_on_after(BLOCKING_STEP_S + 1.0, shield=True):
            await self._committer.commit_by_policy(BLOCKING_STEP_S)
        self._intake.close(list(self._intake.partitions))

    def _withdraw(self, partitions: Collection[TopicPartition]) -> list[Tenancy]:
        tenancies = self._intake.withdraw(partitions)
        self._destination.withdraw(tenancies)
        return tenancies
