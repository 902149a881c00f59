"""Rebalances that move only a part: a client reads its replies through all of them."""

import anyio
import pytest

from sdml_kafka import GroupShared, TopicPartition
from sdml_kafka.rpc.client.reply_topics import Reading
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.reports import Assignment, Revocation
from tests.support.server_by_hand import REPLY, REQUEST, callers, client_on, hand
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


def broker_of(reply_partitions: int = 2) -> MemoryBroker:
    return MemoryBroker({REQUEST: 2, REPLY: reply_partitions}, rebalances="incremental")


async def test_replies_come_from_partitions_that_are_new_as_well() -> None:
    broker = broker_of()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as calls:
        await server.join()
        first = calls.call(b"first")
        server.reply(await server.request(), partition=0)
        assert await first.get() == b"reply"
        broker.add_partitions(REPLY, 2)
        for partition in range(4):
            outcome = calls.call(b"%d" % partition)
            server.reply(await server.request(), b"re %d" % partition, partition=partition)
            assert await outcome.get() == b"re %d" % partition
        (read,) = broker.members("client").values()
        assert len(read) == 4


async def test_another_client_in_the_group_finds_out_as_it_enters_and_leaves() -> None:
    broker = broker_of()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as calls:
        await server.join()
        with pytest.raises(GroupShared):
            async with client_on(broker):
                pytest.fail("entered")
        for partition in range(2):
            outcome = calls.call(b"after")
            server.reply(await server.request(), partition=partition)
            assert await outcome.get() == b"reply"
        (read,) = broker.members("client").values()
        assert len(read) == 2


async def test_somebody_who_joins_the_group_and_stays_is_an_error() -> None:
    """What the client has lost is in no further assignment, but in what is elsewhere."""
    broker = broker_of()
    with pytest.raises(GroupShared, match="group 'client'"):
        async with client_on(broker), broker.connect("client")() as intruder:
            await intruder.start([REPLY], 5.0)
            await anyio.sleep(60)


async def test_a_client_that_was_expelled_misses_no_reply() -> None:
    broker = broker_of()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as calls:
        await server.join()
        waiting = [calls.call(b"%d" % number) for number in range(4)]
        requests = await server.requests(4)
        (member,) = broker.members("client")
        server.reply(requests[0], partition=0)
        broker.expel(member)
        server.reply(requests[1], partition=1)
        await anyio.sleep(1.0)
        server.reply(requests[2], partition=0)
        server.reply(requests[3], partition=1)
        assert [await each.get() for each in waiting] == [b"reply"] * 4


async def test_what_is_read_is_what_the_last_consumer_was_given_and_has_still() -> None:
    p0, p1, p2 = (TopicPartition(REPLY, number) for number in range(3))

    def assignment(epoch: int, *places: TopicPartition, adds: bool) -> Assignment:
        nothing = dict.fromkeys(places)
        return Assignment(epoch, dict.fromkeys(places, 0), nothing, adds=adds)

    reading = Reading(share=None, may_grow=True, turn=0)
    reading.begin_with_consumer()
    reading.follow(assignment(1, p0, p1, adds=False))
    reading.note_revoked(Revocation(1, frozenset({p1}), False, 1.0, lambda: None))
    assert reading.partitions == {p0, p1}  # replies may come there until others have it
    reading.follow(assignment(2, p2, adds=True))
    assert reading.partitions == {p0, p2}
    reading.begin_with_consumer()
    reading.follow(assignment(1, p1, adds=True))
    assert reading.partitions == {p1}
