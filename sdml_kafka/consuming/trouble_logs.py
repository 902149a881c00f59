"""The troubles of a consumer that may last for a while, and their lines in the log."""

from collections.abc import Collection, Mapping
from logging import Logger
from typing import Unpack

from sdml_kafka.errors import BrokerUnreachable
from sdml_kafka.log_fields import Known, fields
from sdml_kafka.rate_limited_log import Common, TroubleLog
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Jump
from sdml_kafka.transport.partition_names import brokers, offsets, partitions, topics

OUTAGE_PATIENCE_S = 1.0
"""Seconds that there may be no connection: brokers close idle ones, and are restarted in turn."""
NODE_PATIENCE_S = 3.0
"""Seconds that one of several brokers may be away: it takes a moment to know that all are."""
WAITS_PATIENCE_S = 1.0
"""Seconds that a record may be held until its parser has what it needs."""
STUCK_S = 60.0
"""Seconds that nothing may finish in a partition that has records to finish."""


def outage_log(log: Logger, consequence: str, common: Common) -> TroubleLog[None]:
    """Return what logs that no broker can be reached, and that one can again."""
    return TroubleLog[None](
        log,
        lambda keys: "",
        f"no broker can be reached, so {consequence} until one can: {{why}}",
        "a broker can be reached again, after {seconds} s",
        OUTAGE_PATIENCE_S,
        fields=lambda keys: common(),
    )


def why_away(unreachable: Mapping[str, str]) -> tuple[str, dict[str, object]]:
    """Return why no broker can be reached, and the fields of a WARNING about that.

    `unreachable` has the reasons of brokers that were not reached, the first one is shown.
    """
    broker, reason = next(iter(unreachable.items()), (None, "there is no connection"))
    return reason, fields(broker=broker, error=BrokerUnreachable(reason))


NODE_AWAY = fields(error=BrokerUnreachable())
"""The fields of a WARNING about one of several brokers, beside those of its `node_log`."""


def node_log(log: Logger, common: Common) -> TroubleLog[str]:
    """Return what logs that one of several brokers cannot be reached."""
    return TroubleLog[str](
        log,
        brokers,
        "broker {names} cannot be reached, others can: {why}",
        "broker {names} can be reached again, or is not needed any more",
        NODE_PATIENCE_S,
        fields=lambda nodes: {**common(), **fields(broker=_only(nodes))},
        several=(
            "brokers {names} cannot be reached, others can: {why}",
            "brokers {names} can be reached again, or are not needed any more",
        ),
    )


def missing_log(log: Logger, common: Common) -> TroubleLog[str]:
    """Return what logs that topics do not exist."""
    return TroubleLog[str](
        log,
        topics,
        "topic {names} does not exist; it is read as soon as it does{why}",
        "topic {names} exists now",
        fields=lambda names: {**common(), **fields(topic=_only(names))},
        several=(
            "topics {names} do not exist; they are read as soon as they do{why}",
            "topics {names} exist now",
        ),
    )


def held_log(log: Logger, common: Common) -> TroubleLog[TopicPartition]:
    """Return what logs that partitions hold batches that do not decode."""
    return _partition_log(
        log,
        common,
        "{names} cannot be read on, and nothing behind it is delivered: {why}",
        "{names} is read on, after {seconds} s",
    )


def waits_log(log: Logger, common: Common) -> TroubleLog[TopicPartition]:
    """Return what logs that records are held until their parsers have what they need."""
    return _partition_log(
        log,
        common,
        "{names} is held, and goes on with nothing skipped once it can: {why}",
        "{names} is held no longer, after {seconds} s",
    )


def _partition_log(log: Logger, common: Common, begin: str, end: str) -> TroubleLog[TopicPartition]:
    return TroubleLog[TopicPartition](
        log,
        partitions,
        begin,
        end,
        fields=lambda keys: {**common(), **partition_fields(keys)},
    )


def stuck_log(log: Logger, common: Common) -> TroubleLog[tuple[TopicPartition, int]]:
    """Return what logs that the program has had records in hand for long."""
    return TroubleLog[tuple[TopicPartition, int]](
        log,
        offsets,
        f"the program has had {{names}} in hand for {STUCK_S:g} s, and nothing behind that is "
        "committed: does the work on it have a time-out?",
        "{names} has finished, or was given back, after {seconds} s",
        STUCK_S,
        fields=lambda places: {**common(), **_offset_fields(places)},
    )


def unread_log(log: Logger, common: Common) -> TroubleLog[tuple[TopicPartition, int]]:
    """Return what logs that records have waited in a stream for long."""
    return TroubleLog[tuple[TopicPartition, int]](
        log,
        offsets,
        f"{{names}} has waited for {STUCK_S:g} s for a loop to take it, and nothing behind "
        "that is committed: is the stream read on, and fast enough?",
        "{names} was taken, after {seconds} s",
        STUCK_S,
        fields=lambda places: {**common(), **_offset_fields(places)},
    )


def jump_fields(jump: Jump) -> dict[str, object]:
    """Return the fields of a line on reading that goes on elsewhere."""
    return partition_fields([jump.partition], offset=jump.expected)


def partition_fields(keys: Collection[TopicPartition], **known: Unpack[Known]) -> dict[str, object]:
    """Return the fields of a line on some partitions: what all of them have in common."""
    topic, partition = _only({key.topic for key in keys}), None
    if topic is not None:
        partition = _only({key.partition for key in keys})
    return {**fields(topic=topic, partition=partition), **fields(**known)}


def _offset_fields(places: Collection[tuple[TopicPartition, int]]) -> dict[str, object]:
    offset = _only(places)
    return partition_fields(
        {key for key, _ in places}, offset=None if offset is None else offset[1]
    )


def _only[T](several: Collection[T]) -> T | None:
    """Return what a collection of one holds, None of any other."""
    return next(iter(several)) if len(several) == 1 else None
