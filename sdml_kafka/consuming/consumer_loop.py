"""The consumer loop: the one actor that touches the consumer. Polls, opens what is assigned, and
hands over what is taken away."""

from collections.abc import Callable, Collection, Sequence
from logging import getLogger
from typing import Protocol

import anyio
from attrs import define, evolve

from sdml_kafka.consuming.committer import Committer
from sdml_kafka.consuming.ledger import Tenancy
from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.errors import ConsumerFailed, JoinTimeout
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.transport.connect_retry import connected
from sdml_kafka.transport.interfaces import (
    Assignment,
    Connect,
    Consumer,
    ConsumerSettings,
    OnRebalance,
    Revocation,
    TopicPartition,
)

_log = getLogger("sdml_kafka.listener.listener")

IDLE_POLL_S = 0.5
CLOSE_TIMEOUT_S = 2.0
COMMIT_START_TIMEOUT_S = 2.0
CALLBACK_TIMEOUT_S = 5.0
"""Nothing is read while the user's `on_partitions_assigned` runs."""


@define
class Patience:
    """How long the loop waits, in seconds; `drain_s` falls to 0 when there is no time for it."""

    start_s: float
    drain_s: float


class Destination(Protocol):
    """Where records go from the intake."""

    @property
    def topics(self) -> Collection[str]: ...

    def withdraw(self, tenancies: Sequence[Tenancy]) -> None:
        """Take back what waits of these tenancies and is in nobody's hands."""


class ConsumerLoop(Actor):
    def __init__(
        self,
        connect: Connect,
        intake: Intake,
        destination: Destination,
        committer: Committer,
        patience: Patience,
        on_connected: Callable[[ConsumerSettings], None],
        on_assigned: OnRebalance | None,
        on_revoked: OnRebalance | None,
    ) -> None:
        self._connect = connect
        self._intake = intake
        self._destination = destination
        self._committer = committer
        self._patience = patience
        self._on_connected = on_connected
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._revocation: Revocation | None = None

    async def run(self, life: Life) -> None:
        deadline = anyio.current_time() + self._patience.start_s
        with life.cancel_on_stop():
            async with connected(self._connect, self._start, deadline) as consumer:
                self._on_connected(consumer.settings)
                await self._live(consumer, life, deadline)

    async def _start(self, consumer: Consumer, left_s: float) -> None:
        await consumer.start(self._destination.topics, left_s)

    async def _live(self, consumer: Consumer, life: Life, join_by: float) -> None:
        self._committer.consumer = consumer
        self._intake.on_ready = consumer.nudge
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hand_over_when_asked, consumer)
                try:
                    await self._poll(consumer, life, join_by)
                finally:
                    tasks.cancel_scope.cancel()
                    await self._leave()
                    self._release()  # of a hand-over that the leave has taken over
        finally:
            self._committer.consumer = None
            self._intake.health = evolve(self._intake.health, connected=False)
            self._intake.on_ready = lambda: None

    # -- polling -------------------------------------------------------------------------

    async def _poll(self, consumer: Consumer, life: Life, join_by: float) -> None:
        intake, poll_records = self._intake, consumer.settings.poll_records
        while True:
            polled = await consumer.poll(intake.ready(), poll_records, IDLE_POLL_S)
            if polled.assignment is not None:
                await self._opened(polled.assignment)
                life.started()
            elif not life.ready and anyio.current_time() >= join_by:
                raise JoinTimeout(
                    f"The group's rebalance did not end within {self._patience.start_s:g} s. A "
                    "member that died holds it up until its session times out, one that drains "
                    "until it has: try again, or allow more with start_timeout."
                )
            if polled.health is not None:
                for topic in polled.health.missing_topics - intake.health.missing_topics:
                    _log.warning("topic %r does not exist; it is read as soon as it does", topic)
                intake.health = polled.health
            intake.accept(polled.records)

    async def _opened(self, assignment: Assignment) -> None:
        self._intake.open(assignment)
        self._intake.rebalances += 1
        if None in assignment.committed.values():
            # With `latest` a group without a commit starts at the end again: whoever gets these
            # partitions next would skip what came meanwhile.
            await self._committer.commit_last(COMMIT_START_TIMEOUT_S)
        with anyio.move_on_after(CALLBACK_TIMEOUT_S) as scope:
            await self._tell(self._on_assigned, frozenset(assignment.positions))
        if scope.cancelled_caught:
            _log.warning("on_partitions_assigned took over %s s: cut off", CALLBACK_TIMEOUT_S)

    async def _tell(
        self, callback: OnRebalance | None, partitions: frozenset[TopicPartition]
    ) -> None:
        if callback is None:
            return
        try:
            await callback(partitions)
        except Exception:  # the user's code must not end the hand-over
            _log.exception("the rebalance listener raised")

    # -- letting go ----------------------------------------------------------------------

    async def _hand_over_when_asked(self, consumer: Consumer) -> None:
        while True:
            try:
                self._revocation = await consumer.revocation()
            except ConsumerFailed:
                return  # which the poll raises as well: told once
            await self._hand_over(self._revocation)
            self._release()

    def _release(self) -> None:
        if self._revocation is not None:
            self._revocation.release()
            self._revocation = None

    async def _hand_over(self, revocation: Revocation) -> None:
        keys = revocation.partitions
        tenancies = self._withdraw(keys)
        step_s = min(2.0, revocation.deadline_s / 4)
        if not revocation.lost:
            drain_s = min(self._patience.drain_s, revocation.deadline_s - 2 * step_s)
            with anyio.move_on_after(drain_s):
                await self._intake.drained(tenancies)
        with anyio.move_on_after(step_s):
            await self._tell(self._on_revoked, keys)
        if not revocation.lost:
            with anyio.move_on_after(step_s):
                await self._committer.commit_last(step_s)
        self._intake.close(keys)

    async def _leave(self) -> None:
        """Withdraw what waits, let what is in hand finish, commit it. Bounded, then let go."""
        tenancies = self._withdraw(frozenset(self._intake.partitions))
        with anyio.move_on_after(self._patience.drain_s, shield=True):
            await self._intake.drained(tenancies)
        with anyio.move_on_after(CLOSE_TIMEOUT_S + 1.0, shield=True):
            await self._committer.commit_last(CLOSE_TIMEOUT_S)
        self._intake.close(list(self._intake.partitions))

    def _withdraw(self, keys: frozenset[TopicPartition]) -> list[Tenancy]:
        tenancies = self._intake.withdraw(keys)
        self._destination.withdraw(tenancies)
        return tenancies
