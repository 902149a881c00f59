"""Entering, leaving, failing, and what status tells."""

from collections.abc import AsyncGenerator

import anyio
import pytest

from sdml_kafka import (
    AuthenticationFailed,
    BrokerUnreachable,
    Call,
    ClientClosed,
    ClientNotStarted,
    ConsumerFailed,
    KafkaRPCServer,
    ProducerFailed,
    Restarts,
    RestartsExhausted,
)
from sdml_kafka.runtime import ActorState
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.client_by_hand import (
    GROUP,
    P0,
    REQUEST,
    ask,
    new_broker,
    outcomes,
    replies,
    reply,
    server_on,
)
from tests.support.listener_on_twin import task_count
from tests.support.virtual_time import in_virtual_time, on_asyncio, on_trio
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def echo(value: bytes, call: Call) -> bytes:
    return value


def echoing(broker: MemoryBroker, **options: object) -> KafkaRPCServer:
    server = server_on(broker, **options)
    server.handler(REQUEST)(echo)
    return server


@in_virtual_time
async def test_nothing_is_left_behind() -> None:
    broker = new_broker()
    before = task_count()
    async with echoing(broker):
        ask(broker)
        await reply(broker)
        assert task_count() > before
    assert task_count() == before
    assert broker.members(GROUP) == {}


@in_virtual_time
async def test_the_tree() -> None:
    async with echoing(new_broker()) as server:
        tree = server.status().tree
        assert tree.name == "server"
        sender, requests = tree.children
        assert [sender.name, requests.name] == ["sender", "requests"]
        names = [child.name for child in requests.children]
        assert names == ["workers", "consumer-loop", "commit-scheduler"]
        states = {child.state for child in (sender, requests, *requests.children)}
        assert states == {ActorState.RUNNING}


@in_virtual_time
async def test_status() -> None:
    broker = new_broker()
    server = echoing(broker)
    assert not server.status().connected
    async with server:
        await until(lambda: server.status().connected)
        ask(broker)
        await reply(broker)
        await until(lambda: broker.committed(GROUP, P0) == 1)
        partition = server.status().partitions[P0]
        assert (partition.position, partition.committed, partition.in_flight) == (1, 1, 0)
        assert server.status().missing_topics == frozenset()
    assert not server.status().connected
    assert server.status().tree.state is ActorState.STOPPED


@in_virtual_time
async def test_a_request_topic_that_comes_later() -> None:
    broker = MemoryBroker({"reply": 1})
    async with echoing(broker) as server:
        await until(lambda: server.status().missing_topics == {REQUEST})
        broker.create_topic(REQUEST)
        ask(broker)
        await reply(broker)


@in_virtual_time
async def test_entered_once() -> None:
    server = echoing(new_broker())
    async with server:
        pass
    with pytest.raises(ClientClosed, match="once"):
        async with server:
            pytest.fail("entered")
    with pytest.raises(ClientClosed):
        await server.serve_forever()


@in_virtual_time
async def test_without_a_broker() -> None:
    broker = new_broker()
    broker.down()
    began = anyio.current_time()
    with pytest.raises(BrokerUnreachable):
        async with echoing(broker, start_timeout=3.0):
            pytest.fail("entered")
    assert anyio.current_time() - began < 6


@in_virtual_time
async def test_what_a_restart_cannot_mend_comes_out() -> None:
    broker = new_broker()
    broker.fail_starts(AuthenticationFailed("who are you?"))
    with pytest.raises(AuthenticationFailed, match="who are you"):
        async with echoing(broker):
            pytest.fail("entered")


@in_virtual_time
async def test_a_consumer_that_keeps_failing_comes_out_as_one_error() -> None:
    broker = new_broker()
    with pytest.raises(RestartsExhausted) as caught:
        async with echoing(broker, restarts=Restarts(max_restarts=1, backoff_s=0.01)) as server:
            broker.fail_next_poll(ConsumerFailed("first"))
            await until(lambda: server.status().counters.restarts)
            broker.fail_next_poll(ConsumerFailed("second"))
            await anyio.sleep_forever()
    assert isinstance(caught.value.__cause__, ConsumerFailed)


@in_virtual_time
async def test_a_producer_that_keeps_failing_comes_out_as_one_error() -> None:
    broker = new_broker()
    with pytest.raises(RestartsExhausted) as caught:
        async with echoing(broker, restarts=Restarts(max_restarts=1, backoff_s=0.01)) as server:
            broker.fail_producer()
            await until(lambda: server.status().counters.restarts)
            await until(lambda: server.status().connected)
            broker.fail_producer()
            await anyio.sleep_forever()
    assert isinstance(caught.value.__cause__, ProducerFailed)


@in_virtual_time
async def test_a_handler_that_is_interrupted_ends_the_program() -> None:
    broker = new_broker()
    server = server_on(broker)

    @server.handler(REQUEST)
    async def stop(value: bytes, call: Call) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with server:
            ask(broker)
            await anyio.sleep_forever()
    assert broker.committed(GROUP, P0) in (0, None)


@in_virtual_time
@pytest.mark.parametrize("where", ["parser", "async", "stream", "thread"])
async def test_a_request_that_exits_is_answered_and_ends_no_server(where: str) -> None:
    def leave(_: object) -> bytes:
        raise SystemExit(3)

    broker = new_broker()
    server = server_on(broker)

    if where == "parser":

        @server.handler(REQUEST, parser=leave)
        async def never(value: bytes, call: Call) -> bytes:
            return value
    elif where == "async":

        @server.handler(REQUEST)
        async def exits(value: bytes, call: Call) -> bytes:
            return leave(value)
    elif where == "stream":

        @server.handler(REQUEST)
        async def streams(value: bytes, call: Call) -> AsyncGenerator[bytes]:
            yield leave(value)
    else:

        @server.handler(REQUEST)
        def in_a_thread(value: bytes, call: Call) -> bytes:
            return leave(value)

    async with server:
        ask(broker, id_=b"1")
        ask(broker, id_=b"2")
        expected = b"invalid_argument" if where == "parser" else b"internal"
        assert await outcomes(broker, 2) == [expected] * 2


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


@in_virtual_time
async def test_memory_does_not_grow_with_requests() -> None:
    broker = new_broker()
    async with echoing(broker) as server:
        for number in range(3000):
            ask(broker, id_=f"{number}", timeout_ms=60_000)
        await replies(broker, 3000)
        await until(lambda: server.status().in_flight == 0)
        (partition,) = server._intake.partitions.values()
        assert partition.tenancy.chunk_count() <= 1
        assert server._replies._again == []
        assert len(server._queue._lanes) == 1
