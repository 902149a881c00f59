"""The port's consumer over librdkafka: the program's side of it."""

from collections import deque
from collections.abc import AsyncGenerator, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from logging import getLogger
from time import monotonic
from typing import Any

import anyio

from sdml_kafka.errors import (
    CommitFailed,
    CommitRejected,
    ConsumerFailed,
    SdmlKafkaError,
    SeekFailed,
)
from sdml_kafka.log_fields import fields
from sdml_kafka.runtime.waiter import wake
from sdml_kafka.transport.fetched.parts import sizes_of
from sdml_kafka.transport.interfaces.consumer import Connect, Consumer, Target
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import (
    Commit,
    ConsumerSettings,
    Polled,
    Revocation,
    Tail,
)
from sdml_kafka.transport.interfaces.transactions import GroupMetadata
from sdml_kafka.transport.librdkafka.consumer.assignments import PendingRevocation
from sdml_kafka.transport.librdkafka.consumer.driver import ConsumerDriver
from sdml_kafka.transport.librdkafka.group_protocol import (
    POLL_INTERVAL,
    POLL_INTERVAL_MS,
    group_protocol,
)
from sdml_kafka.transport.librdkafka.options import COMMIT_INTERVAL, NO_GROUP, Settings
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop, ThreadEnded
from sdml_kafka.transport.librdkafka.token_waits import made_apart

CLOSE_TIMEOUT_S = 3.0
"""Seconds that leaving a context waits for. Without a broker that takes a second; but librdkafka
waits up to a minute for the answer to a commit, in a thread that does not keep the program."""
JOINING_CLOSE_TIMEOUT_S = 0.3
"""The same for a member of the classic protocol that its group has not taken yet. librdkafka waits
for the answer to its request to join, which comes once the rebalance has ended."""
POLL_RECORDS = 8000
"""The number of records that a poll takes. They are decoded by then, in another thread."""
CLOSED = "the consumer is closed"
SEEK_RETRY_S = 0.1
AUTO_COMMIT_INTERVAL_S = 5.0

_log = getLogger("sdml_kafka.transport")


def connect(settings: Settings) -> Connect:
    """Return the port's `Connect` over consumers with this configuration (`options.py`)."""

    @asynccontextmanager
    async def open_consumer() -> AsyncGenerator[Consumer]:
        loop = ProgramLoop()
        consumer = await made_apart(settings, lambda: LibrdkafkaConsumer(settings, loop))
        if consumer.settings.group_id:
            _log_choice(group_protocol(settings).decided_by)
        try:
            yield consumer
        finally:
            await consumer.close(CLOSE_TIMEOUT_S)

    return open_consumer


def _log_choice(decided_by: Collection[str]) -> None:
    """Log that options have chosen the group protocol, which nobody asked for by its name."""
    if decided_by:
        _log.warning(
            "%s: this option is of the classic group protocol, so the member joins by that one and "
            "not by KIP-848's. Give 'group.protocol': 'classic' if that is meant; else leave the "
            "option out, since with KIP-848 the broker decides it",
            ", ".join(map(repr, decided_by)),
            extra=fields(),
        )


def settings_of(settings: Settings) -> ConsumerSettings:
    """Return what the package has to know of a configuration."""
    max_poll_interval_s = int(settings.get(POLL_INTERVAL, POLL_INTERVAL_MS)) / 1000
    in_group = settings["group.id"] != NO_GROUP
    return ConsumerSettings(
        group_id=str(settings["group.id"]) if in_group else "",
        auto_commit_interval_s=AUTO_COMMIT_INTERVAL_S if settings.get(COMMIT_INTERVAL, 1) else None,
        rebalance_timeout_s=max_poll_interval_s,
        stall_limit_s=max_poll_interval_s,
        poll_records=POLL_RECORDS,
        incremental=not in_group or group_protocol(settings).is_incremental,
    )


