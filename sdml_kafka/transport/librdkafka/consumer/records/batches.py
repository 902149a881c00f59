"""Turn librdkafka's messages into columns of records, a run of one partition at a time.

A message is an object with a method for each of its parts. Each column is made by one `map` over
such a method, so that no line of Python runs for a single record. A pass over the messages takes
some 20 ns for each, so none is made for what is known otherwise.

Headers whose names are not UTF-8 cannot be had: confluent-kafka raises an error. Asked again it
would return a list that must not be looked at, so each message is asked once.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from sdml_kafka.transport.fetched.columns import RecordColumns, flattened
from sdml_kafka.transport.interfaces.records import TopicPartition

_error_of = Message.error
_topic_of = Message.topic
_partition_of = Message.partition
_offset_of = Message.offset
_timestamp_of = Message.timestamp
_key_of = Message.key
_value_of = Message.value
_headers_of = Message.headers


class Undecodable(NamedTuple):
    """A record that confluent-kafka cannot show."""

    offset: int
    reason: str


Run = tuple[TopicPartition, RecordColumns | Undecodable]


def in_order(messages: Sequence[Message], only_topic: str | None = None) -> Iterator[Run | Message]:
    """Yield records as columns, with their partition, and what is no record, as they came.

    Args:
        messages: What librdkafka has handed over.
        only_topic: The topic of all records, None if there may be several.
    """
    begin = 0
    if not are_records(messages):
        for at, error in enumerate(map(_error_of, messages)):
            if error is not None:
                yield from runs(messages[begin:at], only_topic)
                yield messages[at]
                begin = at + 1
    yield from runs(messages[begin:], only_topic)


def are_records(messages: Sequence[Message]) -> bool:
    """Return whether no message is an error or the end of a partition."""
    # An error must not be compared with None: confluent-kafka leaves an exception behind then.
    return not any(map(_error_of, messages))


def runs(messages: Sequence[Message], only_topic: str | None = None) -> Iterator[Run]:
    """Yield records as columns, as `in_order` does, where all messages are records."""
    begin = 0
    for number, count in _counted(list(map(_partition_of, messages))):
        assert number is not None  # as of what is no record alone
        end = begin + count
        for topic, part in _of_one_topic(messages[begin:end], only_topic):
            place = TopicPartition(topic, number)
            for rising in _rising(part):
                yield from _decoded(place, *rising)
        begin = end


def _counted(numbers: list[int | None]) -> Iterable[tuple[int | None, int]]:
    """Return each number, with how often it follows itself."""
    if numbers and numbers.count(numbers[0]) == len(numbers):  # mostly, and the faster way
        return [(numbers[0], len(numbers))]
    return [(number, len(list(run))) for number, run in groupby(numbers)]


def _of_one_topic(
    messages: Sequence[Message], only_topic: str | None
) -> Iterator[tuple[str, Sequence[Message]]]:
    topic = only_topic or messages[0].topic()
    assert topic is not None
    if only_topic is not None or len(set(map(_topic_of, messages))) == 1:
        yield topic, messages
        return
    for topic, part in groupby(messages, key=_topic_of):
        assert topic is not None
        yield topic, list(part)


def _rising(messages: Sequence[Message]) -> Iterator[tuple[Sequence[Message], Sequence[int]]]:
    """Yield parts whose offsets rise, with these: in a log that was created anew they fall."""
    first, last = messages[0].offset() or 0, messages[-1].offset() or 0
    if last - first == len(messages) - 1:
        yield messages, range(first, last + 1)
        return
    offsets = [offset or 0 for offset in map(_offset_of, messages)]
    begin = 0
    for at, (one, next_) in enumerate(pairwise(offsets), 1):
        if next_ <= one:
            yield messages[begin:at], offsets[begin:at]
            begin = at
    yield messages[begin:], offsets[begin:]


def _decoded(
    place: TopicPartition, messages: Sequence[Message], offsets: Sequence[int]
) -> Iterator[Run]:
    while messages:
        headers: list[Any] = []
        try:
            headers.extend(map(_headers_of, messages))  # which keeps what comes before an error
        except (SystemError, UnicodeDecodeError) as error:
            reason, good = repr(error.__cause__ or error), len(headers)
        else:
            yield place, _columns(place, messages, offsets, headers)
            return
        if good:
            yield place, _columns(place, messages[:good], offsets[:good], headers)
        yield place, Undecodable(offsets[good], f"a header's name does not decode ({reason})")
        messages, offsets = messages[good + 1 :], offsets[good + 1 :]


def _columns(
    place: TopicPartition,
    messages: Sequence[Message],
    offsets: Sequence[int],
    headers: Sequence[Any],
) -> RecordColumns:
    values = list(map(_value_of, messages))
    # No tuple is kept: the garbage collector would begin to look at them.
    stamps = map(_timestamp_of, messages)
    timestamps, types = [at for kind, at in stamps if kind == TIMESTAMP_CREATE_TIME], None
    if len(timestamps) < len(messages):
        timestamps = [at for _, at in map(_timestamp_of, messages)]
        types = [int(kind > TIMESTAMP_CREATE_TIME) for kind, _ in map(_timestamp_of, messages)]
    keys = list(map(_key_of, messages))
    return RecordColumns.of(
        place,
        offsets,
        values,
        timestamps,
        types,
        None if keys.count(None) == len(keys) else keys,
        None
        if headers.count(None) == len(headers)
        else flattened([each or () for each in headers]),
    )
