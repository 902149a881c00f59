"""Partitions come and go while requests are handled: no request is lost or handled twice."""

import anyio
import pytest

from sdml_kafka import Call, ConsumerFailed, TopicPartition
from tests.support.client_by_hand import (
    GROUP,
    P0,
    P1,
    REPLY,
    REQUEST,
    ask,
    new_broker,
    replies,
    reply,
    server_on,
    serving,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]

REPLIES = TopicPartition(REPLY, 0)


class Working:
    """Each request takes a second; what is cancelled has not finished."""

    def __init__(self, takes_s: float = 1.0) -> None:
        self.takes_s = takes_s
        self.started: list[bytes] = []
        self.finished: list[bytes] = []

    async def __call__(self, value: bytes, call: Call) -> bytes:
        self.started.append(value)
        await anyio.sleep(self.takes_s)
        self.finished.append(value)
        return value


async def test_leaving_lets_handlers_finish_and_replies_go_out() -> None:
    broker, work = new_broker(), Working()
    broker.slow_down(send_s=0.5)
    for number in range(10):
        ask(broker, b"%d" % number)
    async with serving(broker, work, concurrency=3) as server:
        await until(lambda: len(work.started) == 3)
    assert sorted(work.finished) == sorted(work.started) == [b"0", b"1", b"2"]
    assert len(broker.records(REPLIES)) == 3
    assert broker.committed(GROUP, P0) == 3
    assert server.status().in_flight == 0
    other = Working()
    async with serving(broker, other, concurrency=10):
        await replies(broker, 10)
    assert sorted(other.started) == [b"%d" % number for number in range(3, 10)]


async def test_a_cancellation_from_outside_drains_as_well() -> None:
    """For a server that is the usual way out."""
    broker, work = new_broker(), Working()
    ask(broker)
    with anyio.CancelScope() as scope:
        async with serving(broker, work):
            await until(lambda: len(work.started) == 1)
            scope.cancel()
            await anyio.sleep_forever()
    assert work.finished == [b"value"]
    assert len(broker.records(REPLIES)) == 1
    assert broker.committed(GROUP, P0) == 1


async def test_what_takes_too_long_is_cancelled_and_comes_again() -> None:
    broker, work = new_broker(), Working(60.0)
    ask(broker)
    began = anyio.current_time()
    async with serving(broker, work, drain_timeout=2.0) as server:
        await until(lambda: len(work.started) == 1)
    assert anyio.current_time() - began == pytest.approx(2.0, abs=0.5)
    assert (work.finished, len(broker.records(REPLIES))) == ([], 0)
    assert broker.committed(GROUP, P0) in (0, None)
    assert server.status().in_flight == 0
    async with serving(broker, Working()):
        assert (await reply(broker)).value == b"value"


async def test_a_body_that_raises_comes_out_as_itself() -> None:
    broker, work = new_broker(), Working()
    ask(broker)
    with pytest.raises(KeyError, match="boom"):
        async with serving(broker, work):
            await until(lambda: len(work.started) == 1)
            raise KeyError("boom")
    assert work.finished == [b"value"]


async def test_a_rebalance_hands_over_without_running_anything_twice() -> None:
    broker, first, second = new_broker(2), Working(), Working()
    values = [b"%d" % number for number in range(200)]
    for number, value in enumerate(values):
        ask(broker, value, partition=number % 2)
    async with serving(broker, first, concurrency=5) as server:
        await until(lambda: len(first.started) == 15)
        async with serving(broker, second, concurrency=5) as other:
            await until(lambda: other.status().partitions)
            await until(lambda: len(second.started) >= 15)
            assert server.status().partitions.keys() | other.status().partitions.keys() == {P0, P1}
        await replies(broker, 200)
    assert sorted(first.started + second.started) == sorted(values)
    assert sorted(first.finished + second.finished) == sorted(values)
    assert (broker.committed(GROUP, P0), broker.committed(GROUP, P1)) == (100, 100)


async def test_what_finishes_after_the_hand_over_is_late() -> None:
    broker, work = new_broker(), Working(20.0)
    async with serving(broker, work, drain_timeout=1.0) as server:
        ask(broker, b"a")
        await until(lambda: len(work.started) == 1)
        broker.rebalance(GROUP)
        await until(lambda: len(work.started) == 2)  # it came again
        work.takes_s = 0.0
        await until(lambda: server.status().in_flight == 0)
        assert work.started == [b"a", b"a"]
        assert server.status().counters.late_finishes == 1
        await replies(broker, 2)
        await until(lambda: broker.committed(GROUP, P0) == 1)


async def test_a_member_that_was_expelled_commits_nothing_of_its_past() -> None:
    broker, work = new_broker(), Working(3.0)
    async with serving(broker, work) as server:
        ask(broker, b"a")
        await until(lambda: len(work.started) == 1)
        (member,) = broker.members(GROUP)
        broker.expel(member)
        await until(lambda: server.status().counters.rebalances == 2)
        await until(lambda: server.status().in_flight == 0)
        await until(lambda: broker.committed(GROUP, P0) == 1)


async def test_the_consumer_loop_is_restarted_while_handlers_run() -> None:
    broker, work = new_broker(), Working(1.0)
    async with serving(broker, work) as server:
        for number in range(5):
            ask(broker, b"%d" % number)
        await until(lambda: len(work.started) == 5)
        broker.fail_next_poll(ConsumerFailed("dead"))
        await until(lambda: server.status().counters.restarts >= 1)
        ask(broker, b"5")
        await until(lambda: broker.committed(GROUP, P0) == 6)
        assert sorted(set(work.finished)) == [b"%d" % number for number in range(6)]
        assert len(work.started) == 6  # what ran was drained and committed before


async def test_a_partition_that_is_taken_while_its_lane_is_parked() -> None:
    broker, work = new_broker(2), Working(1.0)
    server = server_on(broker)
    server.handler(REQUEST, concurrency=1)(work)
    async with server:
        for number in range(20):
            ask(broker, b"%d" % number, partition=number % 2)
        await until(lambda: len(work.started) == 3)
        broker.rebalance(GROUP)
        await until(lambda: len(work.finished) == 20)
        assert sorted(work.finished) == sorted(b"%d" % number for number in range(20))
        await until(lambda: broker.committed(GROUP, P1) == 10)
