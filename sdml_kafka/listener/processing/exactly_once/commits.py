"""Commits one transaction after another: what it says of the offsets, and how long it is asked for.

How this works. In the turn of a commit the ledger says what would be committable if the records of
the transaction had finished (`Tenancy.progress_with`), and the consumer who it is in its group; the
group refuses a member that it has replaced. Both are committed with what was sent.

What the broker has not answered in time is asked again, until it is known. A cut short at a
hand-over, or a client that fails or learns nothing for long, leaves the transaction in doubt. An
outcome that is not known is never treated as one.
"""

from collections.abc import Callable, Iterable, Mapping
from logging import WARNING
from math import inf

import anyio

from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.offsets.tenancy import Progress, Tenancy
from sdml_kafka.errors import (
    CommitFailed,
    ProducerFailed,
    ProducerFenced,
    SdmlKafkaError,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.hooks.batches import CommitHooks
from sdml_kafka.listener.processing.exactly_once.stage import Ended
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.interfaces.transactions import GroupOffsets, TransactionalProducer

COMMIT_TIMEOUT_S = 5.0
"""Seconds after which a commit that was not answered is asked for again."""
METADATA_TIMEOUT_S = 2.0
IN_DOUBT_PAUSE_S = 0.1
"""Seconds between two requests for the same commit."""
MOST_DOUBT_S = 30.0
"""Seconds after which a client is replaced that does not learn what became of a commit."""


class Commits:
    """Commits the transactions of one producer."""

    _scope: anyio.CancelScope | None = None

    def __init__(
        self,
        name: str,
        producer: TransactionalProducer,
        current: CurrentConsumer,
        hooks: CommitHooks,
        log: RateLimitedLog,
        clock: Callable[[], float],
    ) -> None:
        """Begin with no commit under way.

        Args:
            name: The processor's name.
            producer: Commits.
            current: The consumer in whose name offsets are committed.
            hooks: Observe commits.
            log: The listener's log.
            clock: The clock of the event loop.
        """
        self._name, self._producer, self._current = name, producer, current
        self._hooks, self._log, self._clock = hooks, log, clock
        self._grace_s = inf
        """Seconds that a commit may take."""

    @property
    def is_under_way(self) -> bool:
        """True if the broker was asked for a commit and has not answered."""
        return self._scope is not None

    def limit(self, grace_s: float) -> None:
        """Give a commit under way, or one that follows, no more than these seconds."""
        self._grace_s = min(self._grace_s, grace_s)
        if self._scope is not None and self._grace_s < inf:
            deadline = anyio.current_time() + self._grace_s
            self._scope.deadline = min(self._scope.deadline, deadline)

    async def commit(self, progress: Mapping[Tenancy, Progress]) -> Exception | None:
        """Commit what was sent with this progress; return None, or why nobody knows the outcome.

        Raises:
            TransactionFailed, ProducerFenced, CommitFailed: It was not committed.
            AuthorizationFailed: It was not committed, since the broker does not allow that.
            ConfigurationError: The client has no transactions that the group would refuse.
        """
        offsets = await self._group_offsets(progress)
        since = self._clock()
        try:
            doubt = await self._commit_until_known(offsets)
        except SdmlKafkaError as error:
            self._hooks.failed(offsets.commits, self._clock() - since, error)
            raise
        if doubt is None:
            self._hooks.committed(offsets.commits, self._clock() - since)
        else:
            self._hooks.failed(offsets.commits, self._clock() - since, doubt)
        return doubt

    async def _group_offsets(self, progress: Mapping[Tenancy, Progress]) -> GroupOffsets:
        consumer = self._current.consumer
        if consumer is None:
            raise CommitFailed("the consumer is being restarted")
        commits = {
            TopicPartition(tenancy.topic, tenancy.partition): Commit(each.offset, each.map)
            for tenancy, each in progress.items()
        }
        epoch = max(tenancy.epoch for tenancy in progress)
        metadata = await consumer.group_metadata(epoch, commits.keys(), METADATA_TIMEOUT_S)
        return GroupOffsets(metadata, commits)

    async def _commit_until_known(self, offsets: GroupOffsets) -> Exception | None:
        doubt: Exception = TransactionInDoubt("it was cut short by a hand-over")
        since = self._clock()
        with anyio.CancelScope(shield=True) as self._scope:
            self.limit(self._grace_s)
            try:
                while True:
                    try:
                        await self._producer.commit(offsets, COMMIT_TIMEOUT_S)
                    except TransactionInDoubt as error:
                        doubt = error
                        text = "%s: a transaction is asked for again that is in doubt: %s"
                        extra = fields(handler=self._name, error=error)
                        kind = f"doubt {self._name}"
                        self._log.log(WARNING, kind, text, self._name, error, extra=extra)
                        if self._clock() >= since + MOST_DOUBT_S:
                            return error
                        await anyio.sleep(IN_DOUBT_PAUSE_S)
                    else:
                        return None
            except ProducerFenced:
                raise
            except ProducerFailed as error:
                return error
            finally:
                self._scope = None
        return doubt


def progress_with(members: Iterable[Ended]) -> Mapping[Tenancy, Progress]:
    """Return what would be committable if the records of a transaction had finished.

    Raises:
        TransactionFailed: That cannot be said of all of them.
    """
    offsets: dict[Tenancy, list[int]] = {}
    for ended in members:
        offsets.setdefault(ended.jobs[0].tenancy, []).extend(job.offset for job in ended.jobs)
    result: dict[Tenancy, Progress] = {}
    for tenancy, finished in offsets.items():
        place = f"{tenancy.topic!r} partition {tenancy.partition}"
        if not tenancy.open or tenancy.in_doubt:
            raise TransactionFailed(f"{place} is not this member's any more")
        progress = tenancy.progress_with(finished)
        if progress is None:
            tenancy.begin_in_order()
            raise TransactionFailed(f"too much has finished out of order of {place}")
        result[tenancy] = progress
    return result
