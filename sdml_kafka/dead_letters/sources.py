"""Opens the listeners that a replay reads the dead letters with."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from attrs import evolve, frozen

from sdml_kafka.client_config import ClientConfig
from sdml_kafka.consuming.commit_schedule import AutoCommit
from sdml_kafka.consuming.without_group import Reading, WithoutGroup, connect_without_group
from sdml_kafka.dead_letters.never_creating import NeverCreating
from sdml_kafka.listener.listener import KafkaListener
from sdml_kafka.transport.client_choice import ClientArguments
from sdml_kafka.transport.connect import (
    group_offsets,
    listener_transport,
    producer_connect,
    transactions,
)
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.interfaces.transports import Transport
from sdml_kafka.transport.transactions import Transactions

CLIENT_ID = "sdml-kafka-replay"
MAX_BYTES = 64 << 20
"""The bytes of records that are in hand."""
START_TIMEOUT_S = 30.0
"""A member of the group that was killed is missed by the broker only after its session."""

Commits = Mapping[TopicPartition, Commit | None]


@frozen
class Source:
    """The topic of dead letters that a replay reads, and the client that it reads with."""

    topic: str
    bootstrap: str
    config: ClientConfig
    partitions: frozenset[int] = frozenset()
    """The partitions that are read where that is in no group; empty for all."""


async def committed(source: Source, group: str, timeout_s: float = START_TIMEOUT_S) -> Commits:
    """Return what the group has committed, for each partition of the dead letters."""
    options, choice = source.config.choice_for_transactions(CLIENT_ID)
    where = source.bootstrap, options, group, source.topic
    return await group_offsets(*where, timeout_s, choice)


def open_transactions(
    source: Source, group: str, timeout_s: float
) -> AbstractAsyncContextManager[Transactions]:
    """Return the context that opens what sends in transactions which commit for the group.

    It takes the place of another run with the same group.

    Raises:
        NoTransactions: The broker does not let this client make transactions.
        SdmlKafkaError: It cannot be opened.
    """
    options, choice = source.config.choice_for_transactions(CLIENT_ID)
    return transactions(source.bootstrap, options, group, timeout_s, choice)


def reader(
    source: Source, commits: Commits, type_: type, parser: Callable[[Record], object]
) -> KafkaListener:
    """Return a listener that is in no group, and begins at what is committed."""
    connect = connect_without_group(source.config, source.bootstrap, CLIENT_ID)
    begun = {place: commit.offset for place, commit in commits.items() if commit is not None}
    return _listener(
        source,
        type_,
        parser,
        transport=WithoutGroup(connect, Reading(source.partitions, "earliest"), begun),
    )


def member(
    source: Source, group: str, type_: type, parser: Callable[[Record], object]
) -> KafkaListener:
    """Return a listener that is a member of the group, and commits each record."""
    options, choice = source.config.consumer_choice(CLIENT_ID, "earliest")
    given = ClientArguments(
        bootstrap_servers=source.bootstrap, group_id=group, aiokafka_options=options, choice=choice
    )
    transport = listener_transport(given, MAX_BYTES)
    options, choice = source.config.producer_choice(CLIENT_ID)
    connect = producer_connect(evolve(given, aiokafka_options=options, choice=choice))
    return _listener(
        source,
        type_,
        parser,
        transport=Transport(transport.consumer, NeverCreating(connect)),
        auto_commit=AutoCommit(every=1),
    )


def _listener(
    source: Source, type_: type, parser: Callable[[Record], object], **where: Any
) -> KafkaListener:
    return KafkaListener(
        [{"topics": [source.topic], "type": type_, "parser": parser}],
        max_bytes_in_flight=MAX_BYTES,
        start_timeout=START_TIMEOUT_S,
        stop_timeout=8.0,
        **where,
    )
