"""`serve_forever()`, `start()` and `stop()`."""

import asyncio

import anyio
import pytest

from sdml_kafka import ClientClosed, ClientNotStarted, ConsumerFailed, Restarts, RestartsExhausted
from tests.support.client_by_hand import GROUP, P0, ask, echoing, new_broker, reply
from tests.support.virtual_time import in_virtual_time, on_asyncio, on_trio

pytestmark = pytest.mark.anyio


@in_virtual_time
async def test_serve_forever_enters_it() -> None:
    broker = new_broker()
    server = echoing(broker)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve_forever)
        ask(broker)
        await reply(broker)
        tasks.cancel_scope.cancel()
    assert broker.members(GROUP) == {}
    assert broker.committed(GROUP, P0) == 1


@in_virtual_time
async def test_serve_forever_inside_raises_what_the_server_failed_with() -> None:
    broker = new_broker()
    with pytest.raises(RestartsExhausted):
        async with echoing(broker, restarts=Restarts(max_restarts=0)) as server:
            broker.fail_next_poll(ConsumerFailed("dead"))
            await server.serve_forever()


@on_asyncio
async def test_start_and_stop() -> None:
    broker = new_broker()
    server = echoing(broker)
    await server.stop()
    await server.start()
    await server.start()
    ask(broker)
    await reply(broker)
    await server.stop()
    await server.stop()
    assert broker.committed(GROUP, P0) == 1
    with pytest.raises(ClientClosed):
        await server.start()


@on_asyncio
async def test_a_server_that_is_stopped_while_it_starts_is_left_in_peace() -> None:
    broker = new_broker()
    server = echoing(broker)
    await asyncio.gather(server.start(), server.stop())
    await server.stop()
    assert broker.members(GROUP) == {}


@on_asyncio
async def test_a_failure_after_start_comes_out_of_serve_forever_and_stop() -> None:
    broker = new_broker()
    server = echoing(broker, restarts=Restarts(max_restarts=0))
    await server.start()
    broker.fail_next_poll(ConsumerFailed("dead"))
    with pytest.raises(RestartsExhausted):
        await server.serve_forever()
    with pytest.raises(RestartsExhausted):
        await server.stop()


@on_trio
async def test_start_on_trio_says_what_to_do() -> None:
    with pytest.raises(ClientNotStarted, match="async with"):
        await echoing(new_broker()).start()
