"""What the group has committed is asked for once, however often bounds are missing."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.positions.log_bounds import Bounds
from sdml_kafka.transport.aiokafka.consumer.positions.start_positions import CommittedStart
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit

PARTITIONS = [TopicPartition("topic", number) for number in range(3)]

pytestmark = pytest.mark.anyio


class Group:
    """A group's commits, which are the offset 5 for each partition at first, and logs of 10."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.committed = 5
        self.asked = 0
        self.bounds: dict[TopicPartition, Bounds] | None = None
        monkeypatch.setattr(internals, "commits", self._commits)
        consumer: Any = SimpleNamespace(
            _auto_offset_reset="latest",
            _isolation_level="read_uncommitted",
            pause=lambda *_: None,
            seek=lambda *_: None,
        )
        topics: Any = SimpleNamespace(
            partitions=lambda: frozenset(PARTITIONS), at_start=frozenset(PARTITIONS)
        )
        bounds: Any = SimpleNamespace(look_up=self._look_up, forget=self._forget)
        self.start = CommittedStart(consumer, topics, bounds)

    async def _commits(
        self, _: object, asked: Iterable[TopicPartition]
    ) -> dict[TopicPartition, Commit]:
        self.asked += 1
        return {each: Commit(self.committed) for each in asked}

    async def _look_up(self, _: object) -> dict[TopicPartition, Bounds] | None:
        return self.bounds

    def _forget(self) -> None:
        self.bounds = None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    return Group(monkeypatch)


async def test_commits_are_kept_until_all_bounds_are_known(group: Group) -> None:
    group.start.hold(PARTITIONS)
    for _ in range(3):
        assert await group.start.look_up(PARTITIONS, {}) is None
    group.bounds = dict.fromkeys(PARTITIONS, Bounds(0, 10))
    found = await group.start.look_up(PARTITIONS, {})
    assert found is not None
    assert found.positions == dict.fromkeys(PARTITIONS, 5)
    assert group.asked == 1


async def test_the_next_assignment_asks_anew(group: Group) -> None:
    """Another member may have read and committed on, beyond the ends that were known."""
    group.start.hold(PARTITIONS)
    group.bounds = dict.fromkeys(PARTITIONS, Bounds(0, 10))
    await group.start.look_up(PARTITIONS, {})
    group.start.hold(PARTITIONS)
    assert await group.start.look_up(PARTITIONS, {}) is None
    group.committed = 15
    group.start.hold(PARTITIONS)
    group.bounds = dict.fromkeys(PARTITIONS, Bounds(0, 20))
    found = await group.start.look_up(PARTITIONS, {})
    assert found is not None
    assert found.positions == dict.fromkeys(PARTITIONS, 15)
    assert not found.jumps
