"""Calls hooks for records of which several were delivered, have finished or are committed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.events import Committed, Delivered, FailedCommit, Finished
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit


class Tenancy(Protocol):
    """A stay of a partition."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...


class Chunk(Protocol):
    """Records that were delivered together; see `consuming/offsets/chunks.py`."""

    @property
    def tenancy(self) -> Tenancy: ...
    @property
    def offsets(self) -> Sequence[int]: ...
    @property
    def unfinished(self) -> int: ...


type OnDelivered = Callable[[TopicPartition, Sequence[Record], tuple[str, ...]], None]
"""Called with records that are delivered together, and the names of those who get them."""
type OnFinished = Callable[[Chunk], None]
"""Called with records that were delivered together and have finished."""


def on_delivered(hooks: Hooks) -> OnDelivered | None:
    """Return what calls hooks for records that are delivered, None if nobody observes."""
    delivered = hooks.delivered
    if delivered is None:
        return None

    def call(partition: TopicPartition, records: Sequence[Record], to: tuple[str, ...]) -> None:
        delivered(Delivered(hooks.origin, partition, records, to))

    return call


def on_finished(hooks: Hooks) -> OnFinished | None:
    """Return what calls hooks for records that have finished, None if nobody observes."""
    finished = hooks.finished
    if finished is None:
        return None

    def call(chunk: Chunk) -> None:
        offsets, tenancy = chunk.offsets, chunk.tenancy
        partition = TopicPartition(tenancy.topic, tenancy.partition)
        count = len(offsets) - chunk.unfinished
        finished(Finished(hooks.origin, partition, count, offsets[0], offsets[-1]))

    return call


class CommitHooks:
    """Calls hooks for commits."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def committed(self, commits: Mapping[TopicPartition, Commit], seconds: float) -> None:
        """Call hooks for a commit that has been made."""
        if (committed := self._hooks.committed) is not None:
            committed(Committed(self._hooks.origin, _offsets(commits), seconds))

    def failed(
        self, commits: Mapping[TopicPartition, Commit], seconds: float, error: Exception
    ) -> None:
        """Call hooks for a commit that has failed."""
        if (failed := self._hooks.commit_failed) is not None:
            failed(FailedCommit(self._hooks.origin, _offsets(commits), seconds, error))


def _offsets(commits: Mapping[TopicPartition, Commit]) -> dict[TopicPartition, int]:
    return {key: commit.offset for key, commit in commits.items()}
