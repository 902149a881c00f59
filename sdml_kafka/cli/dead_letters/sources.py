"""Opens the listeners that a replay reads the dead letters with."""

from collections.abc import Callable, Mapping
from typing import Any

from sdml_kafka import AutoCommit, KafkaListener, Record, TopicPartition
from sdml_kafka.cli.dead_letters.arguments import DeadLettersOptions
from sdml_kafka.cli.dead_letters.never_creating import NeverCreating
from sdml_kafka.cli.listen.without_group import Reading, WithoutGroup, connect_without_group
from sdml_kafka.transport.connect import group_offsets, listener_transport, producer_connect
from sdml_kafka.transport.interfaces.transports import Transport

CLIENT_ID = "sdml-kafka-replay"
MAX_BYTES = 64 << 20
"""The bytes of records that are in hand."""
START_TIMEOUT_S = 30.0
"""A member of the group that was killed is missed by the broker only after its session."""

Offsets = Mapping[TopicPartition, int | None]


async def committed_offsets(options: DeadLettersOptions, group: str) -> Offsets:
    """Return what the group has committed, for each partition of the dead letters."""
    client = options.config.producer_options(CLIENT_ID)
    return await group_offsets(options.bootstrap, client, group, options.topic, START_TIMEOUT_S)


def reader(
    options: DeadLettersOptions, offsets: Offsets, type_: type, parser: Callable[[Record], object]
) -> KafkaListener:
    """Return a listener that is in no group, and begins at these offsets."""
    connect = connect_without_group(options.config, options.bootstrap, CLIENT_ID)
    begun = {place: offset for place, offset in offsets.items() if offset is not None}
    return _listener(
        options,
        type_,
        parser,
        transport=WithoutGroup(connect, Reading(options.partitions, "earliest"), begun),
    )


def member(
    options: DeadLettersOptions, group: str, type_: type, parser: Callable[[Record], object]
) -> KafkaListener:
    """Return a listener that is a member of the group, and commits each record."""
    consumer = options.config.consumer_options(CLIENT_ID)
    consumer["auto_offset_reset"] = "earliest"
    transport = listener_transport(None, None, options.bootstrap, group, consumer, MAX_BYTES)
    connect = producer_connect(None, options.bootstrap, options.config.producer_options(CLIENT_ID))
    return _listener(
        options,
        type_,
        parser,
        transport=Transport(transport.consumer, NeverCreating(connect)),
        auto_commit=AutoCommit(every=1),
    )


def _listener(
    options: DeadLettersOptions, type_: type, parser: Callable[[Record], object], **where: Any
) -> KafkaListener:
    return KafkaListener(
        [{"topics": [options.topic], "type": type_, "parser": parser}],
        max_bytes_in_flight=MAX_BYTES,
        start_timeout=START_TIMEOUT_S,
        stop_timeout=8.0,
        **where,
    )
