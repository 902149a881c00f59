"""The answer to a record goes out before the next fetch.

On asyncio alone: on trio the program is in another thread, and nothing says who comes first.
"""

from collections.abc import Generator

import anyio
import pytest
from aiokafka.client import AIOKafkaClient

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.factory import default_producer_factory
from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.consumer_world import PATIENCE_S, World, seat, share_out
from tests.support.contracts.producer_world import Outcomes, started

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]


@pytest.fixture
def requests() -> Generator[list[str]]:
    """Collect the kinds of the fetch and produce requests, in the order of sending."""
    sent: list[str] = []
    send = AIOKafkaClient.send

    async def record_and_send(
        self: AIOKafkaClient, node_id: int, request: object, **rest: object
    ) -> object:
        kind = type(request).__name__.removeprefix("_Quick").partition("Request")[0]
        if kind in ("Fetch", "Produce"):
            sent.append(kind)
        return await send(self, node_id, request, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AIOKafkaClient, "send", record_and_send)
        yield sent


async def test_a_reply_goes_out_before_the_next_fetch(
    world: World, embedded_kafka: EmbeddedKafka, requests: list[str]
) -> None:
    questions, answers = world.name(), world.name()
    await world.create_topic(questions, 1)
    await world.create_topic(answers, 1)
    connect = connect_producer(default_producer_factory(embedded_kafka.bootstrap_servers, {}))
    outcomes = Outcomes()
    async with seat(world.connect(world.name()), questions) as member, started(connect) as producer:
        await share_out(1, member)
        producer.send(Message(answers, b"so that it knows the topic"), outcomes.of("first"))
        await outcomes.one("first")
        await world.produce(TopicPartition(questions, 0), b"question")
        with anyio.fail_after(PATIENCE_S):
            while not (await member.poll()).records:
                pass
            requests.clear()
            producer.send(Message(answers, b"answer"), outcomes.of("second"))
            await outcomes.one("second")
            while "Fetch" not in requests:
                await member.poll()
    assert requests[:2] == ["Produce", "Fetch"]
