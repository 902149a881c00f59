"""The reports on stderr about a listener or a server."""

from sdml_kafka import Counters, ListenerStatus, PartitionStatus, TopicPartition
from sdml_kafka.cli.progress import ProgressReport, lag_text, troubles
from sdml_kafka.runtime import ActorSnapshot, ActorState
from tests.support.demo_frames import partition_status


def status(
    *,
    connected: bool = True,
    missing: frozenset[str] = frozenset(),
    partitions: dict[TopicPartition, PartitionStatus] | None = None,
) -> ListenerStatus:
    return ListenerStatus(
        tree=ActorSnapshot("listener", ActorState.RUNNING, 0, None, 0, 0, 1.0),
        connected=connected,
        partitions=partitions or {},
        missing_topics=missing,
        counters=Counters(0, 0, 0, 0, 0, 0),
    )


def test_a_line_of_numbers() -> None:
    partitions = {
        TopicPartition("t", 0): partition_status(lag=1000),
        TopicPartition("t", 1): partition_status(lag=None),
    }
    now = status(partitions=partitions)
    progress = ProgressReport(lambda: now, lambda: 1500)
    assert progress.line(now) == "1,500 records, 500/s, lag at least 1,000 in 2 partitions"
    assert progress.line(now) == "1,500 records, 0/s, lag at least 1,000 in 2 partitions"


def test_a_lag_that_is_not_known_or_old_is_no_lag_of_now() -> None:
    known, unknown = partition_status(lag=1000, lag_age_s=1.0), partition_status(lag=None)
    old = partition_status(lag=30, lag_age_s=42.4)
    assert lag_text([]) == "0"
    assert lag_text([known, known]) == "2,000"
    assert lag_text([unknown]) == "unknown"
    assert lag_text([known, unknown, old]) == "at least 1,030 (42 s ago)"


def test_no_troubles() -> None:
    assert list(troubles(status())) == []


def test_troubles_are_named() -> None:
    held = {TopicPartition("t", 3): partition_status(held="CorruptRecord", position=9)}
    seen = list(troubles(status(connected=False, missing=frozenset({"m"}), partitions=held)))
    assert seen == [
        "no broker answers; still trying",
        "the topic m does not exist yet; it is read as soon as it does",
        "partition 3 of t cannot be read from offset 9 on: CorruptRecord",
    ]
