"""Ask a broker for its versions, its settings, its cluster's metadata and the quorum. Pure."""

from collections.abc import Collection, Mapping

from attrs import frozen

from sdml_kafka.transport.inspection import wire
from sdml_kafka.transport.inspection.wire import Answer
from sdml_kafka.transport.interfaces.inspection import Address, Request

METADATA, DESCRIBE_CONFIGS, API_VERSIONS, DESCRIBE_QUORUM = 3, 32, 18, 55
UNKNOWN_RIGHTS = -(1 << 31)
"""The number for the rights of a client where the broker does not say them."""
TOPIC, BROKER, GROUP = 2, 4, 32
"""Kafka's numbers of what has settings."""
_FINALIZED_FEATURES = 2
"""The tag of the features that the cluster uses."""


@frozen
class Versions:
    """The versions that a broker speaks."""

    error: int
    apis: Mapping[int, tuple[int, int]]
    """The least and the highest version of each API, by its number."""
    features: Mapping[str, int]
    """The level of each feature that the cluster uses."""


@frozen
class Partition:
    """A partition as the metadata have it; `leader` is -1 where there is none."""

    number: int
    error: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    offline: tuple[int, ...]


@frozen
class Topic:
    """A topic as the metadata have it."""

    name: str
    error: int
    is_internal: bool
    partitions: tuple[Partition, ...]
    rights: int
    """The operations that this client may do, a bit for each, or `UNKNOWN_RIGHTS`."""


@frozen
class Metadata:
    """The cluster as one of its brokers sees it."""

    cluster_id: str | None
    controller: int
    brokers: Mapping[int, Address]
    racks: Mapping[int, str | None]
    topics: tuple[Topic, ...]
    rights: int
    """The operations on the cluster that this client may do, or `UNKNOWN_RIGHTS`."""


@frozen
class Config:
    """The settings of a topic, a broker or a group, as far as this client may see them."""

    error: int
    name: str
    values: Mapping[str, str]


@frozen
class Quorum:
    """The controllers, as the active one sees them. Times are in milliseconds of its clock."""

    error: int
    leader: int
    voters: Mapping[int, int]
    """The time at which each was last known to be up to date, -1 if that is not known."""

    @property
    def now_ms(self) -> int | None:
        """The clock of the active controller: of itself it gives the present."""
        return now if (now := self.voters.get(self.leader, -1)) > 0 else None


def versions_request() -> Request:
    body = wire.struct(wire.text("sdml-kafka"), wire.text("2"))
    return Request(API_VERSIONS, 3, body)


def read_versions(data: bytes) -> Versions:
    answer = Answer(data)
    error = answer.int16()
    if error:  # such an answer comes in the oldest version
        return Versions(error, {}, {})
    apis = answer.array(lambda a: a.end((a.int16(), (a.int16(), a.int16()))))
    answer.int32()
    features = answer.tags().get(_FINALIZED_FEATURES)
    levels = () if features is None else Answer(features).array(_feature)
    return Versions(error, dict(apis), dict(levels))


def _feature(answer: Answer) -> tuple[str, int]:
    name, highest = answer.text(), answer.int16()
    answer.int16()
    return answer.end((name, highest))


def metadata_request(topics: Collection[str] | None, *, with_rights: bool = False) -> Request:
    """Ask for some topics, which are not created, or for all of them."""
    body = wire.struct(
        wire.array(topics, lambda name: wire.struct(wire.text(name))),
        wire.boolean(False),
        wire.boolean(with_rights),
        wire.boolean(with_rights),
    )
    return Request(METADATA, 9, body)


def read_metadata(data: bytes) -> Metadata:
    answer = wire.behind_header(data)
    answer.int32()
    brokers = answer.array(_broker)
    cluster_id, controller = answer.nullable(), answer.int32()
    topics, rights = answer.array(_topic), answer.int32()
    addresses = {node: address for node, address, _ in brokers}
    racks = {node: rack for node, _, rack in brokers}
    return Metadata(cluster_id, controller, addresses, racks, topics, rights)


def _broker(answer: Answer) -> tuple[int, Address, str | None]:
    node, host, port, rack = answer.int32(), answer.text(), answer.int32(), answer.nullable()
    return answer.end((node, (host, port), rack))


def _topic(answer: Answer) -> Topic:
    error, name, is_internal = answer.int16(), answer.text(), answer.boolean()
    partitions, rights = answer.array(_partition), answer.int32()
    return answer.end(Topic(name, error, is_internal, partitions, rights))


def _partition(answer: Answer) -> Partition:
    error, number, leader, _ = answer.int16(), answer.int32(), answer.int32(), answer.int32()
    replicas, in_sync, offline = wire.int32s(answer), wire.int32s(answer), wire.int32s(answer)
    return answer.end(Partition(number, error, leader, replicas, in_sync, offline))


def configs_request(kind: int, names: Collection[str]) -> Request:
    """Ask for all settings of topics, brokers or groups."""
    body = wire.struct(
        wire.array(
            names, lambda name: wire.struct(wire.int8(kind), wire.text(name), wire.array(None, _no))
        ),
        wire.boolean(False),
        wire.boolean(False),
    )
    return Request(DESCRIBE_CONFIGS, 4, body)


def _no(_: object) -> bytes:
    return b""


def read_configs(data: bytes) -> tuple[Config, ...]:
    answer = wire.behind_header(data)
    answer.int32()
    return answer.array(_config)


def _config(answer: Answer) -> Config:
    error, _ = answer.int16(), answer.text()
    _, name = answer.int8(), answer.text()
    entries = answer.array(_entry)
    values = {key: value for key, value in entries if value is not None}
    return answer.end(Config(error, name, values))


def _entry(answer: Answer) -> tuple[str, str | None]:
    name, value, _ = answer.text(), answer.nullable(), answer.boolean()
    answer.int8()
    is_sensitive = answer.boolean()
    answer.array(_synonym)
    answer.int8()
    answer.text()
    return answer.end((name, None if is_sensitive else value))


def _synonym(answer: Answer) -> None:
    answer.text()
    answer.text()
    answer.int8()
    answer.tags()


def quorum_request() -> Request:
    """Ask for the state of the controllers, which the broker asks the active one for."""
    partition = wire.struct(wire.array([0], lambda n: wire.struct(wire.int32(n))))
    topics = wire.array(["__cluster_metadata"], lambda name: wire.text(name) + partition)
    return Request(DESCRIBE_QUORUM, 1, wire.struct(topics))


def read_quorum(data: bytes) -> Quorum:
    answer = wire.behind_header(data)
    error = answer.int16()
    found = [each for topic in answer.array(_quorum_topic) for each in topic]
    return Quorum(error, -1, {}) if error or not found else found[0]


def _quorum_topic(answer: Answer) -> tuple[Quorum, ...]:
    answer.text()
    return answer.end(answer.array(_quorum_partition))


def _quorum_partition(answer: Answer) -> Quorum:
    answer.int32()
    error, leader, _, _ = answer.int16(), answer.int32(), answer.int32(), answer.int64()
    voters, _ = answer.array(_voter), answer.array(_voter)
    return answer.end(Quorum(error, leader, dict(voters)))


def _voter(answer: Answer) -> tuple[int, int]:
    node, _, _, caught_up_ms = answer.int32(), answer.int64(), answer.int64(), answer.int64()
    return answer.end((node, caught_up_ms))
