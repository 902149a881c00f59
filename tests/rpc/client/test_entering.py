"""Entering, starting and leaving a client."""

import asyncio

import anyio
import pytest

from sdml_kafka import (
    BrokerUnreachable,
    CallTimeout,
    ClientClosed,
    ClientNotStarted,
    KafkaRPC,
    TopicPartition,
)
from tests.support.checkpoints import cancelled_at
from tests.support.server_by_hand import REPLY, REQUEST, callers, client_on, hand, new_broker
from tests.support.tasks import task_count
from tests.support.virtual_time import in_virtual_time, on_asyncio, on_trio

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@in_virtual_time
async def test_no_reply_is_missed_after_entering() -> None:
    broker = new_broker()
    broker.produce(REPLY, b"old", headers=[("request_id", b"old")])
    async with client_on(broker) as rpc:
        assert rpc.status().reply_partitions == {
            TopicPartition(REPLY, 0),
            TopicPartition(REPLY, 1),
        }
        assert rpc.status().connected
        await anyio.sleep(1.0)
        assert rpc.status().counters.foreign_replies == 0  # the old one is not read


@in_virtual_time
async def test_the_client_commits_nothing() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        server.reply(await server.request())
        await call.get()
        await anyio.sleep(20.0)
    assert [commit for commit in broker.commits if commit.group == "client"] == []


@in_virtual_time
async def test_entering_without_a_broker_fails_in_time() -> None:
    broker = new_broker()
    broker.down()
    began = anyio.current_time()
    with pytest.raises(BrokerUnreachable):
        async with client_on(broker, start_timeout=3.0):
            pass
    assert anyio.current_time() - began <= 3.5


@in_virtual_time
async def test_a_client_is_entered_once() -> None:
    broker = new_broker()
    rpc = client_on(broker)
    async with rpc:
        pass
    with pytest.raises((ClientClosed, RuntimeError)):
        async with rpc:
            pass


@in_virtual_time
async def test_a_client_goes_on_after_a_second_task_tried_to_enter_it_meanwhile() -> None:
    broker = new_broker()
    rpc = client_on(broker)
    refused: list[Exception] = []

    async def enter_as_well() -> None:
        try:
            await rpc.__aenter__()
        except ClientClosed as error:
            refused.append(error)

    async with hand(broker) as server, anyio.create_task_group() as others:
        others.start_soon(enter_as_well)
        async with rpc, callers(rpc) as tasks:
            assert len(refused) == 1
            call = tasks.call()
            server.reply(await server.request())
            assert await call.get() == b"reply"


@on_asyncio
async def test_a_request_starts_a_client_that_was_not_started() -> None:
    broker = new_broker()
    rpc = client_on(broker)
    async with hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        server.reply(await server.request())
        assert await call.get() == b"reply"
        await rpc.stop()
        await rpc.stop()
        with pytest.raises(ClientClosed):
            await rpc.request(REQUEST, b"")


@on_asyncio
async def test_a_client_that_is_stopped_while_it_starts_is_left_in_peace() -> None:
    before = task_count()
    rpc = client_on(new_broker())
    await asyncio.gather(rpc.start(), rpc.stop())
    await rpc.stop()
    assert task_count() == before


@on_asyncio
async def test_starting_is_within_the_calls_time() -> None:
    broker = new_broker()
    broker.down()
    rpc = client_on(broker)
    began, before = anyio.current_time(), task_count()
    with pytest.raises(CallTimeout, match="could not be sent"):
        await rpc.request(REQUEST, b"", res_timeout=2.0)
    assert anyio.current_time() - began < 2.1
    await rpc.stop()  # the start goes on until then
    assert anyio.current_time() - began < 3.0
    assert task_count() == before


@on_asyncio
async def test_entering_a_client_that_a_call_has_started_says_so() -> None:
    rpc = client_on(new_broker())
    await rpc.notify(REQUEST, b"note")
    with pytest.raises(ClientClosed, match=r"^A call or start\(\) has started this client already"):
        async with rpc:
            pytest.fail("entered")
    await rpc.stop()


@on_trio
async def test_a_request_on_trio_says_to_enter_the_client() -> None:
    with pytest.raises(ClientNotStarted, match="async with"):
        await client_on(new_broker()).request(REQUEST, b"")


@in_virtual_time
async def test_cancelled_at_each_checkpoint_nothing_is_left() -> None:
    checkpoint, reached = 0, True
    while reached:
        checkpoint += 1
        broker = new_broker()
        broker.slow_down(poll_s=0.01)
        before = task_count()
        async with hand(broker) as server:
            await server.join()
            rpc = client_on(broker, stop_timeout=2.0)

            async def work(rpc: KafkaRPC = rpc) -> None:
                async with rpc:
                    await rpc.notify(REQUEST, b"note")
                    with pytest.raises(CallTimeout):
                        await rpc.request(REQUEST, b"", res_timeout=0.5)

            reached = await cancelled_at(checkpoint, work())
            assert rpc.status().in_flight == 0
            assert broker.members("client") == {}
        assert task_count() == before
    assert checkpoint > 5
