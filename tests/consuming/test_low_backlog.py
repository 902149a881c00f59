"""A partition is polled while little waits of it, in records and in bytes."""

from collections.abc import Sequence

import pytest

from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.partitions import LOW_BACKLOG, LOW_BACKLOG_BYTES, Intake
from sdml_kafka.testing.memory.log import MemoryRecord
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment

KEY = TopicPartition("topic", 0)


class Nudged(CurrentConsumer):
    """Counts how often a poll would be ended."""

    times = 0

    def nudge(self) -> None:
        self.times += 1


@pytest.mark.parametrize(
    ("count", "size"), [(LOW_BACKLOG, 1), (10, LOW_BACKLOG_BYTES // 10 + 1)], ids=["many", "large"]
)
def test_no_more_is_fetched_until_little_waits(count: int, size: int) -> None:
    consumer = Nudged()
    intake = Intake(lambda _: True, consumer, 1 << 30)
    intake.open(Assignment(1, {KEY: 0}, {KEY: None}), {})
    assert intake.ready() == [KEY]
    records: Sequence[Record] = [MemoryRecord(*KEY, each, 0, None, b"") for each in range(count)]
    intake.accept({KEY: records}, {}, lambda some: [size] * len(some))
    assert not intake.ready()
    intake.remove(intake.partitions[KEY], 1)
    assert intake.ready() == [KEY]
    assert consumer.times == 1
    intake.remove(intake.partitions[KEY], 1)
    assert consumer.times == 1


def test_what_is_withdrawn_waits_no_more() -> None:
    intake = Intake(lambda _: True, Nudged(), 1 << 30)
    intake.open(Assignment(1, {KEY: 0}, {KEY: None}), {})
    records: Sequence[Record] = [MemoryRecord(*KEY, 0, 0, None, b"")]
    intake.accept({KEY: records}, {}, lambda some: [LOW_BACKLOG_BYTES] * len(some))
    intake.withdraw([KEY])
    assert intake.partitions[KEY].waiting_bytes == 0
    assert intake.budget.held == 0
