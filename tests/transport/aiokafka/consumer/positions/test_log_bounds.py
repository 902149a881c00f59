"""Where the logs of thousands of partitions begin and end: each answer counts, and is kept."""

import asyncio
from collections.abc import Iterable, Mapping

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError
from aiokafka.protocol.offset import OffsetResetStrategy

from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.positions.log_bounds import LogBounds
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.virtual_time import ASYNCIO

COUNT = 3000
PARTITIONS = [TopicPartition("topic", number) for number in range(COUNT)]
EARLIEST, LATEST = OffsetResetStrategy.EARLIEST, OffsetResetStrategy.LATEST

pytestmark = pytest.mark.anyio


class Brokers:
    """Three brokers that lead partitions by turns. Offset `n` is where partition `n` begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests: list[tuple[int, int, int]] = []
        """The leader of each request, what it asked for, and for how many partitions."""
        self.refreshed = 0
        self.leaderless = frozenset[TopicPartition]()
        self.moving = frozenset[TopicPartition]()
        """The partitions that the broker that is asked does not lead, or refuses."""
        self.final: KafkaError | None = None
        self.failing: dict[int, Exception | asyncio.Event] = {}
        """The brokers that fail, or answer only after an event."""
        self.noted: dict[TopicPartition, int] = {}
        monkeypatch.setattr(internals, "leader", self._leader)
        monkeypatch.setattr(internals, "list_offsets", self._list_offsets)
        monkeypatch.setattr(internals, "refresh_metadata", self._refresh)

    def note(self, ends: Mapping[TopicPartition, int], _: float) -> None:
        self.noted.update(ends)

    async def _refresh(self, _: object) -> bool:
        self.refreshed += 1
        return True

    def _leader(self, _: object, partition: TopicPartition) -> int | None:
        return None if partition in self.leaderless else partition.partition % 3

    async def _list_offsets(
        self, _: object, leader: int, asked: Iterable[TopicPartition], which: int
    ) -> tuple[dict[TopicPartition, int], KafkaError | None]:
        partitions = list(asked)
        self.requests.append((leader, which, len(partitions)))
        failing = self.failing.get(leader)
        if isinstance(failing, Exception):
            raise failing
        if failing is not None:
            await failing.wait()
        length = 10 if which == LATEST else 0
        found = {each: each.partition + length for each in partitions if each not in self.moving}
        return found, self.final


@pytest.fixture
def anyio_backend() -> object:
    return ASYNCIO.values[0]


@pytest.fixture
def brokers(monkeypatch: pytest.MonkeyPatch) -> Brokers:
    return Brokers(monkeypatch)


@pytest.fixture
def bounds(brokers: Brokers) -> LogBounds:
    return LogBounds(object(), brokers.note)


async def test_each_broker_is_asked_twice_however_many_partitions_it_leads(
    brokers: Brokers, bounds: LogBounds
) -> None:
    found = await bounds.look_up(PARTITIONS)
    assert found == {each: (each.partition, each.partition + 10) for each in PARTITIONS}
    assert sorted(brokers.requests) == sorted(
        (leader, which, COUNT // 3) for leader in range(3) for which in (EARLIEST, LATEST)
    )
    assert brokers.noted == {each: each.partition + 10 for each in PARTITIONS}
    assert brokers.refreshed == 0


async def test_partitions_that_move_are_asked_for_again_alone(
    brokers: Brokers, bounds: LogBounds
) -> None:
    brokers.moving = frozenset(PARTITIONS[:2])
    brokers.leaderless = frozenset(PARTITIONS[2:3])
    assert await bounds.look_up(PARTITIONS) is None
    assert brokers.refreshed == 1
    brokers.moving = brokers.leaderless = frozenset()
    brokers.requests.clear()
    found = await bounds.look_up(PARTITIONS)
    assert found is not None
    assert found.keys() == set(PARTITIONS)
    assert {count for _, _, count in brokers.requests} == {1}


@pytest.mark.parametrize("is_cut_off", [True, False])
async def test_a_broker_that_does_not_answer_costs_the_answers_of_no_other(
    brokers: Brokers, bounds: LogBounds, is_cut_off: bool
) -> None:
    if is_cut_off:
        brokers.failing[0] = asyncio.Event()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await bounds.look_up(PARTITIONS)
    else:
        brokers.failing[0] = KafkaConnectionError()
        with pytest.raises(KafkaConnectionError):
            await bounds.look_up(PARTITIONS)
        assert brokers.refreshed == 1, "another broker may lead its partitions by now"
    brokers.failing.clear()
    brokers.requests.clear()
    assert await bounds.look_up(PARTITIONS)
    assert {leader for leader, _, _ in brokers.requests} == {0}


async def test_a_refusal_is_raised(brokers: Brokers, bounds: LogBounds) -> None:
    brokers.final, brokers.moving = (
        TopicAuthorizationFailedError("topic"),
        frozenset(PARTITIONS[:1]),
    )
    with pytest.raises(TopicAuthorizationFailedError):
        await bounds.look_up(PARTITIONS)


async def test_what_is_forgotten_is_asked_for_anew(brokers: Brokers, bounds: LogBounds) -> None:
    await bounds.look_up(PARTITIONS)
    bounds.forget()
    brokers.requests.clear()
    await bounds.look_up(PARTITIONS)
    assert sum(count for _, _, count in brokers.requests) == 2 * COUNT
