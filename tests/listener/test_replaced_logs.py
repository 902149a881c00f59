"""A log that ends before what was read or committed: restored, truncated, or created anew."""

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


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_a_commit_beyond_the_end_is_no_floor(reset: str) -> None:
    """Else nothing were committed until the log has grown past it, and each start would repeat."""
    broker = broker_with("a", "b")
    broker.commit(GROUP, P0, 100)
    async with listener_on(broker, auto_offset_reset=reset) as listener:
        stream = await listener.subscribe(str)
        fill(broker, ["c"])
        expected = ["a", "b", "c"] if reset == "earliest" else ["c"]
        assert await take_last(stream, len(expected)) == expected
        await listener.commit()
        assert broker.committed(GROUP, P0) == 3
        status = listener.status().partitions[P0]
        assert (status.committed, status.lag) == (3, 0)
    fill(broker, ["d"])
    async with listener_on(broker, auto_offset_reset=reset) as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["d"]


async def test_what_was_found_is_committed_at_once() -> None:
    """Else a second start that comes before the first record would go by the reset again."""
    broker = broker_with("a", "b")
    broker.commit(GROUP, P0, 100)
    async with listener_on(broker, auto_offset_reset="latest"):
        assert broker.committed(GROUP, P0) == 2


@pytest.mark.parametrize("reset", ["earliest", "latest"])
async def test_a_log_that_is_truncated_under_a_listener_is_read_from_its_beginning(
    reset: str,
) -> None:
    broker = broker_with()
    async with listener_on(broker, auto_offset_reset=reset) as listener:
        stream = await listener.subscribe(str)
        async with loops(stream) as (loop,):
            fill(broker, range(50))
            await loop.has_seen(50)
            await until(lambda: broker.committed(GROUP, P0) == 50)
            broker.truncate(P0, 0)
            fill(broker, ["x", "y"])
            await loop.has_seen(52)
            assert loop.seen[50:] == ["x", "y"]
            await until(lambda: broker.committed(GROUP, P0) == 2)
            assert listener.status().partitions[P0].lag == 0


async def test_what_waits_of_the_old_log_moves_nothing_in_the_new_one() -> None:
    broker = broker_with(*map(str, range(10)))
    gate = Gate()
    async with listener_on(broker, max_in_flight=4) as listener:
        stream = await listener.subscribe(str)
        async with loops(stream, work=gate) as (loop,):
            await until(lambda: gate.arrived == ["0"])
            broker.truncate(P0, 0)
            fill(broker, ["x"])
            await anyio.sleep(30)
            assert broker.committed(GROUP, P0) == 0
            gate.open()
            await until(lambda: loop.seen[-1] == "x")
            await until(lambda: broker.committed(GROUP, P0) == 1)
            assert listener.status().counters.late_finishes == 0
