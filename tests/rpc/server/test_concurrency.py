"""How many requests a server handles at once, in which order, and which of them wait."""

import anyio
import pytest

from sdml_kafka import Call
from tests.support.client_by_hand import (
    P0,
    REQUEST,
    ask,
    new_broker,
    outcomes,
    replies,
    server_on,
    serving,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


class Busy:
    """A handler that counts how many of its calls run at once."""

    def __init__(self, takes_s: float = 1.0) -> None:
        self.now = self.most = 0
        self.started: list[bytes] = []
        self._takes_s = takes_s

    async def __call__(self, value: bytes, call: Call) -> bytes:
        self.started.append(value)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await anyio.sleep(self._takes_s)
        finally:
            self.now -= 1
        return value


@pytest.mark.parametrize("concurrency", [1, 3, 30])
async def test_as_many_as_allowed_at_once(concurrency: int) -> None:
    broker, busy = new_broker(), Busy()
    async with serving(broker, busy, concurrency=concurrency):
        began = anyio.current_time()
        for number in range(30):
            ask(broker, b"%d" % number)
        await replies(broker, 30)
        assert busy.most == concurrency
        took_s = anyio.current_time() - began
        assert took_s == pytest.approx(30 / concurrency, abs=0.5)


async def test_a_handlers_own_limit() -> None:
    broker = new_broker(other=1)
    narrow, wide = Busy(), Busy()
    server = server_on(broker, concurrency=10)
    server.handler(REQUEST, concurrency=2)(narrow)
    server.handler("other")(wide)
    async with server:
        for _ in range(20):
            ask(broker)
        for _ in range(8):
            ask(broker, topic="other")
        began = anyio.current_time()
        await replies(broker, 28)
        assert (narrow.most, wide.most) == (2, 8)
        assert anyio.current_time() - began == pytest.approx(10, abs=0.5)


async def test_a_handler_of_several_topics_has_one_limit() -> None:
    broker, busy = new_broker(other=1), Busy()
    server = server_on(broker)
    server.handler(REQUEST, "other", concurrency=1)(busy)
    async with server:
        for topic in (REQUEST, "other", REQUEST, "other"):
            ask(broker, topic=topic)
        await replies(broker, 4)
        assert busy.most == 1


async def test_partitions_take_turns() -> None:
    broker, busy = new_broker(2), Busy()
    for _ in range(50):
        ask(broker, b"0", partition=0)
    for _ in range(4):
        ask(broker, b"1", partition=1)
    async with serving(broker, busy, concurrency=1):
        await until(lambda: len(busy.started) >= 8)
        assert busy.started[:8].count(b"1") == 4


async def test_a_slow_request_holds_up_nobody() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        if value == b"slow":
            await anyio.sleep(1000)
        return value

    async with serving(broker, handle, concurrency=2, drain_timeout=0.0):
        ask(broker, b"slow")
        for _ in range(1000):
            ask(broker, b"fast")
        began = anyio.current_time()
        await replies(broker, 1000)
        assert anyio.current_time() - began < 5


async def test_what_is_not_started_waits_unread() -> None:
    """So that a rebalance moves it for nothing, and memory is bounded."""
    broker, busy = new_broker(), Busy(1000.0)
    for _ in range(10_000):
        ask(broker)
    async with serving(broker, busy, concurrency=5, drain_timeout=0.0) as server:
        await until(lambda: busy.now == 5)
        await anyio.sleep(10)
        assert server.status().in_flight == 5
        assert (
            server.status().partitions[P0].position <= 4 + 64
        )  # of the first poll, and of a full one
        assert len(server._actors.intake.partitions[P0].backlog) < 3000


async def test_one_worker_is_enough_for_handlers_that_never_wait() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        return value

    for _ in range(200):
        ask(broker)
    async with serving(broker, handle) as server:
        assert set(await outcomes(broker, 200)) == {b"value"}
        assert len(server._actors.pool.workers) == 1


async def test_a_burst_spreads_quickly() -> None:
    broker, busy = new_broker(), Busy(0.0)
    async with serving(broker, busy) as server:
        for _ in range(100):
            ask(broker)
        await replies(broker, 100)
        assert 5 < len(server._actors.pool.workers) <= 100


async def test_replies_that_nobody_acknowledges_hold_the_server_back() -> None:
    broker, started = new_broker(), 0

    async def handle(value: bytes, call: Call) -> bytes:
        nonlocal started
        started += 1
        return value

    async with serving(broker, handle, drain_timeout=1.0) as server:
        broker.hold_sends()
        for _ in range(5000):
            ask(broker)
        await anyio.sleep(5)
        assert started == server.status().in_flight == 2000
        broker.release_sends()
        await replies(broker, 5000)


async def test_large_replies_hold_it_back_sooner() -> None:
    broker, started = new_broker(), 0

    async def handle(value: bytes, call: Call) -> bytes:
        nonlocal started
        started += 1
        return b"x" * (900 << 10)

    async with serving(broker, handle, drain_timeout=1.0):
        broker.hold_sends()
        for _ in range(200):
            ask(broker)
        await anyio.sleep(5)
        assert started == 73  # 64 MiB of them
        broker.release_sends()
        await replies(broker, 200)
