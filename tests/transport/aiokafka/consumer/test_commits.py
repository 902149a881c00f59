"""Commits of thousands of partitions: requests that a broker takes, one commit at a time."""

import asyncio
import gc
from collections.abc import Mapping

import pytest
from aiokafka.errors import (
    CommitFailedError,
    GroupCoordinatorNotAvailableError,
    OffsetMetadataTooLargeError,
)

from sdml_kafka.errors import CommitFailed, CommitRejected
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.commits import Commits
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.rules.commit_requests import MAX_REQUEST, PARTITION
from tests.support.virtual_time import ASYNCIO

MAX_PARTITIONS = MAX_REQUEST // PARTITION
COUNT = 3 * MAX_PARTITIONS + 1
COMMITS = {TopicPartition("topic", number): Commit(number) for number in range(COUNT)}

pytestmark = pytest.mark.anyio


class Coordinator:
    """Takes commits, and may raise for those of partition 0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors: list[Exception] = []
        """The errors that are raised, each once."""
        self.sizes: list[int] = []
        self.committed: dict[TopicPartition, Commit] = {}
        monkeypatch.setattr(internals, "send_commit", self._send_commit)

    async def _send_commit(self, _: object, commits: Mapping[TopicPartition, Commit]) -> None:
        self.sizes.append(len(commits))
        if self.errors and TopicPartition("topic", 0) in commits:
            raise self.errors.pop(0)
        self.committed.update(commits)


@pytest.fixture
def anyio_backend() -> object:
    return ASYNCIO.values[0]


@pytest.fixture
def coordinator(monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    return Coordinator(monkeypatch)


async def commit(commits: Mapping[TopicPartition, Commit]) -> None:
    await Commits(object()).commit(commits, 5.0, lambda: None)


async def test_no_request_has_more_partitions_than_a_broker_takes(
    coordinator: Coordinator,
) -> None:
    await commit(COMMITS)
    assert coordinator.sizes == [MAX_PARTITIONS] * 3 + [1]
    assert coordinator.committed == COMMITS


async def test_a_part_that_failed_is_sent_again(coordinator: Coordinator) -> None:
    coordinator.errors.append(GroupCoordinatorNotAvailableError())
    await commit(COMMITS)
    assert coordinator.committed == COMMITS


async def test_a_part_that_is_refused_fails_the_commit_after_all_were_answered(
    coordinator: Coordinator,
) -> None:
    coordinator.errors.append(CommitFailedError())
    with pytest.raises(CommitRejected):
        await commit(COMMITS)
    assert len(coordinator.committed) == COUNT - MAX_PARTITIONS


async def test_metadata_counts_for_the_size_of_a_request(coordinator: Coordinator) -> None:
    commits = {each: Commit(1, "x" * 4096) for each in COMMITS}
    await commit(commits)
    assert coordinator.committed == commits
    assert max(coordinator.sizes) * (PARTITION + 4096) <= MAX_REQUEST


async def test_metadata_that_is_too_long_for_the_broker_is_left_out(
    coordinator: Coordinator,
) -> None:
    coordinator.errors.append(OffsetMetadataTooLargeError())
    partition = TopicPartition("topic", 0)
    await commit({partition: Commit(5, "map")})
    assert coordinator.committed == {partition: Commit(5)}


async def test_a_request_that_fails_after_its_commit_was_given_up_is_in_no_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def send_commit(*_: object) -> None:
        await asyncio.sleep(0.02)
        raise GroupCoordinatorNotAvailableError

    monkeypatch.setattr(internals, "send_commit", send_commit)
    commits = Commits(object())
    with pytest.raises(CommitFailed, match="no answer"):
        await commits.commit({TopicPartition("topic", 0): Commit(1)}, 0.01, lambda: None)
    await asyncio.sleep(0.05)
    del commits
    gc.collect()
    assert not [each for each in caplog.records if each.name == "asyncio"]
