"""What has finished ahead of the frontier is committed as well, and does not come again."""

from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener
from sdml_kafka.consuming.offsets import offset_map
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.testing import MemoryBroker
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TOPIC,
    broker_with,
    fill,
    listener_on,
    loops,
    take,
    take_last,
)
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

PARALLEL_CONSUMER = "bgABASw="
"""Runs of 1 unfinished and 300 finished offsets, from a commit of parallel-consumer 0.5.3.3."""


class Handler:
    """Finishes what is not stuck, and remembers all that it was called with."""

    def __init__(self, *stuck: str) -> None:
        self.stuck = set(stuck)
        self.seen: list[str] = []
        self.finished: list[str] = []
        self._freed = anyio.Event()

    async def __call__(self, value: str, delivery: Delivery[str]) -> None:
        self.seen.append(value)
        while value in self.stuck:
            await self._freed.wait()
        self.finished.append(value)

    async def has_seen(self, count: int) -> None:
        await until(lambda: len(self.seen) >= count)

    def free(self, *values: str) -> None:
        self.stuck -= set(values)
        self._freed.set()
        self._freed = anyio.Event()


@asynccontextmanager
async def handling(
    broker: MemoryBroker, handler: Handler, **options: Any
) -> AsyncGenerator[KafkaListener]:
    options = {"drain_timeout": 1.0, **options}
    async with (
        processing_on(broker, **options) as listener,
        processing(listener, handler, order="none", concurrency=50),
    ):
        yield listener


def commits_of(broker: MemoryBroker) -> list[tuple[int, str]]:
    return [(commit.offset, commit.metadata) for commit in broker.commits]


def ahead(broker: MemoryBroker) -> list[offset_map.Interval]:
    metadata = broker.committed_metadata(GROUP, P0)
    return offset_map.decode(broker.committed(GROUP, P0) or 0, metadata or "")


def texts(*numbers: int) -> list[str]:
    return list(map(str, numbers))


async def test_after_leaving_only_what_had_not_finished_comes_again() -> None:
    broker = broker_with(*texts(*range(100)))
    first, second = Handler("3", "50"), Handler()
    async with handling(broker, first):
        await until(lambda: len(first.finished) == 98)
    assert broker.committed(GROUP, P0) == 3
    assert ahead(broker) == [(4, 50), (51, 100)]
    async with handling(broker, second):
        await until(lambda: len(second.finished) == 2)
        fill(broker, ["new"])
        await until(lambda: len(second.finished) == 3)
    assert second.seen == ["3", "50", "new"]
    assert commits_of(broker)[-1] == (101, "")


async def test_after_a_hand_over_no_finished_record_comes_again() -> None:
    broker = broker_with(*texts(*range(60)), partitions=2)
    fill(broker, range(60, 120), partition=1)
    first, second = Handler("5", "7", "70"), Handler()
    async with handling(broker, first):
        await until(lambda: len(first.finished) == 117)
        async with handling(broker, second):
            await until(lambda: len(first.seen) + len(second.seen) == 123)
            first.free("5", "7", "70")
            await until(lambda: len(first.finished) + len(second.finished) == 120)
    assert sorted(first.finished + second.finished, key=int) == texts(*range(120))
    assert (broker.committed(GROUP, P0), broker.committed(GROUP, P1)) == (60, 60)


async def test_after_a_kill_only_what_was_not_committed_comes_again() -> None:
    broker = broker_with(*texts(*range(10)))
    first, second = Handler("0"), Handler()
    async with handling(broker, first):
        await until(lambda: bool(ahead(broker)))
        assert ahead(broker) == [(1, 10)]
        fill(broker, range(10, 20))
        await until(lambda: len(first.finished) == 19)
        broker.down()  # as if the process had gone: it commits nothing any more
    broker.up()
    await anyio.sleep(20)
    async with handling(broker, second):
        await until(lambda: len(second.finished) == 11)
        await anyio.sleep(10)
    assert second.seen == texts(0, *range(10, 20))


