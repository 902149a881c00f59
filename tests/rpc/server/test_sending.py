"""Replies that cannot be sent, now or ever."""

import anyio
import pytest

from sdml_kafka import (
    AuthorizationFailed,
    Call,
    ConfigurationError,
    RecordRefused,
    SendFailed,
    TopicMissing,
    TopicPartition,
)
from tests.support.client_by_hand import (
    GROUP,
    P0,
    REPLY,
    ask,
    echo,
    finished,
    new_broker,
    no_replies,
    outcome,
    outcomes,
    replies,
    reply,
    serving,
)
from tests.support.headers import header
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def test_a_request_has_finished_when_its_replies_are_acknowledged() -> None:
    broker = new_broker(second=1)
    async with serving(broker, echo) as server:
        broker.hold_sends()
        ask(broker, reply_to=[REPLY, "second"])
        await until(lambda: server.status().in_flight == 1)
        await anyio.sleep(5)
        assert server.status().partitions[P0].in_flight == 1
        assert broker.committed(GROUP, P0) in (0, None)
        broker.release_sends()
        await until(lambda: broker.committed(GROUP, P0) == 1)
        assert server.status().in_flight == 0


@pytest.mark.parametrize(
    "error",
    [
        TopicMissing("no such topic"),
        AuthorizationFailed("not allowed"),
        ConfigurationError("cannot be"),
        RuntimeError("a bug"),
    ],
)
async def test_what_cannot_be_delivered_is_given_up(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        broker.fail_sends(error, times=3)
        for _ in range(3):
            ask(broker)
        await finished(broker, server, 3)
        assert server.status().counters.undeliverable == 3
        assert no_replies(broker)
        await until(lambda: broker.committed(GROUP, P0) == 3)
        ask(broker)
        await replies(broker, 1)
        assert caplog.text.count("could not be delivered") == 1
        assert str(error) in caplog.text
    assert "(1 more like this since the last line)" in caplog.text


async def test_a_reply_topic_that_does_not_exist_holds_up_no_other() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        ask(broker, reply_to=["no-such-topic", REPLY])
        assert (await reply(broker)).value == b"value"
        await finished(broker, server, 1)
        counters = server.status().counters
        assert (counters.undeliverable, counters.replies) == (1, 1)


async def test_a_reply_that_is_too_large_is_an_error() -> None:
    broker = new_broker()

    async def large(value: bytes, call: Call) -> bytes:
        return b"x" * (2 << 20)

    async with serving(broker, large) as server:
        ask(broker)
        record = await reply(broker)
        assert outcome(record) == b"internal"
        assert header(record, "x-error") == b"the reply is larger than the server may send"
        await finished(broker, server, 1)
        assert server.status().counters.errors == {"internal": 1}


async def test_a_reply_that_the_broker_refuses_is_an_error() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        broker.fail_sends(RecordRefused("not of its schema"))
        ask(broker)
        record = await reply(broker)
        assert outcome(record) == b"internal"
        assert header(record, "x-error") == b"the broker refuses the reply"
        await finished(broker, server, 1)
        assert server.status().counters.errors == {"internal": 1}


async def test_a_reply_whose_error_is_refused_as_well_is_given_up_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        began = anyio.current_time()
        broker.fail_sends(RecordRefused("its timestamp"), times=2)
        ask(broker)
        await finished(broker, server, 1)
        assert anyio.current_time() - began < 1.0
        assert server.status().counters.undeliverable == 1
        assert no_replies(broker)
    assert "its timestamp" in caplog.text


async def test_refused_replies_cost_nobody_else_a_reply() -> None:
    broker = new_broker()
    broker.create_topic("compacted", compacted=True)
    async with serving(broker, echo) as server:
        for number in range(400):
            ask(broker, b"%d" % number)
            if number % 4 == 0:
                ask(broker, reply_to=["compacted", REPLY], key=b"key" if number % 8 else None)
        await finished(broker, server, 500)
        counters = server.status().counters
        assert (counters.undeliverable, counters.restarts) == (50, 0)
    sent = [record.value for record in broker.records(TopicPartition(REPLY, 0))]
    assert {b"%d" % number for number in range(400)} <= set(sent)
    assert len(sent) == 500
    assert len(broker.records(TopicPartition("compacted", 0))) == 50


async def test_a_producer_that_one_partition_takes_nothing_of_is_replaced_without_a_restart() -> (
    None
):
    broker = new_broker(second=1)
    async with serving(broker, echo) as server:
        for round_ in range(20):  # far more often than a crash may happen
            broker.fail_sends(RecordRefused("ordered"), spoils=True)
            ask(broker, b"refused", reply_to=["second"])
            for number in range(5):
                ask(broker, b"%d" % (5 * round_ + number))
            await finished(broker, server, 6 * (round_ + 1))
        counters = server.status().counters
        assert (counters.restarts, counters.undeliverable) == (0, 0)
    refusals = broker.records(TopicPartition("second", 0))
    assert [outcome(record) for record in refusals] == [b"internal"] * 20
    sent = [record.value for record in broker.records(TopicPartition(REPLY, 0))]
    assert sorted(sent, key=lambda value: int(value or b"")) == [b"%d" % n for n in range(100)]


async def test_a_failed_send_is_tried_again() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        broker.fail_sends(SendFailed("away"), times=5)
        ask(broker)
        assert await outcomes(broker, 1) == [b"value"]
        await finished(broker, server, 1)
        assert server.status().counters.undeliverable == 0


async def test_until_the_deadline() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        broker.fail_sends(SendFailed("away"), times=1000)
        began = anyio.current_time()
        ask(broker, timeout_ms=3000)
        await finished(broker, server, 1)
        assert anyio.current_time() - began == pytest.approx(3.0, abs=0.6)
        assert server.status().counters.undeliverable == 1


async def test_without_a_deadline_until_the_server_is_left() -> None:
    broker = new_broker()
    async with serving(broker, echo, drain_timeout=2.0) as server:
        broker.fail_sends(SendFailed("away"), times=1000)
        ask(broker)
        await until(lambda: server.status().in_flight == 1)
    assert broker.committed(GROUP, P0) in (0, None)


async def test_a_producer_that_is_replaced() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        broker.slow_down(send_s=1.0)
        for number in range(10):
            ask(broker, b"%d" % number)
        await until(lambda: server.status().in_flight == 10)
        broker.fail_producer()
        ask(broker, b"10")
        await finished(broker, server, 11)
        sent = {record.value for record in broker.records(P0._replace(topic=REPLY))}
        assert sent == {b"%d" % number for number in range(11)}
        counters = server.status().counters
        assert counters.restarts == 1
        assert counters.rebalances == 1  # the consumer stays in its group


async def test_an_outage_of_the_broker() -> None:
    broker = new_broker()
    async with serving(broker, echo) as server:
        ask(broker, b"before")
        await replies(broker, 1)
        broker.down()
        await until(lambda: not server.status().connected)
        await anyio.sleep(5)
        broker.up()
        ask(broker, b"after")
        await replies(broker, 2)
        await until(lambda: server.status().connected)
