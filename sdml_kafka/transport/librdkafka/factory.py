"""Open clients for a program that gives addresses and librdkafka's options."""

from collections.abc import Awaitable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.client_choice import ClientArguments
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions
from sdml_kafka.transport.librdkafka.consumer.adapter import connect
from sdml_kafka.transport.librdkafka.options import (
    TRANSACTION_TIMEOUT,
    consumer_settings,
    producer_settings,
    refuse_keywords,
    transaction_settings,
)
from sdml_kafka.transport.librdkafka.producer.adapter import connect_producer
from sdml_kafka.transport.librdkafka.producer.group_transactions import (
    group_offsets,
    open_transactions,
)
from sdml_kafka.transport.librdkafka.producer.transactions import connect_transactions
from sdml_kafka.transport.transactions import Transactions

PROGRAMS_TIMEOUT_MS = 60_000
"""The time for a transaction that a program has in its own hands, as in other clients of Kafka."""
RESET = "auto_offset_reset"
"""The one option of aiokafka that every client has."""


def clients_of(
    given: ClientArguments,
) -> tuple[Connect, ConnectProducer, ConnectTransactions]:
    """Return the functions that open a consumer, a producer, and a producer of transactions.

    Raises:
        ConfigurationError: The arguments do not go together, or cannot work.
    """
    servers, options = _checked(given, given.aiokafka_options.keys() - {RESET})
    reset = given.aiokafka_options.get(RESET)
    consumer = consumer_settings(servers, given.group_id, reset, options)
    producer = producer_settings(servers, options, shared=True)
    transactions = connect_transactions(transaction_settings(producer), given.group_id or "")
    return connect(consumer), connect_producer(producer), transactions


def producer_of(given: ClientArguments) -> ConnectProducer:
    """Return the function that opens a producer.

    Raises:
        ConfigurationError: The arguments do not go together, or cannot work.
    """
    return connect_producer(producer_settings(*_checked(given, given.aiokafka_options)))


def transactions_of(given: ClientArguments, transactional_id: str) -> ConnectTransactions:
    """Return the function that opens a producer of transactions with this id.

    Raises:
        ConfigurationError: The arguments do not go together, or cannot work.
    """
    servers, options = _checked(given, given.aiokafka_options)
    options = {TRANSACTION_TIMEOUT: PROGRAMS_TIMEOUT_MS, **options}
    producer = producer_settings(servers, options)
    return connect_transactions(transaction_settings(producer, transactional_id))


def group_transactions_of(
    bootstrap_servers: str, options: Mapping[str, Any], group_id: str, timeout_s: float
) -> AbstractAsyncContextManager[Transactions]:
    """Return the context that opens a producer of transactions for a group, with its name as id.

    Raises:
        ConfigurationError: An option cannot work.
    """
    transactional = {TRANSACTION_TIMEOUT: PROGRAMS_TIMEOUT_MS, **options}
    producer = producer_settings(bootstrap_servers, transactional, shared=True)
    connect_ = connect_transactions(transaction_settings(producer, group_id))
    consumer = consumer_settings(bootstrap_servers, group_id, None, options)
    return open_transactions(connect_, consumer, timeout_s)


def group_offsets_of(
    bootstrap_servers: str, options: Mapping[str, Any], group_id: str, topic: str, timeout_s: float
) -> Awaitable[Mapping[TopicPartition, Commit | None]]:
    """Look up what a group has committed for each partition of a topic.

    Raises:
        ConfigurationError: An option cannot work.
    """
    settings = consumer_settings(bootstrap_servers, group_id, None, options)
    return group_offsets(settings, topic, timeout_s)


def _checked(
    given: ClientArguments, keywords: Collection[str]
) -> tuple[str | Sequence[str], Mapping[str, Any]]:
    """Return the addresses and librdkafka's options, if nothing else is given."""
    _refuse_factory("consumer_factory", given.consumer_factory)
    _refuse_factory("producer_factory", given.producer_factory)
    refuse_keywords(keywords, given.own_names)
    if not given.bootstrap_servers:
        raise ConfigurationError("Give bootstrap_servers ('host:port')")
    return given.bootstrap_servers, given.choice.options or {}


def _refuse_factory(name: str, factory: object) -> None:
    if factory is not None:
        raise ConfigurationError(
            f"{name} makes clients of aiokafka: give bootstrap_servers and client_options with "
            "client='librdkafka'"
        )