class LibrdkafkaConsumer:
    """Carries each call of the port to the thread that it is for, and its result back."""

    def __init__(self, settings: Settings, loop: ProgramLoop) -> None:
        self.settings: ConsumerSettings = settings_of(settings)
        self._loop = loop
        self._driver = driver = ConsumerDriver(loop, settings, self.settings, self._note_revocation)
        self._exchange = driver.exchange
        self._member = driver.member_thread
        self._revocations: deque[PendingRevocation] = deque()
        self._is_revoked = anyio.Event()
        self._is_closed = False

    async def start(
        self,
        topics: Collection[str],
        timeout_s: float,
        tail: Tail | None = None,
        *,
        create_topics: bool = False,
        skips_corrupt: bool = False,
    ) -> None:
        options = {"create_topics": create_topics, "skips_corrupt": skips_corrupt}
        start = partial(self._driver.start, topics, timeout_s, tail, **options)
        self._member.start()
        try:
            await self._member.call(start)
        except ThreadEnded:
            raise ConsumerFailed(CLOSED) from None

    def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Coroutine[Any, Any, Polled]:
        return self._exchange.poll(ready, max_records, timeout_s, seeks)

    def sizes(self, records: Sequence[Record]) -> Sequence[int]:
        return sizes_of(records)

    def nudge(self) -> None:
        self._exchange.nudge()

    # -- revocations ---------------------------------------------------------------------

    def _note_revocation(self, pending: PendingRevocation) -> None:
        """Take a revocation, in the member's thread."""
        self._loop.call_soon(partial(self._take_revocation, pending))

    def _take_revocation(self, pending: PendingRevocation) -> None:
        self._revocations.append(pending)
        self._is_revoked.set()

    async def revocation(self) -> Revocation:
        while True:
            while self._revocations and self._revocations[0].is_released:
                self._revocations.popleft()
            if self._revocations:
                break
            self._is_revoked = anyio.Event()
            await self._is_revoked.wait()
        pending = self._revocations[0]
        left_s = max(0.0, pending.deadline - monotonic())
        return Revocation(
            pending.epoch, pending.partitions, pending.lost, left_s, partial(self._release, pending)
        )

    def _release(self, pending: PendingRevocation) -> None:
        if not pending.is_released:
            pending.is_released = True
            self._driver.release(pending)

    # -- commits and seeks ---------------------------------------------------------------

    async def commit(
        self, epoch: int, commits: Mapping[TopicPartition, Commit], timeout_s: float
    ) -> None:
        if self._is_closed or self._member.is_over:
            raise CommitRejected(CLOSED)
        waiter, outcomes = self._loop.new_waiter(), list[SdmlKafkaError | None]()

        def settle(outcome: SdmlKafkaError | None) -> None:
            outcomes.append(outcome)
            self._loop.call_soon(partial(wake, waiter))

        self._member.call_soon(
            partial(self._driver.commit, epoch, dict(commits), timeout_s, settle)
        )
        with anyio.move_on_after(timeout_s):
            await waiter
        if not outcomes:
            raise CommitFailed(
                f"no answer within {timeout_s:g} s: the commit may have gone through or not"
            )
        if outcomes[0] is not None:
            raise outcomes[0]

    async def group_metadata(
        self, epoch: int, partitions: Collection[TopicPartition], timeout_s: float
    ) -> GroupMetadata:
        if self._is_closed:
            raise CommitRejected(CLOSED)
        ask = partial(self._driver.member.group_metadata, epoch, frozenset(partitions))
        try:
            with anyio.move_on_after(timeout_s):
                return await self._member.call(ask)
        except ThreadEnded:
            raise CommitRejected(CLOSED) from None
        raise CommitFailed(f"the client did not answer within {timeout_s:g} s; nothing was sent")

    async def seek(
        self,
        epoch: int,
        number: int,
        targets: Mapping[TopicPartition, Target],
        timeout_s: float,
        *,
        within_log: bool = False,
    ) -> Mapping[TopicPartition, int]:
        deadline = monotonic() + timeout_s
        seeks = self._driver.seeks
        look_up = partial(seeks.look_up, epoch, targets, deadline, within_log=within_log)
        try:
            found = await self._member.call(look_up)
            while found is None:
                await anyio.sleep(SEEK_RETRY_S)
                found = await self._member.call(look_up)
            seek = partial(self._driver.seek, epoch, number, found)
            await self._driver.fetching_thread.call(seek)
        except ThreadEnded:
            raise SeekFailed(CLOSED) from None
        return found

    # -- close ---------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> None:
        self._is_closed = True
        if self._driver.member.is_kept_waiting:
            timeout_s = min(timeout_s, JOINING_CLOSE_TIMEOUT_S)
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._driver.fetching_thread.stop, timeout_s)
                tasks.start_soon(self._member.stop, timeout_s)
