"""Commits of thousands of partitions: requests that a broker takes, one commit at a time."""

from collections.abc import Callable, Mapping

import pytest
from aiokafka.errors import CommitFailedError, GroupCoordinatorNotAvailableError

from sdml_kafka.errors import CommitRejected
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.commits import MAX_PARTITIONS, Commits
from sdml_kafka.transport.interfaces import TopicPartition

COUNT = 3 * MAX_PARTITIONS + 1
OFFSETS = {TopicPartition("topic", number): number for number in range(COUNT)}

pytestmark = pytest.mark.anyio


class Coordinator:
    """Takes commits, and may raise for those of partition 0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: list[Exception] = []
        """The errors that are raised, each once."""
        self.sizes: list[int] = []
        self.committed: dict[TopicPartition, int] = {}
        monkeypatch.setattr(internals, "send_commit", self._send_commit)

    async def _send_commit(
        self, _: object, offsets: Mapping[TopicPartition, int], note: Callable[[str], str]
    ) -> None:
        assert note("topic") == "note"
        self.sizes.append(len(offsets))
        if self.errors and TopicPartition("topic", 0) in offsets:
            raise self.errors.pop(0)
        self.committed.update(offsets)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    return Coordinator(monkeypatch)


async def commit(offsets: Mapping[TopicPartition, int]) -> None:
    await Commits(object()).commit(offsets, 5.0, lambda: None, lambda _: "note")


async def test_no_request_has_more_partitions_than_a_broker_takes(
    coordinator: Coordinator,
) -> None:
    await commit(OFFSETS)
    assert coordinator.sizes == [MAX_PARTITIONS] * 3 + [1]
    assert coordinator.committed == OFFSETS


async def test_a_part_that_failed_is_sent_again(coordinator: Coordinator) -> None:
    coordinator.errors.append(GroupCoordinatorNotAvailableError())
    await commit(OFFSETS)
    assert coordinator.committed == OFFSETS


async def test_a_part_that_is_refused_fails_the_commit_after_all_were_answered(
    coordinator: Coordinator,
) -> None:
    coordinator.errors.append(CommitFailedError())
    with pytest.raises(CommitRejected):
        await commit(OFFSETS)
    assert len(coordinator.committed) == COUNT - MAX_PARTITIONS
