"""What calls travel over, made of what the user gave: factories, or addresses and options."""

from collections.abc import Mapping
from typing import Any

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.aiokafka.consumer.adapter import ConsumerFactory, connect
from sdml_kafka.transport.aiokafka.factory import (
    default_consumer_factory,
    default_producer_factory,
    split_options,
)
from sdml_kafka.transport.aiokafka.producer.adapter import ProducerFactory, connect_producer
from sdml_kafka.transport.interfaces import Transport

__all__ = ["ConsumerFactory", "ProducerFactory", "transport_of"]

DEFAULT_ADDRESS = "127.0.0.1:9092"
"""Of the producer, when only a consumer_factory is given."""


def transport_of(
    consumer_factory: ConsumerFactory | None,
    producer_factory: ProducerFactory | None,
    bootstrap_servers: str | None,
    group_id: str,
    client_options: Mapping[str, Any],
) -> Transport:
    """Raises ConfigurationError for what does not go together."""
    for name, factory in (
        ("consumer_factory", consumer_factory),
        ("producer_factory", producer_factory),
    ):
        if factory is not None and not callable(factory):
            raise ConfigurationError(
                f"{name} is called for each start and restart: pass a function, lambda: ..."
            )
    if consumer_factory is None and bootstrap_servers is None:
        raise ConfigurationError(
            "Give bootstrap_servers ('host:port'), or consumer_factory and producer_factory"
        )
    consumer_options, producer_options = split_options(client_options)
    if consumer_factory is None:
        consumer_factory = default_consumer_factory(
            bootstrap_servers or "", group_id, consumer_options
        )
    elif consumer_options:
        raise ConfigurationError(
            f"{', '.join(consumer_options)}: set it on the consumer that consumer_factory builds"
        )
    if producer_factory is None:
        producer_factory = default_producer_factory(
            bootstrap_servers or DEFAULT_ADDRESS, producer_options
        )
    elif not set(producer_options) <= set(consumer_options):
        only = sorted(set(producer_options) - set(consumer_options))
        raise ConfigurationError(
            f"{', '.join(only)}: set it on the producer that producer_factory builds"
        )
    return Transport(connect(consumer_factory), connect_producer(producer_factory))
