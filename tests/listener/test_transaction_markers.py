"""Transaction markers and aborted records take offsets, and the frontier passes over them."""

import anyio
import pytest

from tests.support.listener_on_twin import (
    GROUP,
    P0,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
    take_last,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


@pytest.mark.parametrize("markers", [1, 12])
async def test_when_all_has_finished_the_lag_is_0_and_the_commit_at_the_end(markers: int) -> None:
    broker = broker_with("a", "b")
    broker.skip_offsets(P0, markers)
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        async with loops(stream) as (loop,):
            await until(lambda: broker.committed(GROUP, P0) == 2 + markers)
            status = listener.status().partitions[P0]
            assert (status.position, status.lag) == (2 + markers, 0)
            broker.skip_offsets(P0, 1)  # a transaction that was aborted, and nothing else
            await until(lambda: broker.committed(GROUP, P0) == 3 + markers)
            fill(broker, ["c"])
            await loop.has_seen(3)
    assert broker.committed(GROUP, P0) == 4 + markers


async def test_a_marker_behind_records_in_hand_or_waiting_is_not_passed_over() -> None:
    broker = broker_with(*map(str, range(10)))
    broker.skip_offsets(P0, 1)
    gate = Gate()
    async with listener_on(broker, max_in_flight=4) as listener:
        stream = await listener.subscribe(str)
        async with loops(stream, work=gate):
            await until(lambda: gate.arrived == ["0"])
            await anyio.sleep(30)
            assert broker.committed(GROUP, P0) == 0
            status = listener.status().partitions[P0]
            assert (status.lag, status.high_watermark) == (11, 11)
            gate.open()
            await until(lambda: broker.committed(GROUP, P0) == 11)


async def test_leaving_and_a_rebalance_commit_behind_the_marker() -> None:
    broker = broker_with("a", "b")
    broker.skip_offsets(P0, 1)
    async with listener_on(broker, auto_commit={"every": 1000}) as listener:
        stream = await listener.subscribe(str)
        await take_last(stream, 2)
        await until(lambda: listener.status().partitions[P0].lag == 0)
        broker.rebalance(GROUP)
        await until(lambda: broker.committed(GROUP, P0) == 3)
        fill(broker, ["c"])
        await take_last(stream, 1)
        broker.skip_offsets(P0, 5)
        await until(lambda: listener.status().partitions[P0].position == 9)
    assert broker.committed(GROUP, P0) == 9


async def test_after_retention_nothing_is_skipped_that_came_meanwhile() -> None:
    """The commit does not lie below the log's start, and if it does, `latest` skips nothing."""
    broker = broker_with()
    async with listener_on(broker, auto_offset_reset="latest") as listener:
        stream = await listener.subscribe(str)
        fill(broker, ["a"])
        broker.skip_offsets(P0, 1)
        await take_last(stream, 1)
        await until(lambda: listener.status().partitions[P0].lag == 0)
    broker.trim(P0, 2)
    fill(broker, ["b", "c"])
    broker.trim(P0, 3)
    async with listener_on(broker, auto_offset_reset="latest") as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["c"]
    assert broker.committed(GROUP, P0) == 4


async def test_retention_under_a_listener_moves_position_and_commit() -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener:
        stream = await listener.subscribe(str)
        await take_last(stream, 1)
        broker.spoil(P0, "held")
        fill(broker, range(5))
        broker.trim(P0, 6)
        broker.mend(P0)
        await until(lambda: broker.committed(GROUP, P0) == 6)
        assert listener.status().partitions[P0].lag == 0
