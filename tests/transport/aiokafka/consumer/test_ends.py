"""The requests for the ends of partitions: one a broker, and none costs another its answer."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from sdml_kafka.transport.aiokafka.consumer import health, internals
from sdml_kafka.transport.aiokafka.consumer.health import PartitionEnds
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.virtual_time import ASYNCIO

PARTITIONS = [TopicPartition("topic", number) for number in range(9)]
RECENT_S = 0.05


class Brokers:
    """Three brokers that lead partitions by turns, the first of which may hang or refuse."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests: list[tuple[int, list[TopicPartition]]] = []
        self.answer_with: Any = asyncio.Event()
        self.refreshed = 0
        self.leaderless = frozenset[TopicPartition]()
        self.unknown = frozenset[TopicPartition]()
        monkeypatch.setattr(health, "RECENT_S", RECENT_S)
        monkeypatch.setattr(internals, "leader", self._leader)
        monkeypatch.setattr(internals, "end_offsets", self._end_offsets)
        monkeypatch.setattr(internals, "last_fetches", lambda *_: ())
        monkeypatch.setattr(internals, "refresh_metadata", self._refresh)

    def _refresh(self, _: object) -> None:
        self.refreshed += 1

    def _leader(self, _: object, partition: TopicPartition) -> int | None:
        return None if partition in self.leaderless else partition.partition % 3

    async def _end_offsets(
        self, _: object, leader: int, asked: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        self.requests.append((leader, list(asked)))
        if leader == 0:
            if isinstance(self.answer_with, Exception):
                raise self.answer_with
            await self.answer_with.wait()
        return {each: len(self.requests) for each in asked if each not in self.unknown}


@pytest.fixture
def anyio_backend() -> object:
    return ASYNCIO.values[0]


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    return Brokers(monkeypatch)


@pytest.fixture
async def known(brokers: Brokers) -> PartitionEnds:
    return PartitionEnds(SimpleNamespace(_isolation_level="read_uncommitted"))


async def ask(known: PartitionEnds, rounds: int = 1) -> None:
    for _ in range(rounds):
        known.ask(PARTITIONS, known.look(PARTITIONS).readable)
        await asyncio.sleep(RECENT_S * 1.2)


pytestmark = pytest.mark.anyio


async def test_one_request_a_broker_and_no_second_one_while_it_does_not_answer(
    brokers: Brokers, known: PartitionEnds
) -> None:
    await ask(known)
    assert brokers.requests == [(number, PARTITIONS[number::3]) for number in range(3)]
    await ask(known, 3)
    assert [leader for leader, _ in brokers.requests].count(0) == 1
    assert [leader for leader, _ in brokers.requests].count(1) == 4
    assert known.look(PARTITIONS).readable.keys() == set(PARTITIONS) - set(PARTITIONS[0::3])
    brokers.answer_with.set()
    await ask(known)
    found = known.look(PARTITIONS).readable
    assert found.keys() == set(PARTITIONS)
    assert found[PARTITIONS[0]].age_s > found[PARTITIONS[1]].age_s + 2 * RECENT_S
    await known.close()


async def test_what_is_recent_is_not_asked_for(brokers: Brokers, known: PartitionEnds) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(5):
        known.note(dict.fromkeys(PARTITIONS[:8], 7), loop.time())
        await ask(known)
    assert {tuple(asked) for _, asked in brokers.requests} == {(PARTITIONS[8],)}
    await known.close()


async def test_an_error_of_one_broker_leaves_the_ends_old_and_is_asked_again(
    brokers: Brokers, known: PartitionEnds
) -> None:
    brokers.answer_with = OSError("away")
    await ask(known, 3)
    assert [leader for leader, _ in brokers.requests].count(0) == 3
    assert set(PARTITIONS[1::3]) <= known.look(PARTITIONS).readable.keys()
    await known.close()


async def test_partitions_that_have_moved_refresh_the_metadata(
    brokers: Brokers, known: PartitionEnds
) -> None:
    brokers.answer_with.set()
    brokers.unknown = frozenset(PARTITIONS[:1])
    brokers.leaderless = frozenset(PARTITIONS[1:2])
    await ask(known)
    assert brokers.refreshed == 2
    assert known.look(PARTITIONS).readable.keys() == set(PARTITIONS[2:])
    await known.close()


async def test_closing_leaves_no_task(brokers: Brokers, known: PartitionEnds) -> None:
    known.ask(PARTITIONS, {})
    await asyncio.sleep(0)
    await known.close()
    assert brokers.requests
    assert not any("_request" in repr(task) for task in asyncio.all_tasks())