async def test_a_map_survives_members_that_finish_nothing() -> None:
    broker = broker_with(*texts(*range(100)))
    for stuck in range(3):
        handler = Handler("0", *texts(*range(60, 100)))
        async with handling(broker, handler, auto_commit={"interval_s": 1.0}):
            await handler.has_seen(41)
            await anyio.sleep(5)
        assert ahead(broker) == [(1, 60)], stuck
    last = Handler()
    async with handling(broker, last):
        await until(lambda: len(last.finished) == 41)
    assert last.seen == texts(0, *range(60, 100))


async def test_a_commit_is_due_when_the_map_has_changed() -> None:
    broker = broker_with("stuck")
    handler = Handler("stuck")
    async with handling(broker, handler, auto_commit={"interval_s": 5.0}):
        await until(lambda: handler.seen == ["stuck"])
        for number in range(100):
            fill(broker, [number])
            await anyio.sleep(1)
        assert 18 <= len(broker.commits) <= 23  # 100 s, no more often than the policy says
        assert {commit.offset for commit in broker.commits} == {0}
        before = len(broker.commits)
        await anyio.sleep(60)
        assert len(broker.commits) <= before + 1  # nothing has changed
        handler.free("stuck")
        await until(lambda: broker.committed(GROUP, P0) == 101)
        assert broker.committed_metadata(GROUP, P0) == ""


async def test_every_n_records_counts_what_finishes_ahead() -> None:
    broker = broker_with(*texts(*range(30)))
    handler = Handler("0")
    async with handling(broker, handler, auto_commit={"every": 10}):
        await until(lambda: ahead(broker) and ahead(broker)[-1][1] >= 20)


@pytest.mark.parametrize(
    "metadata",
    [
        "host-17",
        "sdml-kafka partitions=4",
        "bgABASw",  # cut off
        b64encode(b"n" + b"\xff\xff" * 4).decode(),
        b64encode(b"o" + b"\x7f\xff\xff\xff").decode(),
        b64encode(b"a" + b"no zstd").decode(),
        "x" * 10_000,
        "\u00e4\u0000",
    ],
)
async def test_a_map_that_cannot_be_read_costs_repeats_alone(metadata: str) -> None:
    broker = broker_with(*texts(*range(40)))
    broker.commit(GROUP, P0, 20, metadata)
    handler = Handler()
    async with handling(broker, handler):
        await until(lambda: len(handler.finished) == 20)
    assert handler.seen == texts(*range(20, 40))
    assert commits_of(broker)[-1] == (40, "")


async def test_a_map_of_parallel_consumer_is_honoured_and_bytes_are_not_counted() -> None:
    broker = broker_with(*texts(*range(400)))
    broker.commit(GROUP, P0, 20, PARALLEL_CONSUMER)
    handler = Handler("20", *texts(*range(321, 400)))
    async with handling(broker, handler, max_in_flight=1000) as listener:
        await until(lambda: len(handler.seen) == 50)
        status = listener.status()
        assert status.partitions[P0].in_flight == 80
        assert status.bytes_in_flight == 2 + 3 * 79
        handler.free("20")
        await until(lambda: broker.committed(GROUP, P0) == 321)
        handler.free(*texts(*range(321, 400)))
        await until(lambda: len(handler.finished) == 80)
    assert handler.seen == texts(20, *range(321, 400))


async def test_what_is_finished_at_the_end_of_the_log_is_passed_over() -> None:
    broker = broker_with(*texts(*range(321)))
    broker.skip_offsets(P0, 3)
    broker.commit(GROUP, P0, 20, PARALLEL_CONSUMER)
    handler = Handler()
    async with handling(broker, handler) as listener:
        await until(lambda: broker.committed(GROUP, P0) == 324)
        assert handler.seen == ["20"]
        assert listener.status().partitions[P0].lag == 0
        fill(broker, ["new"])
        await until(lambda: handler.seen == ["20", "new"])


async def test_a_topic_that_was_created_anew_ignores_the_map() -> None:
    broker = broker_with(*texts(*range(100)))
    broker.commit(GROUP, P0, 20, PARALLEL_CONSUMER)  # of a log that went on to 321
    handler = Handler()
    async with handling(broker, handler):
        await until(lambda: len(handler.finished) == 80)
    assert handler.seen == texts(*range(20, 100))


