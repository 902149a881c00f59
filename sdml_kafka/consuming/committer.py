"""Commits: one at a time, of whatever has finished when it starts; and the actor that says when."""

from collections.abc import Callable
from logging import getLogger

import anyio

from sdml_kafka.consuming.commit_schedule import AutoCommit, CommitSchedule
from sdml_kafka.consuming.ledger import Ledger
from sdml_kafka.errors import CommitFailed, CommitRejected
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.transport.interfaces import Consumer, TopicPartition

_log = getLogger("sdml_kafka.listener.listener")

COMMIT_TIMEOUT_S = 5.0
RETRY_S = 1.0


class Committer:
    """Used by the schedule, by the hand-over and by the user; they take turns."""

    def __init__(self, ledger: Ledger, flush: Callable[[], None]) -> None:
        self._ledger = ledger
        self._flush = flush
        self._lock = anyio.Lock()
        self.consumer: Consumer | None = None
        self.automatic = True
        """False: only the user's own calls commit, at a hand-over and leaving included."""

    async def commit(self, timeout_s: float = COMMIT_TIMEOUT_S) -> None:
        """Commit what has finished. CommitRejected, CommitFailed, AuthorizationFailed."""
        deadline = anyio.current_time() + timeout_s
        with anyio.move_on_after(timeout_s) as waiting:
            await self._lock.acquire()
        if waiting.cancelled_caught:
            raise CommitFailed(f"an earlier commit is still under way after {timeout_s:g} s")
        try:
            await self._commit(deadline)
        finally:
            self._lock.release()

    async def commit_last(self, timeout_s: float) -> None:
        """What finished last, before partitions are let go."""
        if not self.automatic:
            return
        try:
            await self.commit(timeout_s)
        except CommitFailed as error:
            _log.warning("what finished last was not committed and will come again: %s", error)

    async def _commit(self, deadline: float) -> None:
        self._flush()
        moves = self._ledger.committable()
        if not moves:
            return
        if self.consumer is None:
            raise CommitFailed("the consumer is being restarted: try again in a moment")
        epoch = max(epoch for epoch, _ in moves.values())
        offsets = {TopicPartition(*key): offset for key, (_, offset) in moves.items()}
        remaining = max(0.1, deadline - anyio.current_time())
        await self.consumer.commit(epoch, offsets, remaining)
        for (topic, partition), (epoch, offset) in moves.items():
            self._ledger.committed(topic, partition, epoch, offset)


class CommitScheduler(Actor):
    def __init__(self, policy: AutoCommit | None, committer: Committer, ledger: Ledger) -> None:
        self._policy = policy
        self._committer = committer
        self._ledger = ledger

    async def run(self, life: Life) -> None:
        schedule = CommitSchedule(self._policy, anyio.current_time(), self._ledger.finished)
        life.started()
        with life.cancel_on_stop():
            while True:
                await self._wait_due(schedule)
                await self._commit(schedule)

    async def _wait_due(self, schedule: CommitSchedule) -> None:
        while not schedule.is_due(anyio.current_time(), self._ledger.finished):
            due = anyio.Event()
            self._ledger.notify = due.set
            count, at = schedule.due_count(), schedule.due_at()
            if count is not None:
                self._ledger.notify_at = count
            timeout_s = None if at is None else max(0.0, at - anyio.current_time())
            with anyio.move_on_after(timeout_s):
                await due.wait()

    async def _commit(self, schedule: CommitSchedule) -> None:
        taken = self._ledger.finished
        try:
            await self._committer.commit()
        except CommitRejected:
            pass  # the partitions are being handed over, which commits by itself
        except CommitFailed as error:
            _log.warning("commit failed, to be tried again: %s", error)
            schedule.failed(anyio.current_time(), RETRY_S)
            return
        schedule.committed(anyio.current_time(), taken)
