"""Partitions as librdkafka takes them."""

from collections.abc import Iterable, Mapping

from confluent_kafka import TopicPartition as ClientPartition

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit


def as_client(keys: Iterable[TopicPartition]) -> list[ClientPartition]:
    """Return partitions as the client takes them."""
    return [ClientPartition(*each) for each in keys]


def at_offsets(offsets: Mapping[TopicPartition, int]) -> list[ClientPartition]:
    """Return partitions as the client takes them, each with an offset or a time."""
    return [ClientPartition(topic, number, at) for (topic, number), at in offsets.items()]


def with_commits(commits: Mapping[TopicPartition, Commit]) -> list[ClientPartition]:
    """Return partitions as the client takes them, each with what is to be committed."""
    return [_with_commit(key, commit) for key, commit in commits.items()]


def _with_commit(key: TopicPartition, commit: Commit) -> ClientPartition:
    if not commit.metadata:  # an empty text would be sent as a zero byte
        return ClientPartition(*key, commit.offset)
    return ClientPartition(*key, commit.offset, commit.metadata)
