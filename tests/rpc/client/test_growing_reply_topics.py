"""Reply topics that get more partitions, which the client's consumer notices only later."""

import anyio
import pytest

from sdml_kafka import Call, CallTimeout, ParserSpec, parse_bytes
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.client_by_hand import server_on
from tests.support.headers import header
from tests.support.server_by_hand import REPLY, REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

UNNOTICED_S = 30.0
OTHER = "other"


async def reply_later(value: bytes, call: Call) -> bytes:
    await anyio.sleep(1.0)
    return value


@pytest.mark.parametrize("partitions", [1, 2])
async def test_replies_go_where_each_client_reads_while_the_topic_grows(partitions: int) -> None:
    broker = MemoryBroker({REQUEST: 1, REPLY: partitions})
    server = server_on(broker, concurrency=100)
    server.handler(REQUEST)(reply_later)
    async with server, client_on(broker, group="before") as before, callers(before) as tasks:
        in_flight = [tasks.call(b"%d" % n, res_timeout=3.0) for n in range(12)]
        await anyio.sleep(0.5)
        broker.add_partitions(REPLY, 4, unnoticed_for_s=UNNOTICED_S)
        async with client_on(broker, group="after") as after, callers(after) as more_tasks:
            calls = [tasks.call(b"%d" % n, res_timeout=3.0) for n in range(12)]
            calls_after = [more_tasks.call(b"%d" % n, res_timeout=3.0) for n in range(12)]
            for each in (in_flight, calls, calls_after):
                assert [await call.get() for call in each] == [b"%d" % n for n in range(12)]
            assert len(before.status().reply_partitions) == partitions
            assert len(after.status().reply_partitions) == partitions + 4


async def test_new_partitions_are_asked_for_once_they_are_read() -> None:
    """Each client asks for one partition, as a batch of replies goes to one."""
    broker = MemoryBroker({REQUEST: 1, REPLY: 1})
    asked: set[bytes | None] = set()
    async with hand(broker) as server:
        for number in range(40):
            async with client_on(broker, group=f"{number}") as rpc, callers(rpc) as tasks:
                if not number:
                    broker.add_partitions(REPLY, 3)
                    await anyio.sleep(1.0)
                first, second = tasks.call(), tasks.call()
                requests = await server.requests(2)
                for request in requests:
                    server.reply(request)
                assert {await first.get(), await second.get()} == {b"reply"}
                (partition,) = {header(request, "x-reply-partition") for request in requests}
                asked.add(partition)
    assert asked == {b"0", b"1", b"2", b"3"}


async def test_after_a_call_without_a_reply_another_partition_is_asked_for() -> None:
    """The one that was asked for may have lost its leader."""
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        asked: list[bytes | None] = []
        for _ in range(3):
            call = tasks.call(res_timeout=1.0)
            asked.append(header(await server.request(), "x-reply-partition"))
            with pytest.raises(CallTimeout):
                await call.get()
    assert asked[0] == asked[2] != asked[1]


@pytest.mark.parametrize(
    ("topics", "partitions"),
    [([REPLY, OTHER], {b"0", b"1"}), ([REPLY, "foreign"], {None}), ([OTHER], {b"0", b"1"})],
)
async def test_a_partition_is_asked_for_that_the_client_reads_in_each_topic_that_is_named(
    topics: list[str], partitions: set[bytes | None]
) -> None:
    broker = MemoryBroker({REQUEST: 1, REPLY: 5, OTHER: 2, "foreign": 1})
    parser: ParserSpec[bytes] = {"topics": [REPLY, OTHER], "type": bytes, "parser": parse_bytes}
    async with (
        client_on(broker, parsers=[parser]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        call = tasks.call(req_headers_reply_to=topics)
        request = await server.request()
        assert header(request, "x-reply-partition") in partitions
        server.reply(request, topic=topics[0])
        assert await call.get() == b"reply"


async def test_a_topic_of_the_clients_own_costs_no_header() -> None:
    """Nobody else knows its name, so nobody adds partitions."""
    broker = new_broker()
    async with client_on(broker, parsers=()) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        assert header(request, "x-reply-partition") is None
        server.reply(request, topic=(header(request, "x-reply-topic") or b"").decode())
        await call.get()
