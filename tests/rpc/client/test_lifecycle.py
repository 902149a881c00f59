"""Entering, leaving, restarts, groups, topics."""

from typing import Any

import anyio
import pytest

from sdml_kafka import (
    BrokerUnreachable,
    CallTimeout,
    ClientClosed,
    ClientNotStarted,
    ConfigurationError,
    ConsumerFailed,
    GroupShared,
    KafkaRPC,
    PayloadTooLarge,
    ProducerFailed,
    RemoteError,
    Restarts,
    RestartsExhausted,
    SendFailed,
    TopicMissing,
    TopicPartition,
)
from sdml_kafka.rpc.deadline import DEADLINE
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces import Transport
from tests.support.checkpoints import cancelled_at
from tests.support.listener_on_twin import task_count
from tests.support.server_by_hand import (
    RAW,
    REPLY,
    REQUEST,
    callers,
    client_on,
    hand,
    header,
    new_broker,
)
from tests.support.virtual_time import in_virtual_time, on_asyncio, on_trio
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


# -- entering and leaving ----------------------------------------------------------------


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
async def test_starting_is_within_the_calls_time() -> None:
    broker = new_broker()
    broker.down()
    rpc = client_on(broker)
    began, before = anyio.current_time(), task_count()
    with pytest.raises(CallTimeout, match="could not be sent"):
        await rpc.request(REQUEST, b"", res_timeout=2.0)
    assert anyio.current_time() - began < 3.0
    assert task_count() == before


@on_trio
async def test_a_request_on_trio_says_to_enter_the_client() -> None:
    with pytest.raises(ClientNotStarted, match="async with"):
        await client_on(new_broker()).request(REQUEST, b"")


# -- restarts ----------------------------------------------------------------------------


@in_virtual_time
async def test_a_restart_of_the_reply_loop_keeps_the_calls_and_their_replies() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        broker.fail_next_poll(ConsumerFailed("ordered"), member="client-1")
        await until(lambda: rpc.status().counters.restarts == 1)
        server.reply(request, b"in between")
        assert await call.get() == b"in between"


@in_virtual_time
async def test_a_rebalance_misses_no_reply() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        calls = [tasks.call(b"%d" % n) for n in range(20)]
        for request in await server.requests(20):
            broker.rebalance("client")
            server.reply(request, request.value or b"")
            await anyio.sleep(0.05)
        assert [await call.get() for call in calls] == [b"%d" % n for n in range(20)]


@in_virtual_time
async def test_a_producer_that_dies_is_replaced_and_the_deadline_decides() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        broker.fail_producer(ProducerFailed("ordered"))
        await until(lambda: rpc.status().counters.restarts == 1)
        call = tasks.call()
        server.reply(await server.request())
        assert await call.get() == b"reply"


@in_virtual_time
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


# -- groups and topics -------------------------------------------------------------------


@in_virtual_time
async def test_a_group_that_others_share_is_an_error_that_says_so() -> None:
    broker = new_broker()
    async with client_on(broker, group="shared"):
        with pytest.raises(GroupShared, match="group_id of its own"):
            async with client_on(broker, group="shared"):
                await anyio.sleep(60)


