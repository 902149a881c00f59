"""The topic that replies come on: the client's own, created, or one partition of a shared one."""

import anyio
import pytest

from sdml_kafka import ConsumerFailed, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.headers import header
from tests.support.server_by_hand import REPLY, REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_without_parsers_replies_come_raw_on_a_topic_of_its_own_deleted_on_leaving() -> None:
    broker = new_broker()
    async with client_on(broker, parsers=()) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        topic = (header(request, "x-reply-topic") or b"").decode()
        assert topic.startswith("sdml-rpc-")
        server.reply(request, b"\x00raw", topic=topic)
        assert await call.get() == b"\x00raw"
        broker.end_offset(TopicPartition(topic, 0))
    with pytest.raises(Exception, match="no partition"):
        broker.end_offset(TopicPartition(topic, 0))


async def test_a_missing_reply_topic_is_created_as_asked_and_stays() -> None:
    broker = MemoryBroker({REQUEST: 1})
    async with client_on(broker, reply_partitions=3) as rpc:
        assert len(rpc.status().reply_partitions) == 3
    broker.end_offset(TopicPartition(REPLY, 2))


async def test_own_partition_is_said_in_the_request_and_survives_a_restart() -> None:
    broker = MemoryBroker({REQUEST: 1, REPLY: 8})
    async with (
        client_on(broker, own_partition=True) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        (own,) = rpc.status().reply_partitions
        for _ in range(2):
            call = tasks.call()
            request = await server.request()
            assert header(request, "x-reply-partition") == b"%d" % own.partition
            server.reply(request, partition=own.partition)
            assert await call.get() == b"reply"
            broker.fail_next_poll(ConsumerFailed("ordered"), member="client-1")
            await anyio.sleep(2.0)
