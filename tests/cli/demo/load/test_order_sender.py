"""The senders of the demo's orders, on the broker in memory."""

import json

import anyio
import pytest

from sdml_kafka import AuthorizationFailed, TopicPartition
from sdml_kafka.cli.demo.books.record_book import RecordBook
from sdml_kafka.cli.demo.clock import DemoClock
from sdml_kafka.cli.demo.event_log import EventLog
from sdml_kafka.cli.demo.load.order_sender import OrderSender, sending
from sdml_kafka.cli.demo.load.topics import PARTITIONS, demo_topics
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.testing import MemoryBroker
from sdml_kafka.testing.memory.log import Misuse
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TOPIC = "orders"


def event_log() -> EventLog:
    return EventLog(DemoClock(), lambda line: None)


async def test_every_acknowledged_order_is_in_the_book() -> None:
    broker, book, outbox = MemoryBroker(), RecordBook(), Outbox()
    connect = broker.connect_producer()
    senders = [OrderSender(name, outbox, TOPIC, 350.0, book) for name in ("a", "b")]
    async with (
        demo_topics(connect, TOPIC, deletes=False),
        sending(connect, outbox, senders, event_log()),
    ):
        await until(lambda: book.sent_count >= 20)
    partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    records = [record for partition in partitions for record in broker.records(partition)]
    orders = {json.loads(record.value or b"")["order"] for record in records}
    assert sorted(orders) == book.lost()
    assert len(orders) == len(records) == book.sent_count


async def test_a_producer_that_fails_is_replaced() -> None:
    broker, book, outbox, log = MemoryBroker({TOPIC: 1}), RecordBook(), Outbox(), event_log()
    senders = [OrderSender("a", outbox, TOPIC, 350.0, book)]
    async with sending(broker.connect_producer(), outbox, senders, log):
        await until(lambda: book.sent_count)
        broker.fail_producer()
        before = book.sent_count
        await until(lambda: book.sent_count > before)
    assert "orders: producer runs again" in [line.text for line in log.lines]


async def test_an_order_that_can_never_be_sent_ends_the_sending() -> None:
    broker, outbox = MemoryBroker({TOPIC: 1}), Outbox()
    broker.fail_sends(AuthorizationFailed("orders are refused"))
    senders = [OrderSender("a", outbox, TOPIC, 350.0, RecordBook())]
    with pytest.RaisesGroup(AuthorizationFailed, flatten_subgroups=True), anyio.fail_after(5):
        async with sending(broker.connect_producer(), outbox, senders, event_log()):
            await anyio.sleep_forever()


async def test_topics_are_deleted_if_that_is_asked_for() -> None:
    broker = MemoryBroker()
    async with demo_topics(broker.connect_producer(), TOPIC, deletes=True):
        assert broker.end_offset(TopicPartition(TOPIC, 0)) == 0
    with pytest.raises(Misuse):
        broker.end_offset(TopicPartition(TOPIC, 0))
