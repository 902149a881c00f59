"""A client that its first call starts: time-outs are kept, and a start can be tried again."""

import asyncio
from typing import Any

import anyio
import pytest

from sdml_kafka import BrokerUnreachable, CallTimeout, ClientClosed, KafkaRPC
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.server_by_hand import REQUEST, Hand, client_on, hand, new_broker
from tests.support.tasks import task_count
from tests.support.virtual_time import on_asyncio
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, on_asyncio, pytest.mark.timeout(60)]


async def answered(rpc: KafkaRPC, server: Hand, **options: Any) -> Any:
    """Make a call, answer it, and return its reply."""
    call = asyncio.create_task(rpc.request(REQUEST, b"value", **options))
    server.reply(await server.request())
    return await call


def slow_to_start(broker: MemoryBroker, **options: Any) -> KafkaRPC:
    """Return a client that no broker answers yet."""
    broker.down()
    return client_on(broker, **options)


async def test_a_first_call_raises_at_its_timeout_and_the_next_one_works() -> None:
    broker = new_broker()
    async with hand(broker) as server:
        rpc = slow_to_start(broker)
        began = anyio.current_time()
        with pytest.raises(CallTimeout, match="still being started") as caught:
            await rpc.request(REQUEST, b"value", res_timeout=1.0)
        assert anyio.current_time() - began == pytest.approx(1.0, abs=0.05)
        assert isinstance(caught.value.__cause__, BrokerUnreachable)
        broker.up()
        assert await answered(rpc, server) == b"reply"
        await rpc.stop()


@pytest.mark.parametrize("how", ["stream", "notify"])
async def test_streams_and_notifications_keep_their_timeout_too(how: str) -> None:
    broker = new_broker()
    rpc = slow_to_start(broker)
    began = anyio.current_time()
    with pytest.raises(CallTimeout):
        if how == "stream":
            await anext(rpc.stream(REQUEST, b"value", res_timeout=1.0))
        else:
            await rpc.notify(REQUEST, b"value", res_timeout=1.0)
    assert anyio.current_time() - began == pytest.approx(1.0, abs=0.05)
    broker.up()
    await rpc.notify(REQUEST, b"value", res_timeout=10.0)
    await rpc.stop()


async def test_a_start_that_failed_is_tried_again_by_the_next_call() -> None:
    broker = new_broker()
    tasks = task_count()
    async with hand(broker) as server:
        rpc = slow_to_start(broker, start_timeout=2.0)
        for _ in range(2):
            with pytest.raises(BrokerUnreachable):
                await rpc.request(REQUEST, b"value")
            assert rpc.status().counters.calls == 0
        broker.up()
        assert await answered(rpc, server) == b"reply"
        await rpc.stop()
        with pytest.raises(ClientClosed):
            await rpc.request(REQUEST, b"value")
    assert task_count() == tasks


async def test_calls_that_wait_for_one_start_each_keep_their_own_timeout() -> None:
    broker = new_broker()
    async with hand(broker) as server:
        rpc = slow_to_start(broker)
        patient = asyncio.create_task(rpc.request(REQUEST, b"value"))
        for timeout in (0.5, 1.0):
            with pytest.raises(CallTimeout):
                await rpc.request(REQUEST, b"value", res_timeout=timeout)
        broker.up()
        server.reply(await server.request())
        assert await patient == b"reply"
        await rpc.stop()


async def test_a_first_call_that_is_cancelled_fails_no_other() -> None:
    broker = new_broker()
    async with hand(broker) as server:
        rpc = slow_to_start(broker)
        first = asyncio.create_task(rpc.request(REQUEST, b"value"))
        other = asyncio.create_task(rpc.request(REQUEST, b"value"))
        await anyio.sleep(1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        broker.up()
        server.reply(await server.request())
        assert await other == b"reply"
        await rpc.stop()


async def test_a_start_that_was_cancelled_leaves_nothing_and_is_tried_again() -> None:
    broker = new_broker()
    tasks = task_count()
    async with hand(broker) as server:
        rpc = slow_to_start(broker)
        for _ in range(2):
            with anyio.move_on_after(1.0):
                await rpc.request(REQUEST, b"value")
            assert task_count() == tasks
        at_once = asyncio.create_task(rpc.start())
        await asyncio.sleep(0)
        at_once.cancel()
        with pytest.raises(asyncio.CancelledError):
            await at_once
        broker.up()
        assert await answered(rpc, server) == b"reply"
        await rpc.stop()


async def test_a_client_that_is_stopped_while_it_starts_ends_at_once() -> None:
    broker = new_broker()
    tasks = task_count()
    rpc = slow_to_start(broker)
    call = asyncio.create_task(rpc.request(REQUEST, b"value"))
    await anyio.sleep(1)
    began = anyio.current_time()
    await rpc.stop()
    assert anyio.current_time() - began < 0.1
    with pytest.raises(ClientClosed):
        await call
    assert task_count() == tasks


async def test_a_start_that_fails_when_nobody_waits_any_more_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rpc = slow_to_start(new_broker(), start_timeout=2.0)
    with pytest.raises(CallTimeout):
        await rpc.request(REQUEST, b"value", res_timeout=1.0)
    await until(lambda: "did not start" in caplog.text)
    await rpc.stop()