async def test_an_offset_beyond_the_end_of_the_log_ignores_the_map() -> None:
    broker = broker_with(*texts(*range(10)))
    broker.commit(GROUP, P0, 20, PARALLEL_CONSUMER)
    handler = Handler()
    async with handling(broker, handler):
        await until(lambda: len(handler.finished) == 10)
        fill(broker, range(10, 40))
        await until(lambda: len(handler.finished) == 40)
    assert handler.seen == texts(*range(40))


async def test_a_topic_created_anew_under_a_member_forgets_what_was_ahead() -> None:
    broker = broker_with(*texts(*range(30)), partitions=1)
    handler = Handler("0")
    async with handling(broker, handler):
        await until(lambda: ahead(broker) == [(1, 30)])
        broker.delete_topic(TOPIC)
        broker.create_topic(TOPIC)
        fill(broker, range(100, 110))
        await until(lambda: len(handler.finished) == 39)
        await until(lambda: broker.committed(GROUP, P0) == 10)
        assert ahead(broker) == []


async def test_what_retention_has_deleted_shortens_the_map() -> None:
    broker = broker_with(*texts(*range(400)))
    broker.commit(GROUP, P0, 20, PARALLEL_CONSUMER)
    broker.trim(P0, 100)
    handler = Handler()
    async with handling(broker, handler):
        await until(lambda: len(handler.finished) == 79)
    assert handler.seen == texts(*range(321, 400))


async def test_without_a_map_the_metadata_is_empty_and_ignored() -> None:
    broker = broker_with(*texts(*range(400)))
    broker.commit(GROUP, P0, 20, PARALLEL_CONSUMER)
    handler = Handler("25")
    async with handling(broker, handler, offset_map=False):
        await until(lambda: len(handler.finished) == 379)
        await until(lambda: broker.committed(GROUP, P0) == 25)
    assert handler.seen == texts(*range(20, 400))
    assert {metadata for _, metadata in commits_of(broker)} == {""}


async def test_offset_map_is_true_or_false() -> None:
    with pytest.raises(ConfigurationError, match="offset_map"):
        listener_on(broker_with(), offset_map=1)


async def test_a_sequential_loop_has_nothing_ahead() -> None:
    broker = broker_with(*texts(*range(50)))
    async with listener_on(broker, auto_commit={"every": 1}) as listener:
        assert await take(await listener.subscribe(str), 30) == texts(*range(30))
    assert broker.committed(GROUP, P0) == 30
    assert {metadata for _, metadata in commits_of(broker)} == {""}


async def test_loops_side_by_side_repeat_only_what_had_not_finished() -> None:
    broker = broker_with(*texts(*range(50)))

    async def work(value: str) -> None:
        await anyio.sleep(1e6 if value == "10" else 0.01)

    async with listener_on(broker, drain_timeout=1.0) as listener:
        streams = [await listener.subscribe(str) for _ in range(2)]
        async with loops(*streams, work=work):
            await until(lambda: listener.status().counters.finished == 49)
    assert broker.committed(GROUP, P0) == 10
    assert ahead(broker) == [(11, 50)]
    async with listener_on(broker) as listener:
        fill(broker, ["new"])
        assert await take_last(await listener.subscribe(str), 2) == ["10", "new"]


async def test_deliveries_that_finish_too_far_ahead_leave_the_map_out() -> None:
    count, chance = 40_000, Random(17)
    broker = broker_with(*texts(*range(count)))
    odd: list[Delivery[str]] = []
    async with listener_on(broker, max_in_flight=count, drain_timeout=0.1) as listener:
        stream = await listener.subscribe(str)
        async for delivery in stream.deliveries():
            if chance.random() < 0.5:
                odd.append(delivery)
            else:
                delivery.done()
            if delivery.value == str(count - 1):
                break
        await listener.commit()
        assert broker.committed_metadata(GROUP, P0) == ""
        for delivery in odd[:-100]:
            delivery.done()
        await listener.commit()
        assert ahead(broker)[-1][1] > count - 20
        assert broker.committed(GROUP, P0) == odd[-100].record.offset
        odd.clear()
