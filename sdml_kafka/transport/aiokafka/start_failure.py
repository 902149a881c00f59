# pyright: basic
# aiokafka is not typed.
"""What a client of the user's factory has to be, and what it means when it does not start."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from sdml_kafka.errors import (
    AuthenticationFailed,
    BrokerUnreachable,
    ConfigurationError,
    ConsumerFailed,
    ProducerFailed,
    SdmlKafkaError,
)
from sdml_kafka.transport.aiokafka import error_mapping as failures
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals as private_consumer
from sdml_kafka.transport.aiokafka.log_filter import ErrorLines
from sdml_kafka.transport.aiokafka.producer import internals as private_producer

HINT = "Check the address, the network and that Kafka runs; security_protocol has to fit too."


def checked(consumer: object) -> Client:
    if not isinstance(consumer, AIOKafkaConsumer):
        raise ConfigurationError(
            "consumer_factory has to return a new aiokafka.AIOKafkaConsumer, "
            f"not {type(consumer).__name__}"
        )
    if (use := private_consumer.in_use(consumer)) is not None:
        raise ConfigurationError(
            f"consumer_factory returned a consumer that is already {use}: it has to return a new "
            "one each time, without topics, not started; the listener subscribes and starts it."
        )
    if not private_consumer.settings_of(consumer).group_id:
        raise ConfigurationError(
            "The consumer has no group_id, so it could not commit. Give it one: the listeners "
            "with the same group_id share the partitions of their topics."
        )
    return consumer


def checked_producer(producer: object) -> Client:
    if not isinstance(producer, AIOKafkaProducer):
        raise ConfigurationError(
            "producer_factory has to return a new aiokafka.AIOKafkaProducer, "
            f"not {type(producer).__name__}"
        )
    if private_producer.in_use(producer):
        raise ConfigurationError(
            "producer_factory returned a producer that is already started: it has to return a new "
            "one each time, not started; the client starts it."
        )
    if private_producer.is_transactional(producer):
        raise ConfigurationError(
            "The producer has a transactional_id, and the client makes no transactions: leave it "
            "out, and set enable_idempotence=True."
        )
    if private_producer.has_serializers(producer):
        raise ConfigurationError(
            "The producer has a key_serializer or a value_serializer, and what it is given is "
            "bytes already: leave them out."
        )
    return producer


def start_failure(error: BaseException, lines: ErrorLines) -> BaseException:
    if (reason := _reason(error, lines)) is not None:
        return reason
    if (final := failures.from_poll(error)) is not None:
        return final
    if isinstance(error, KafkaError | asyncio.CancelledError):
        return ConsumerFailed(f"the client did not start: {error!r}")
    return error


def producer_start_failure(error: BaseException, lines: ErrorLines) -> BaseException:
    if (reason := _reason(error, lines)) is not None:
        return reason
    if failures.is_authorization(error):
        return failures.from_admin(error, "produce (IDEMPOTENT_WRITE on the cluster, WRITE)")
    if isinstance(error, KafkaError | asyncio.CancelledError | AssertionError):
        return ProducerFailed(f"the client did not start: {error!r}")
    return error


def _reason(error: BaseException, lines: ErrorLines) -> SdmlKafkaError | None:
    if (reason := lines.authentication_failure()) is not None:
        return AuthenticationFailed(f"The broker refused the credentials: {reason}")
    if (reason := lines.tls_failure()) is not None:
        return AuthenticationFailed(f"The broker's certificate was not accepted: {reason}")
    if isinstance(error, KafkaConnectionError):
        return BrokerUnreachable(f"{error}. {HINT}")
    return None
