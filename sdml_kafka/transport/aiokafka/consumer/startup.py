# pyright: basic
# aiokafka is not typed.
"""Check what a user's `consumer_factory` returned, and explain why a consumer did not start."""

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from sdml_kafka.errors import ConfigurationError, ConsumerFailed
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.option_values import check_values


def check_consumer(consumer: object) -> Client:
    """Return a consumer that may be used.

    Raises:
        ConfigurationError: The factory returned something else.
    """
    if not isinstance(consumer, AIOKafkaConsumer):
        raise ConfigurationError(
            "consumer_factory has to return a new aiokafka.AIOKafkaConsumer, "
            f"not {type(consumer).__name__}"
        )
    if (use := internals.in_use(consumer)) is not None:
        raise ConfigurationError(
            f"consumer_factory returned a consumer that is already {use}: it has to return a new "
            "one each time, without topics, not started; the listener subscribes and starts it."
        )
    check_values(internals.options_of(consumer))
    return consumer


def check_group(consumer: Client) -> None:
    """Raise ConfigurationError unless the consumer has a group, to which it can commit."""
    if not internals.has_group(consumer):
        raise ConfigurationError(
            "The consumer has no group_id, so it could not commit. Give it one: the listeners "
            "with the same group_id share the partitions of their topics."
        )


def explain_start(error: BaseException) -> BaseException:
    """Return the package's error for one out of a consumer's start."""
    if (final := error_mapping.from_poll(error)) is not None:
        return final
    if isinstance(error, KafkaError | asyncio.CancelledError):
        return ConsumerFailed(f"the client did not start: {error!r}")
    return error
