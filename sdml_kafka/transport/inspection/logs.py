"""Ask a leader where logs begin and end, and for their latest time. Pure."""

from collections.abc import Mapping
from itertools import groupby

from attrs import frozen

from sdml_kafka.transport.inspection import wire
from sdml_kafka.transport.inspection.wire import Answer
from sdml_kafka.transport.interfaces.inspection import Request
from sdml_kafka.transport.interfaces.records import TopicPartition

LIST_OFFSETS = 2
END, BEGINNING, LATEST_TIME = -1, -2, -3
"""The numbers that can be asked for instead of a time."""
_CONSUMER = -1
_ANY_EPOCH = -1


@frozen
class Place:
    """An offset, and the time of its record in milliseconds, -1 if it has none."""

    error: int
    offset: int
    time_ms: int


def offsets_request(
    partitions: frozenset[TopicPartition], what: int, *, committed: bool = False
) -> Request:
    """Ask for a place in each log.

    Args:
        partitions: The partitions, all of one leader.
        what: A time in milliseconds, or one of the constants above.
        committed: Whether logs end before the first record of an open transaction.
    """

    def of_topic(item: tuple[str, list[TopicPartition]]) -> bytes:
        name, numbers = item
        return wire.struct(wire.text(name), wire.array(numbers, of_partition))

    def of_partition(partition: TopicPartition) -> bytes:
        number, epoch = wire.int32(partition.partition), wire.int32(_ANY_EPOCH)
        return wire.struct(number, epoch, wire.int64(what))

    by_topic = groupby(sorted(partitions), key=lambda each: each.topic)
    topics = [(name, list(numbers)) for name, numbers in by_topic]
    body = wire.struct(wire.int32(_CONSUMER), wire.boolean(committed), wire.array(topics, of_topic))
    return Request(LIST_OFFSETS, 7, body)


def read_offsets(data: bytes) -> Mapping[TopicPartition, Place]:
    answer = wire.behind_header(data)
    answer.int32()
    return {
        TopicPartition(name, number): place
        for name, partitions in answer.array(_topic)
        for number, place in partitions
    }


def _topic(answer: Answer) -> tuple[str, tuple[tuple[int, Place], ...]]:
    return answer.end((answer.text(), answer.array(_partition)))


def _partition(answer: Answer) -> tuple[int, Place]:
    number, error = answer.int32(), answer.int16()
    time_ms, offset, _ = answer.int64(), answer.int64(), answer.int32()
    return answer.end((number, Place(error, offset, time_ms)))
