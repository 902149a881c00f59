"""Old requests that a group takes up again are run, unless the server has a bound for their age."""

import anyio
import pytest

from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.state import loop_time
from tests.support.client_by_hand import (
    REPLY,
    REQUEST,
    ask,
    echo,
    finished,
    new_broker,
    outcomes,
    replies,
    serving,
)
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]

DAY_S = 86_400.0


async def test_old_requests_are_run_by_default() -> None:
    broker = new_broker()
    ask(broker, b"old")
    await anyio.sleep(8 * DAY_S)
    async with serving(broker, echo):
        assert await outcomes(broker, 1) == [b"old"]


async def test_requests_older_than_the_bound_are_passed_over() -> None:
    broker, started = new_broker(), list[bytes]()

    async def handle(value: bytes, call: object) -> bytes:
        started.append(value)
        return value

    ask(broker, b"old")
    ask(broker, b"old and one-way", reply_to=())
    ask(broker, b"old, with time left", timeout_ms=int(30 * DAY_S * 1000))
    await anyio.sleep(8 * DAY_S)
    ask(broker, b"young")
    await anyio.sleep(60)
    async with serving(broker, handle, max_age_s=3600) as server:
        old, with_time, young = await replies(broker, 3)
        assert header(old, "x-status") == header(with_time, "x-status") == b"deadline_exceeded"
        assert b"older than the 3600 s" in (header(old, "x-error") or b"")
        assert young.value == b"young"
        await finished(broker, server, 4)
        assert server.status().counters.expired == 3
    assert started == [b"young"]


async def test_old_streams_are_passed_over() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: object):  # type: ignore[no-untyped-def]  # as users do
        yield value

    ask(broker)
    await anyio.sleep(DAY_S)
    async with serving(broker, handle, max_age_s=3600) as server:
        assert await outcomes(broker, 1) == [b"deadline_exceeded"]
        assert server.status().in_flight == 0


@pytest.mark.parametrize("skew_s", [-DAY_S, DAY_S])
async def test_the_bound_needs_no_clock_while_the_server_keeps_up(skew_s: float) -> None:
    broker = MemoryBroker({REQUEST: 1, REPLY: 1}, clock=lambda: loop_time() + skew_s)
    async with serving(broker, echo, max_age_s=60):
        await anyio.sleep(3)
        ask(broker)
        assert await outcomes(broker, 1) == [b"value"]
