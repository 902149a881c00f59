"""Entering and leaving a server, and what its status shows meanwhile."""

import anyio
import pytest

from sdml_kafka import (
    BrokerUnreachable,
    ClientClosed,
    KafkaRPCServer,
)
from sdml_kafka.runtime import ActorState
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.client_by_hand import (
    GROUP,
    P0,
    REPLY,
    REQUEST,
    ask,
    echo,
    echoing,
    new_broker,
    reply,
    serving,
)
from tests.support.tasks import task_count
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def test_nothing_is_left_behind() -> None:
    broker = new_broker()
    before = task_count()
    async with echoing(broker):
        ask(broker)
        await reply(broker)
        assert task_count() > before
    assert task_count() == before
    assert broker.members(GROUP) == {}


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


async def test_a_request_topic_that_comes_later() -> None:
    broker = MemoryBroker({"reply": 1})
    async with echoing(broker) as server:
        await until(lambda: server.status().missing_topics == {REQUEST})
        broker.create_topic(REQUEST)
        ask(broker)
        await reply(broker)


async def test_entered_once() -> None:
    server = echoing(new_broker())
    async with server:
        pass
    with pytest.raises(ClientClosed, match="once"):
        async with server:
            pytest.fail("entered")
    with pytest.raises(ClientClosed):
        await server.serve_forever()


async def test_a_server_goes_on_after_a_second_task_tried_to_enter_it_meanwhile() -> None:
    broker = new_broker()
    server = echoing(broker)
    refused: list[Exception] = []

    async def enter_as_well() -> None:
        try:
            await server.__aenter__()
        except ClientClosed as error:
            refused.append(error)

    async with anyio.create_task_group() as others:
        others.start_soon(enter_as_well)
        async with server:
            assert len(refused) == 1
            ask(broker)
            await reply(broker)


async def test_without_a_broker() -> None:
    broker = new_broker()
    broker.down()
    began = anyio.current_time()
    with pytest.raises(BrokerUnreachable):
        async with echoing(broker, start_timeout=3.0):
            pytest.fail("entered")
    assert anyio.current_time() - began < 6


async def test_a_group_shared_with_a_listener_of_another_topic() -> None:
    """Kafka gives each member partitions of what it reads itself."""
    broker = new_broker()
    transport = Transport(broker.connect(GROUP), broker.connect_producer())
    other = KafkaRPCServer(transport=transport)
    other.handler(REPLY)(echo)
    async with serving(broker, echo) as server, other:
        await until(lambda: server.status().counters.rebalances > 1)
        assert set(server.status().partitions) == {P0}
        ask(broker, reply_to=[])
        await until(lambda: server.status().counters.one_way == 1)
