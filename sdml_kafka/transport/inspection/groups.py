"""Ask a coordinator about a group: its members, what they have, and what was committed. Pure."""

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from sdml_kafka.transport.inspection import wire
from sdml_kafka.transport.inspection.brokers import UNKNOWN_RIGHTS
from sdml_kafka.transport.inspection.wire import Answer, MalformedAnswer
from sdml_kafka.transport.interfaces.inspection import Address, Request
from sdml_kafka.transport.interfaces.records import TopicPartition

FIND_COORDINATOR, DESCRIBE_GROUPS, DESCRIBE_CONSUMER_GROUPS, FETCH_OFFSETS = 10, 15, 69, 9
NOT_FOUND = 69
"""The code of the error of a group that there is not, or not of the kind that was asked for."""
Kind = Literal["classic", "consumer"]
"""The protocol of a group: the classic one, or that of KIP-848."""


@frozen
class Coordinator:
    error: int
    message: str
    node: int
    address: Address


@frozen
class Member:
    """A member of a group."""

    id: str
    instance_id: str | None
    client_id: str
    host: str
    topics: frozenset[str] | None
    """The topics that it subscribes to, None if that is not known."""
    partitions: frozenset[TopicPartition]


@frozen
class Group:
    """A group as its coordinator sees it."""

    error: int
    kind: Kind
    state: str
    protocol_type: str
    """`consumer` for groups that share partitions; others use Kafka's groups as well."""
    assignor: str
    members: tuple[Member, ...]
    rights: int = UNKNOWN_RIGHTS
    """The operations that this client may do, a bit for each, or `UNKNOWN_RIGHTS`."""


@frozen
class Committed:
    """A group's commit for a partition."""

    error: int
    offsets: Mapping[TopicPartition, int]


def coordinator_request(group: str) -> Request:
    return Request(FIND_COORDINATOR, 3, wire.struct(wire.text(group), wire.int8(0)))


def read_coordinator(data: bytes) -> Coordinator:
    answer = wire.behind_header(data)
    answer.int32()
    error, message = answer.int16(), answer.text()
    return Coordinator(error, message, answer.int32(), (answer.text(), answer.int32()))


def classic_group_request(group: str) -> Request:
    return Request(DESCRIBE_GROUPS, 5, _one_group(group))


def consumer_group_request(group: str) -> Request:
    return Request(DESCRIBE_CONSUMER_GROUPS, 0, _one_group(group))


def _one_group(group: str) -> bytes:
    return wire.struct(wire.array([group], wire.text), wire.boolean(True))


def read_classic_group(data: bytes) -> Group:
    answer = wire.behind_header(data)
    answer.int32()
    return _only(answer.array(_classic_group))


def read_consumer_group(data: bytes) -> Group:
    answer = wire.behind_header(data)
    answer.int32()
    return _only(answer.array(_consumer_group))


def _only(groups: tuple[Group, ...]) -> Group:
    if len(groups) != 1:
        raise MalformedAnswer("it is not about one group")
    return groups[0]


def _classic_group(answer: Answer) -> Group:
    error, _, state = answer.int16(), answer.text(), answer.text()
    protocol_type, assignor = answer.text(), answer.text()
    members, rights = answer.array(_classic_member), answer.int32()
    return answer.end(Group(error, "classic", state, protocol_type, assignor, members, rights))


def _classic_member(answer: Answer) -> Member:
    id_, instance_id = answer.text(), answer.nullable()
    client_id, host = answer.text(), answer.text()
    topics, partitions = _subscription(answer.data()), _assignment(answer.data())
    return answer.end(Member(id_, instance_id, client_id, host, topics, partitions))


def _subscription(data: bytes) -> frozenset[str] | None:
    """Return the topics that a member named as it joined; other protocols write other things."""
    try:
        answer = Answer(data)
        answer.int16()
        return frozenset(answer.short_array(Answer.short_text))
    except MalformedAnswer:
        return None


def _assignment(data: bytes) -> frozenset[TopicPartition]:
    def of_topic(answer: Answer) -> tuple[str, tuple[int, ...]]:
        return answer.short_text(), answer.short_array(Answer.int32)

    try:
        answer = Answer(data)
        answer.int16()
        topics = answer.short_array(of_topic)
    except MalformedAnswer:
        return frozenset()
    return frozenset(TopicPartition(name, each) for name, numbers in topics for each in numbers)


def _consumer_group(answer: Answer) -> Group:
    error, _, _, state = answer.int16(), answer.text(), answer.text(), answer.text()
    answer.int32()
    answer.int32()
    assignor, members = answer.text(), answer.array(_consumer_member)
    rights = answer.int32()
    return answer.end(Group(error, "consumer", state, "consumer", assignor, members, rights))


def _consumer_member(answer: Answer) -> Member:
    id_, instance_id, _, _ = answer.text(), answer.nullable(), answer.text(), answer.int32()
    client_id, host, topics = answer.text(), answer.text(), frozenset(wire.texts(answer))
    pattern = answer.text()
    has, _ = _topic_partitions(answer), _topic_partitions(answer)
    known = None if pattern else topics
    return answer.end(Member(id_, instance_id, client_id, host, known, has))


def _topic_partitions(answer: Answer) -> frozenset[TopicPartition]:
    def of_topic(answer: Answer) -> tuple[str, tuple[int, ...]]:
        answer.skip_uuid()
        return answer.end((answer.text(), wire.int32s(answer)))

    topics = answer.end(answer.array(of_topic))
    return frozenset(TopicPartition(name, each) for name, numbers in topics for each in numbers)


def committed_request(group: str) -> Request:
    """Ask for all that the group has committed."""
    return Request(FETCH_OFFSETS, 6, wire.struct(wire.text(group), wire.array(None, wire.text)))


def read_committed(data: bytes) -> Committed:
    answer = wire.behind_header(data)
    answer.int32()
    topics = answer.array(_committed_topic)
    offsets = {
        TopicPartition(name, number): offset
        for name, partitions in topics
        for number, offset in partitions
        if offset >= 0
    }
    return Committed(answer.int16(), offsets)


def _committed_topic(answer: Answer) -> tuple[str, tuple[tuple[int, int], ...]]:
    return answer.end((answer.text(), answer.array(_committed_partition)))


def _committed_partition(answer: Answer) -> tuple[int, int]:
    number, offset, _, _, _ = (
        answer.int32(),
        answer.int64(),
        answer.int32(),
        answer.text(),
        answer.int16(),
    )
    return answer.end((number, offset))
