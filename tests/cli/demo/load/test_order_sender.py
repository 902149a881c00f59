"""The senders of the demo's orders, on the broker in memory."""

import json

import anyio
import pytest

from sdml_kafka import AuthorizationFailed, TopicPartition
from sdml_kafka.cli.demo.books.record_book import RecordBook
from sdml_kafka.cli.demo.load.order_sender import OrderSender, sending
from sdml_kafka.cli.demo.load.topics import PARTITIONS, demo_topics
from sdml_kafka.testing import MemoryBroker
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TOPIC = "orders"


async def test_every_acknowledged_order_is_in_the_book() -> None:
    broker, book = MemoryBroker(), RecordBook()
    async with broker.connect_producer()() as producer:
        await producer.start(5.0)
        async with demo_topics(producer, TOPIC, deletes=False):
            senders = [OrderSender(name, producer, TOPIC, 350.0, book) for name in ("a", "b")]
            async with sending(producer, senders):
                await until(lambda: book.sent_count >= 20)
    partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
    records = [record for partition in partitions for record in broker.records(partition)]
    orders = {json.loads(record.value or b"")["order"] for record in records}
    assert sorted(orders) == book.lost()
    assert len(orders) == len(records) == book.sent_count


async def test_an_order_that_can_never_be_sent_ends_the_sending() -> None:
    broker = MemoryBroker({TOPIC: PARTITIONS})
    broker.fail_sends(AuthorizationFailed("orders are refused"))
    async with broker.connect_producer()() as producer:
        await producer.start(5.0)
        with pytest.RaisesGroup(AuthorizationFailed, flatten_subgroups=True), anyio.fail_after(5):
            async with sending(producer, [OrderSender("a", producer, TOPIC, 350.0, RecordBook())]):
                await anyio.sleep_forever()
