"""Actors of a client that fail, and calls that go on."""

import anyio
import pytest

from sdml_kafka import (
    ClientClosed,
    ConsumerFailed,
    KafkaRPC,
    ProducerFailed,
    Restarts,
    RestartsExhausted,
)
from sdml_kafka.rpc.client.reply_dispatcher import ReplyMatcher
from sdml_kafka.transport.interfaces.records import Record
from tests.support.server_by_hand import REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_a_restart_of_the_reply_loop_keeps_the_calls_and_their_replies() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        broker.fail_next_poll(ConsumerFailed("ordered"), member="client-1")
        await until(lambda: rpc.status().counters.restarts == 1)
        server.reply(request, b"in between")
        assert await call.get() == b"in between"


async def test_a_rebalance_misses_no_reply() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        calls = [tasks.call(b"%d" % n) for n in range(20)]
        for request in await server.requests(20):
            broker.rebalance("client")
            server.reply(request, request.value or b"")
            await anyio.sleep(0.05)
        assert [await call.get() for call in calls] == [b"%d" % n for n in range(20)]


async def test_a_producer_that_dies_is_replaced_and_the_deadline_decides() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        broker.fail_producer(ProducerFailed("ordered"))
        await until(lambda: rpc.status().counters.restarts == 1)
        call = tasks.call()
        server.reply(await server.request())
        assert await call.get() == b"reply"


async def test_when_restarts_run_out_the_calls_get_the_cause() -> None:
    broker = new_broker()
    outcome: list[BaseException] = []

    async def call(rpc: KafkaRPC) -> None:
        try:
            await rpc.request(REQUEST, b"")
        except ClientClosed as error:
            outcome.append(error)

    async with anyio.create_task_group() as outer:
        with pytest.raises(RestartsExhausted):
            async with client_on(broker, restarts=Restarts(max_restarts=0)) as rpc:
                outer.start_soon(call, rpc)
                await anyio.sleep(0.1)
                broker.fail_next_poll(ConsumerFailed("ordered"), member="client-1")
                await anyio.sleep_forever()
    assert len(outcome) == 1
    assert outcome[0].__cause__ is not None


async def test_a_dispatcher_that_dies_of_a_reply_leaves_the_others_to_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = new_broker()
    match = ReplyMatcher.match

    def fail_once(self: ReplyMatcher, record: Record) -> object:
        if record.value == b"deadly":
            monkeypatch.undo()
            raise RuntimeError("ordered")
        return match(self, record)

    monkeypatch.setattr(ReplyMatcher, "match", fail_once)
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        calls = [tasks.call(b"%d" % n) for n in range(4)]
        requests = await server.requests(4)
        values = (b"first", b"deadly", b"behind it", b"last")
        for request, value in zip(requests, values, strict=True):
            server.reply(request, value, partition=0)  # one poll brings them all
        deadly = int(requests[1].value or b"")
        for n, call in enumerate(calls):
            if n != deadly:
                assert await call.get() in values
        assert rpc.status().counters.restarts == 1
        again = tasks.call(b"again")
        server.reply(await server.request(), b"again")
        assert await again.get() == b"again"
