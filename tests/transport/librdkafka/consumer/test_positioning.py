"""What waits for its positions holds up nothing else that brokers are asked for."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sdml_kafka.errors import AuthorizationFailed
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import ConsumerSettings
from sdml_kafka.transport.librdkafka.consumer.positions import positioning as module
from sdml_kafka.transport.librdkafka.consumer.positions.positioning import Positioning

OLD, NEW = TopicPartition("orders", 0), TopicPartition("orders", 1)
NO_ANSWER = KafkaException(KafkaError(KafkaError._TIMED_OUT))


class Stub:
    """Whatever `Positioning` works with: a member that reads a partition, and was given another."""

    epoch, epochs, to_position = 2, {OLD: 1, NEW: 2}, frozenset({NEW})
    may_be_positioned, is_tail, is_due = True, False, False
    names, missing = frozenset({"orders"}), frozenset[str]()
    is_connected = True
    away: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.commits: Mapping[TopicPartition, object] | None = {}
        self.silent: Collection[TopicPartition] = ()
        self.metadata_is_answered = True
        self.asked_for_ends = self.refreshed = 0
        self.failures: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("assignments", "stable_commits", "lookups"):
            return self
        if name.startswith("note_"):
            return lambda *_: None
        raise AttributeError(name)

    def fetched(self, keys: Collection[TopicPartition]) -> Collection[TopicPartition]:
        return keys

    def partitions(self) -> Collection[TopicPartition]:
        return {OLD, NEW}

    def look_up(self, epoch: int, keys: Collection[TopicPartition]) -> Any:
        return self.commits

    def committed(self, keys: Collection[TopicPartition]) -> Any:
        return {}

    def offsets(self, times: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        if set(times) <= set(self.silent):
            raise NO_ANSWER
        return {key: 0 for key in times if key not in self.silent}

    ask = offsets

    def ask_due(self, keys: Collection[TopicPartition]) -> None:
        self.asked_for_ends += 1

    def refresh(self, names: Collection[str]) -> None:
        self.refreshed += 1
        if not self.metadata_is_answered:
            raise NO_ANSWER

    def unreachable(self) -> Mapping[str, str]:
        return self.away

    def note_connection(self) -> None:
        self.is_connected = True

    def note_silence(self) -> None:
        self.is_connected = False

    def fail(self, failure: Exception) -> None:
        self.failures.append(failure)


def positioning_of(stub: Any) -> Positioning:
    own = ConsumerSettings("group", None, 1.0, 1.0)
    return Positioning(own, stub, stub, stub, stub, stub, stub, print, lambda _: False)


def test_while_a_transaction_is_open_the_ends_of_others_are_asked_for() -> None:
    stub = Stub()
    stub.commits = None
    positioning = positioning_of(stub)
    for _ in range(3):
        positioning.turn()
    assert stub.asked_for_ends == 3


def test_a_tail_asks_for_ends_until_brokers_that_were_away_answer() -> None:
    stub = Stub()
    stub.is_tail, stub.may_be_positioned = True, False
    stub.away = {"0": "localhost:9092: it refuses connections"}
    positioning = positioning_of(stub)
    positioning.turn()
    assert stub.asked_for_ends == 1
    stub.away = {}
    positioning.turn()
    assert stub.asked_for_ends == 1


def test_a_leader_that_does_not_answer_is_no_sign_that_none_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 60.0)
    stub = Stub()
    stub.silent = {NEW}
    positioning = positioning_of(stub)
    for _ in range(4):
        positioning.turn()
        assert stub.is_connected
    assert stub.refreshed == 1
    assert stub.asked_for_ends == 2
    assert stub.failures == []


def test_what_this_group_may_not_look_up_is_said() -> None:
    stub = Stub()
    refused = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    def look_up(*_: object) -> None:
        raise refused

    stub.look_up = look_up  # type: ignore[assignment, method-assign]
    positioning_of(stub).turn()
    (failure,) = stub.failures
    assert type(failure) is AuthorizationFailed


def test_where_no_broker_answers_that_is_seen_and_brokers_are_all_that_is_asked_for() -> None:
    stub = Stub()
    stub.silent, stub.metadata_is_answered = {OLD, NEW}, False
    positioning = positioning_of(stub)
    for _ in range(3):
        positioning.turn()
        positioning._retry_at = 0.0
    assert not stub.is_connected
    assert (stub.refreshed, stub.asked_for_ends) == (2, 0)
    stub.metadata_is_answered = True
    positioning.turn()
    assert stub.is_connected
