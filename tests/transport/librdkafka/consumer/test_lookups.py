"""What a broker says of commits."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.librdkafka.consumer.lookups import Lookups

P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)


def lookups_of(*found: Any) -> Lookups:
    client: Any = SimpleNamespace(committed=lambda wanted, timeout: found)
    return Lookups(lambda: client)


def found(key: TopicPartition, offset: int, error: KafkaError | None = None) -> Any:
    return SimpleNamespace(**key._asdict(), offset=offset, metadata=None, error=error)


def test_a_partition_without_a_commit_is_left_out() -> None:
    assert lookups_of(found(P0, 5), found(P1, -1001)).committed([P0, P1]) == {P0: Commit(5)}


def test_an_error_of_a_partition_does_not_pass_for_no_commit() -> None:
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        lookups_of(found(P0, 5), found(P1, -1001, refused)).committed([P0, P1])