@in_virtual_time
async def test_a_newcomer_by_mistake_costs_the_client_that_was_there_no_reply() -> None:
    broker = new_broker()
    async with (
        client_on(broker, group="shared") as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        calls = [tasks.call(b"%d" % number) for number in range(10)]
        requests = await server.requests(10)
        with pytest.raises(GroupShared):
            async with client_on(broker, group="shared"):
                await anyio.sleep(60)
        for request in requests:
            server.reply(request, request.value or b"")
        assert [await call.get() for call in calls] == [b"%d" % n for n in range(10)]


@in_virtual_time
async def test_somebody_who_joins_the_group_and_stays_is_an_error() -> None:
    broker = new_broker()
    with pytest.raises(GroupShared):
        async with client_on(broker, group="shared"), broker.connect("shared")() as intruder:
            await intruder.start([REPLY], 5.0)
            await anyio.sleep(60)


@in_virtual_time
async def test_a_group_shared_with_a_server_of_another_topic_is_harmless() -> None:
    broker = new_broker()
    async with broker.connect("client", auto_offset_reset="earliest")() as other:
        await other.start([REQUEST], 5.0)
        async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
            call = tasks.call()
            server.reply(await server.request())
            assert await call.get() == b"reply"


@in_virtual_time
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


@in_virtual_time
async def test_a_missing_reply_topic_is_created_as_told_and_stays() -> None:
    broker = MemoryBroker({REQUEST: 1})
    async with client_on(broker, reply_partitions=3) as rpc:
        assert len(rpc.status().reply_partitions) == 3
    broker.end_offset(TopicPartition(REPLY, 2))


@in_virtual_time
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


# -- failing fast ------------------------------------------------------------------------


@in_virtual_time
async def test_a_missing_request_topic_fails_at_once() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        began = anyio.current_time()
        with pytest.raises(TopicMissing, match="nowhere"):
            await rpc.request("nowhere", b"")
        assert anyio.current_time() - began < 3.0
        assert rpc.status().in_flight == 0


@in_virtual_time
async def test_a_payload_over_the_limit_fails_at_once() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        broker.fail_sends(PayloadTooLarge("too large"))
        with pytest.raises(PayloadTooLarge):
            await rpc.request(REQUEST, b"")


@in_virtual_time
async def test_a_send_in_doubt_waits_for_the_deadline_and_is_its_cause() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        broker.fail_sends(SendFailed("no answer", in_doubt=True))
        with pytest.raises(CallTimeout) as caught:
            await rpc.request(REQUEST, b"", res_timeout=2.0)
        assert isinstance(caught.value.__cause__, SendFailed)


@in_virtual_time
async def test_a_send_that_never_went_out_is_made_again() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        broker.fail_sends(SendFailed("not sent"), times=2)
        call = tasks.call()
        server.reply(await server.request())
        assert await call.get() == b"reply"


@in_virtual_time
async def test_a_server_group_without_members_is_unavailable_at_once() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(RemoteError, match="unavailable"):
            await rpc.request(REQUEST, b"", server_group="hand")
        await anyio.sleep(2.0)
        async with hand(broker) as server, callers(rpc) as tasks:
            await server.join()
            call = tasks.call(server_group="hand")
            server.reply(await server.request())
            assert await call.get() == b"reply"


# -- one way, budgets --------------------------------------------------------------------


@in_virtual_time
async def test_a_notification_returns_when_the_broker_has_it() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server:
        await rpc.notify(REQUEST, b"note", req_key="k", req_headers={"a": b"b"})
        record = await server.request()
        assert (record.value, record.key) == (b"note", b"k")
        assert header(record, "x-reply-topic") is None
        broker.fail_sends(SendFailed("no answer", in_doubt=True))
        with pytest.raises(SendFailed):
            await rpc.notify(REQUEST, b"note")
        broker.down()
        with pytest.raises(CallTimeout, match="acknowledgement"):
            await rpc.notify(REQUEST, b"note", res_timeout=1.0)
        assert rpc.status().in_flight == 0


@in_virtual_time
async def test_a_handlers_calls_inherit_what_is_left_of_its_budget() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server:
        began = anyio.current_time()
        token = DEADLINE.set(began + 2.0)
        try:
            with pytest.raises(CallTimeout):
                await rpc.request(REQUEST, b"", res_timeout=30.0)
            assert 2.0 <= anyio.current_time() - began < 2.1
            assert header(await server.request(), "x-timeout-ms") == b"2000"
            with pytest.raises(CallTimeout, match="used up"):
                await rpc.request(REQUEST, b"")
        finally:
            DEADLINE.reset(token)


# -- cancellation at each checkpoint -----------------------------------------------------


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


@in_virtual_time
async def test_bad_construction() -> None:
    transport: Any = Transport(new_broker().connect("g"), new_broker().connect_producer())
    with pytest.raises(ConfigurationError, match="start_timeout"):
        KafkaRPC([RAW], transport=transport, start_timeout=0)
    with pytest.raises(ConfigurationError, match="reply_partitions"):
        KafkaRPC([RAW], transport=transport, reply_partitions=0)
