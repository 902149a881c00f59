# pyright: basic
# aiokafka is not typed.
"""Check what a user's `producer_factory` returned, and explain why a producer did not start."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from sdml_kafka.errors import ConfigurationError, ProducerFailed
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.producer import internals


def check_producer(producer: object) -> Client:
    """Return a producer that may be used.

    Raises:
        ConfigurationError: The factory returned something else.
    """
    if not isinstance(producer, AIOKafkaProducer):
        raise ConfigurationError(
            "producer_factory has to return a new aiokafka.AIOKafkaProducer, "
            f"not {type(producer).__name__}"
        )
    if internals.in_use(producer):
        raise ConfigurationError(
            "producer_factory returned a producer that is already started: it has to return a new "
            "one each time, not started; the client starts it."
        )
    if internals.is_transactional(producer):
        raise ConfigurationError(
            "The producer has a transactional_id, and the client makes no transactions: leave it "
            "out, and set enable_idempotence=True."
        )
    if internals.has_serializers(producer):
        raise ConfigurationError(
            "The producer has a key_serializer or a value_serializer, and what it is given is "
            "bytes already: leave them out."
        )
    return producer


def explain_start(error: BaseException) -> BaseException:
    """Return the package's error for one out of a producer's start."""
    if error_mapping.is_authorization(error):
        return error_mapping.from_admin(error, "produce (IDEMPOTENT_WRITE on the cluster, WRITE)")
    if isinstance(error, KafkaError | asyncio.CancelledError | AssertionError):
        return ProducerFailed(f"the client did not start: {error!r}")
    return error
