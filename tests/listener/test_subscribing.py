"""A topic is read while a stream of it is open, and no record is lost before or between streams."""

import anyio
import pytest

from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TOPIC,
    broker_with,
    fill,
    listener_on,
    take,
    take_last,
)
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_nothing_is_lost_between_start_and_subscribe(reset: str) -> None:
    broker = MemoryBroker({TOPIC: 2})
    async with listener_on(broker, auto_offset_reset=reset) as listener:
        fill(broker, range(3))
        fill(broker, range(3, 6), partition=1)
        await anyio.sleep(10)
        assert listener.status().partitions[P0].position == 0
        stream = await listener.subscribe(str)
        assert sorted(await take_last(stream, 6)) == [str(number) for number in range(6)]
        await listener.commit()
    assert (broker.committed(GROUP, P0), broker.committed(GROUP, P1)) == (3, 3)


async def test_a_topic_is_read_again_from_where_its_last_stream_left_it() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker) as listener:
        async with await listener.subscribe(str) as stream:
            assert await take(stream, 1) == ["a"]
        fill(broker, "cd")
        await anyio.sleep(10)
        assert await take_last(await listener.subscribe(str), 3) == ["b", "c", "d"]
