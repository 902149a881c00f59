"""Names of partitions for people are short, whatever their number."""

import pytest

from sdml_kafka import TopicPartition
from sdml_kafka.transport.partition_names import brokers, offsets, partitions, topics


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], "none"),
        ([3], "'a' 3"),
        ([0, 1, 2, 3, 7], "'a' 0-3, 7"),
        (range(0, 40, 2), "'a' 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, and 10 more"),
    ],
)
def test_partitions_are_runs(numbers: list[int], text: str) -> None:
    assert partitions({TopicPartition("a", number) for number in numbers}) == text


def test_topics_are_in_order() -> None:
    assert partitions([TopicPartition("b", 1), TopicPartition("a", 0)]) == "'a' 0, 'b' 1"


def test_many_are_cut() -> None:
    many = [TopicPartition(f"t{number}", 0) for number in range(9000)]
    assert len(partitions(many)) < 200
    assert len(offsets([(each, 0) for each in many])) < 600
    assert topics([f"{number}" for number in range(20)]).endswith(" and 10 more")
    assert brokers(["2", "1"]) == "1, 2"


def test_a_topic_cannot_break_a_line() -> None:
    assert partitions([TopicPartition("a\n\x1b", 0)]).isprintable()
