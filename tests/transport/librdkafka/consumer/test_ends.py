"""How often brokers are asked for the ends of partitions, some of which do not answer."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sdml_kafka.health.rules import SILENT_S
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka.consumer import ends as module
from sdml_kafka.transport.librdkafka.consumer.ends import Ends

TURN_S = 0.1
REQUEST_S = 1.0
"""Seconds after which a request ends that some broker does not answer."""


class World:
    """A clock, and brokers of which some do not answer. It stands in for the obstacles as well."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.silent: Collection[TopicPartition] = ()
        self.blocked_s = 0.0
        self.asked: list[frozenset[TopicPartition]] = []
        self.all_have_answered = 0
        self.ends = Ends(self, self, reads_committed=False)  # type: ignore[arg-type]  # does what is used here

    def offsets(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        self.asked.append(frozenset(times))
        found = {key: 7 for key in times if key not in self.silent}
        if len(found) < len(times):
            self.now += REQUEST_S
            self.blocked_s += REQUEST_S
        if not found:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return found

    def note_connection(self) -> None:
        """Do nothing."""

    def answered(self) -> None:
        self.all_have_answered += 1

    def oldest_s(self, keys: Collection[TopicPartition]) -> float:
        ends = self.ends.readable(keys)
        return max(ends[key].age_s for key in keys)

    def run(
        self,
        keys: Collection[TopicPartition],
        seconds: float,
        look: Callable[[], Any] = lambda: None,
    ) -> None:
        """Ask for what is due for some seconds, and look after each turn."""
        end = self.now + seconds
        while self.now < end:
            try:
                self.ends.ask_due(keys)
            except KafkaException:
                assert set(keys) <= set(self.silent)
            self.now += TURN_S
            look()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World.__new__(World)
    monkeypatch.setattr(module, "monotonic", lambda: world.now)
    World.__init__(world)
    return world


def topic(count: int) -> list[TopicPartition]:
    return [TopicPartition("orders", number) for number in range(count)]


def test_a_broker_that_is_frozen_makes_no_other_look_away(world: World) -> None:
    keys, ages = topic(6), list[float]()
    world.run(keys, 5)
    world.silent, world.blocked_s = keys[:2], 0.0
    world.run(keys, 120, lambda: ages.append(world.oldest_s(keys[2:])))
    assert max(ages) < SILENT_S / 2
    assert world.oldest_s(keys[:2]) > 100
    assert world.blocked_s < 20


def test_that_it_answers_again_is_seen_soon_and_from_then_on_it_is_asked_as_ever(
    world: World,
) -> None:
    keys = topic(6)
    world.silent = keys[:2]
    world.run(keys, 60)
    before = world.all_have_answered
    world.silent = ()
    world.run(keys, module.MAX_INTERVAL_S + 1)
    assert world.oldest_s(keys) < 2
    assert world.all_have_answered > before
    world.asked.clear()
    world.run(keys, 10)
    assert world.asked == [frozenset(keys)] * len(world.asked)
    assert len(world.asked) >= 9


def test_while_some_broker_does_not_answer_it_stays_known_as_one(world: World) -> None:
    """The others answer all the time, which is no news of it."""
    keys = topic(6)
    world.silent = keys[:2]
    world.run(keys, 60)
    assert world.all_have_answered == 0


def test_partitions_that_are_gone_are_silent_no_more(world: World) -> None:
    keys = topic(6)
    world.silent = keys[:2]
    world.run(keys, 30)
    world.run(keys[2:], 3)
    assert world.all_have_answered
    assert world.asked[-1] == set(keys[2:])


def test_where_no_broker_answers_they_are_asked_less_and_less(world: World) -> None:
    keys = topic(3)
    world.silent = keys
    world.run(keys, 60)
    full = [each for each in world.asked if each]
    assert 5 < len(full) < 12


def test_many_partitions_are_asked_often_enough_to_count_as_read(world: World) -> None:
    keys, ages = topic(5000), list[float]()
    world.run(keys, 40, lambda: ages.append(world.oldest_s(keys[:1])))
    assert len(world.asked) < 7
    assert max(ages) < SILENT_S
