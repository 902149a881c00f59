"""Commits of a consumer that is closed."""

from types import SimpleNamespace
from typing import Any

from sdml_kafka.errors import CommitFailed, CommitRejected, SdmlKafkaError
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.librdkafka.consumer.commits import Commits


def test_only_of_a_commit_that_was_not_sent_it_is_known_that_nothing_was_committed() -> None:
    client: Any = SimpleNamespace(commit=lambda **_: None)
    commits = Commits(client, lambda *_: None, is_incremental=True)
    outcomes: list[SdmlKafkaError | None] = []
    for offset in (1, 2):
        commits.add(1, {TopicPartition("orders", 0): Commit(offset)}, 60.0, outcomes.append)
    commits.close()
    sent, waiting = outcomes
    assert type(sent) is CommitFailed
    assert "may have gone through" in str(sent)
    assert type(waiting) is CommitRejected
