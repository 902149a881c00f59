# pyright: basic
"""How much work sending costs, in counts that no other load on the machine changes."""

import asyncio
import sys
from types import FrameType
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import PartitionMetadata

from sdml_kafka.transport.aiokafka.producer.produce_codec import Response
from sdml_kafka.transport.aiokafka.producer.requests import ProduceRequests
from sdml_kafka.transport.aiokafka.producer.sending import ENOUGH_RECORDS, Sending
from sdml_kafka.transport.interfaces.producer import Message
from tests.support.aiokafka_version import needs_newer_aiokafka

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    needs_newer_aiokafka,
]

RECORDS = 1000
HEADERS = [("request_id", b"1-1"), ("x-timeout-ms", b"30000"), ("x-reply-topic", b"replies")]


class Broker:
    """Answers produce requests at once, and counts them."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    async def send(self, node: int, request: Any, **options: Any) -> Response:
        self.requests.append(request)
        for _ in range(5):
            await asyncio.sleep(0)
        ((topic, batches),) = request._topics
        return Response([(topic, [(number, 0, 0, -1, 0) for number, _ in batches])])


class Sender:
    """A producer that was never connected, with what sends its records."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.outcomes: list[Exception | None] = []
        producer = AIOKafkaProducer(
            bootstrap_servers="127.0.0.1:9", enable_idempotence=True, max_batch_size=1 << 20
        )
        producer._txn_manager.set_pid_and_epoch(1, 0)
        producer.client.cluster._partitions = {
            "topic": {
                number: PartitionMetadata("topic", number, 1, [1], [1], 0) for number in range(4)
            }
        }
        producer.client.send = self.broker.send
        self.producer = producer
        requests = ProduceRequests(producer, lambda partition, error: None)
        self.sending = Sending(
            producer,
            requests,
            lambda entries, error, acknowledged: self.outcomes.extend([error] * len(entries)),
            lambda error: None,
        )
        self.sending.open(creates_topics=False)

    async def send(self, count: int, partition: int | None = 0) -> int:
        """Send records in one turn, wait for them, and return the number of function calls."""
        calls = 0

        def note(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            calls += event == "call"

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            for _ in range(count):
                message = Message("topic", b"x" * 100, b"1-1", HEADERS, partition, False)
                self.sending.send(message, print)
            await self.sending.flush(10.0)
        finally:
            sys.setprofile(before)
        return calls

    async def __aenter__(self) -> "Sender":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.producer.stop()


async def test_function_calls_for_each_record() -> None:
    async with Sender() as sender:
        alone = await sender.send(1)
        together = await sender.send(RECORDS)
    assert sender.outcomes == [None] * (RECORDS + 1)
    assert alone < 290  # a fifth of them in the broker and in the waiting of this test
    assert together / RECORDS < 4.5


@pytest.mark.parametrize("partition", [0, None])
async def test_what_is_sent_in_one_turn_leaves_in_one_request(partition: int | None) -> None:
    async with Sender() as sender:
        await sender.send(RECORDS, partition)
    assert len(sender.broker.requests) == 1
    ((_, batches),) = sender.broker.requests[0]._topics
    assert len(batches) == (1 if partition == 0 else 4)


async def test_a_lone_record_leaves_in_the_next_turn() -> None:
    async with Sender() as sender:
        sender.sending.send(Message("topic", b"x"), print)
        turns = 0
        while not sender.broker.requests:
            await asyncio.sleep(0)
            turns += 1
        await sender.sending.flush(10.0)
    assert turns == 1


async def test_what_comes_while_a_request_is_out_leaves_together() -> None:
    async with Sender() as sender:
        for _ in range(3):
            sender.sending.send(Message("topic", b"x", partition=0), print)
            await asyncio.sleep(0)
        await sender.sending.flush(10.0)
    assert len(sender.broker.requests) == 2


@pytest.mark.parametrize(("each_turn", "first"), [(10, 40), (ENOUGH_RECORDS, ENOUGH_RECORDS)])
async def test_records_that_keep_coming_wait_only_until_they_are_enough(
    each_turn: int, first: int
) -> None:
    """So whoever gets them can begin while the rest is made."""
    async with Sender() as sender:
        for _ in range(10):
            for _ in range(each_turn):
                sender.sending.send(Message("topic", b"x", partition=0), print)
            await asyncio.sleep(0)
        await sender.sending.flush(10.0)
    assert sender.outcomes == [None] * 10 * each_turn
    first_batch = sender.broker.requests[0]._topics[0][1][0][1]
    count = int.from_bytes(bytes(first_batch)[57:61])  # of its records, says its header
    assert count >= first
    assert count < 10 * each_turn
