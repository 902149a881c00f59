"""A real Kafka as the world of the contract of producers, through the librdkafka adapter."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.librdkafka.options import producer_settings
from sdml_kafka.transport.librdkafka.producer.adapter import connect_producer
from tests.support.contracts.aiokafka_producer_world import AiokafkaWorld, open_world


class LibrdkafkaWorld(AiokafkaWorld):
    """The world of the other client, whose records are read back with aiokafka."""

    def connect(self, **options: Any) -> ConnectProducer:
        settings = {name.replace("_", "."): value for name, value in options.items()}
        return connect_producer(producer_settings(self.servers, settings))


def librdkafka_world_of(kafka: EmbeddedKafka) -> AbstractAsyncContextManager[LibrdkafkaWorld]:
    return open_world(LibrdkafkaWorld, kafka)
