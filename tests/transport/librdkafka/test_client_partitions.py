"""Partitions as librdkafka takes them."""

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.librdkafka.client_partitions import with_commits


def test_an_empty_text_is_not_committed_as_a_zero_byte() -> None:
    first, second = TopicPartition("orders", 0), TopicPartition("orders", 1)
    found = with_commits({first: Commit(3), second: Commit(5, "map")})
    places = [(each.topic, each.partition, each.offset, each.metadata) for each in found]
    assert places == [("orders", 0, 3, None), ("orders", 1, 5, "map")]
