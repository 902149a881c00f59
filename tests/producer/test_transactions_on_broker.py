"""The transactions of KafkaProducer over librdkafka, on a real Kafka."""

import anyio
import pytest

from sdml_kafka import KafkaProducer, ProducerFenced, TopicPartition
from sdml_kafka.testing import EmbeddedKafka
from tests.support.contracts.librdkafka_transactions_world import LibrdkafkaTransactionsWorld
from tests.support.contracts.transactions import read

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


async def test_records_are_read_together_or_not_at_all_and_a_new_producer_takes_the_id(
    embedded_kafka: EmbeddedKafka,
) -> None:
    world = LibrdkafkaTransactionsWorld(embedded_kafka, "consumer")
    topic, own_id = world.name(), world.name()
    await world.create_topic(topic, 1)

    def producing() -> KafkaProducer:
        servers = embedded_kafka.bootstrap_servers
        return KafkaProducer(
            bootstrap_servers=servers, client="librdkafka", transactional_id=own_id
        )

    with pytest.raises(ProducerFenced, match=own_id):
        async with producing() as former:
            async with former.transaction() as transaction:
                sent = await transaction.send(topic, b"one", key=b"k")
                assert (sent.partition, sent.offset) == (0, 0)
                await transaction.send_soon(topic, b"two")
            with pytest.raises(ValueError, match="mine"):
                async with former.transaction() as transaction:
                    await transaction.send(topic, b"aborted")
                    raise ValueError("mine")
            status = former.status()
            assert (status.committed, status.aborted, status.client) == (1, 1, "librdkafka")
            async with producing() as latter:
                async with latter.transaction() as transaction:
                    await transaction.send(topic, b"three")
                async with former.transaction() as transaction:
                    await transaction.send_soon(topic, b"late")
            await anyio.sleep_forever()
    await read(world, TopicPartition(topic, 0), [b"one", b"two", b"three"])
