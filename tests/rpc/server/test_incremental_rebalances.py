"""Rebalances that move only a part: a server goes on with the requests of all that stays."""

from random import Random

import anyio
import pytest

from sdml_kafka import Call, Dedupe, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.client_by_hand import GROUP, REPLY, REQUEST, ask, replies, serving
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

P0, P1, P2, P3 = (TopicPartition(REQUEST, number) for number in range(4))


def broker_of(partitions: int = 4) -> MemoryBroker:
    return MemoryBroker({REQUEST: partitions, REPLY: 1}, rebalances="incremental")


class Working:
    """A handler that takes as long as its request says, and books what begins and ends."""

    def __init__(self) -> None:
        self.started: list[bytes] = []
        self.finished: list[bytes] = []

    async def __call__(self, value: bytes, call: Call) -> bytes:
        self.started.append(value)
        await anyio.sleep(float(value.split()[-1]))
        self.finished.append(value)
        return value


async def test_requests_of_what_stays_are_answered_during_the_drain_of_the_rest() -> None:
    broker, work, other_work = broker_of(), Working(), Working()
    async with serving(broker, work, concurrency=4, drain_timeout=3.0) as server:
        ask(broker, b"stays 6", b"s", partition=0)
        ask(broker, b"moves 2", b"m", partition=3)
        await until(lambda: len(work.started) == 2)
        began = anyio.current_time()
        async with serving(broker, other_work) as other:
            for number in range(10):
                ask(broker, b"%d 0.1" % number, b"%d" % number, partition=1)
                await anyio.sleep(0.1)
            await until(lambda: len(work.finished) >= 9, 0.5)
            assert not other.status().partitions
            await until(lambda: other.status().partitions.keys() == {P2, P3})
            assert anyio.current_time() - began == pytest.approx(2.0, abs=0.3)
            assert broker.committed(GROUP, P3) == 1
            assert server.status().in_flight == 1
            ask(broker, b"more 0", b"more", partition=3)
            await until(lambda: other_work.finished == [b"more 0"])
            # The handler of a partition that stays has outlasted the drain.
            await until(lambda: b"stays 6" in work.finished)
            await until(lambda: broker.committed(GROUP, P0) == 1)
        assert server.status().counters.late_finishes == 0
    assert len(work.started) == len(set(work.started)) == 12
    await replies(broker, 13)


@pytest.mark.parametrize("seed", range(3))
async def test_servers_come_and_go_and_no_request_is_handled_twice(seed: int) -> None:
    broker, work, draw, count = broker_of(), Working(), Random(seed), 300

    async def another() -> None:
        async with serving(broker, work, concurrency=5):
            await anyio.sleep(draw.uniform(0.5, 3))

    async with serving(broker, work, concurrency=5) as server, anyio.create_task_group() as tasks:
        for number in range(count):
            takes_s = draw.choice([0, 0.01, 0.2, 1.0])
            ask(broker, b"%d %g" % (number, takes_s), b"%d" % number, partition=number % 4)
            if draw.random() < 0.03:
                tasks.start_soon(another)
            await anyio.sleep(0.03)
        await until(lambda: len(broker.records(TopicPartition(REPLY, 0))) >= count)
        await until(
            lambda: sum(broker.committed(GROUP, each) or 0 for each in (P0, P1, P2, P3)) == count
        )
        assert server.status().counters.late_finishes == 0
    assert len(work.started) == len(set(work.started)) == len(work.finished) == count
    await replies(broker, count)


async def test_a_repeat_is_known_again_when_its_partition_comes_back() -> None:
    broker, work, other_work = broker_of(2), Working(), Working()
    async with serving(broker, work, dedupe=Dedupe()) as server:
        ask(broker, b"once 0", b"1", partition=1)
        await until(lambda: len(work.finished) == 1)
        async with serving(broker, other_work):
            await until(lambda: len(server.status().partitions) == 1)
        await until(lambda: len(server.status().partitions) == 2)
        ask(broker, b"once 0", b"1", partition=1)
        await replies(broker, 2)
        assert server.status().counters.duplicates == 1
    assert (len(work.started), len(other_work.started)) == (1, 0)


async def test_a_server_that_is_expelled_commits_nothing_of_its_past() -> None:
    broker, work = broker_of(2), Working()
    async with serving(broker, work) as server:
        ask(broker, b"a 3", b"a", partition=0)
        await until(lambda: len(work.started) == 1)
        (member,) = broker.members(GROUP)
        broker.expel(member)
        await until(lambda: server.status().counters.rebalances == 2)
        await until(lambda: server.status().in_flight == 0)
        await until(lambda: broker.committed(GROUP, P0) == 1)
        assert len(work.started) == 2
