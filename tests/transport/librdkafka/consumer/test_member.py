"""A member that its group does not take: by another protocol, at once, or at all."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sdml_kafka.errors import ConsumerFailed, CoordinatorUnavailable, JoinTimeout
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka.consumer.adapter import settings_of
from sdml_kafka.transport.librdkafka.consumer.member import Member
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.options import Settings, consumer_settings

NO_VERSION = KafkaError(KafkaError._FATAL, "ConsumerGroupHeartbeat API version not supported")


SETTINGS = consumer_settings("127.0.0.1:1", "group", None, {})


@pytest.fixture
def obstacles() -> Obstacles:
    return Obstacles(SETTINGS, print)


@contextmanager
def member_of(settings: Settings, obstacles: Obstacles) -> Generator[Member]:
    made = Member(
        settings, settings_of(settings), ClientLog(()), obstacles, frozenset, print, print
    )
    made.join(["orders"], is_tail=False)
    yield made
    made.close()


@pytest.fixture
def member(obstacles: Obstacles) -> Generator[Member]:
    with member_of(SETTINGS, obstacles) as made:
        yield made


def test_it_joins_by_the_other_one(member: Member) -> None:
    member.note_error(NO_VERSION)
    member.turn()
    assert member.membership.protocol == "classic"


def test_once_it_has_joined_another_consumer_takes_its_place(member: Member) -> None:
    member.assignments.give([TopicPartition("orders", 0)])
    member.note_error(NO_VERSION)
    with pytest.raises(ConsumerFailed, match="protocol"):
        member.turn()


@pytest.mark.parametrize(
    ("code", "is_classic", "is_obstacle"),
    [
        (KafkaError._TIMED_OUT, True, False),
        (KafkaError._TIMED_OUT, False, True),
        (KafkaError._WAIT_COORD, True, True),
    ],
)
def test_a_coordinator_that_keeps_a_member_waiting_is_not_away(
    member: Member,
    obstacles: Obstacles,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    is_classic: bool,
    is_obstacle: bool,
) -> None:
    def find(_: Any) -> None:
        raise KafkaException(KafkaError(code))

    if is_classic:
        member.note_error(NO_VERSION)
        member.turn()
    obstacles.note_connection()
    monkeypatch.setattr(member.lookups, "find_coordinator", find)
    monkeypatch.setattr(member, "_coordinator_at", 0.0)
    member.look_at_group(finds_topics=True)
    found = obstacles.find(has_joined=False)
    assert isinstance(found, CoordinatorUnavailable) is is_obstacle


@pytest.mark.parametrize(
    ("options", "falls_back"),
    [({}, True), ({"group.protocol": "consumer"}, False), ({"group.instance.id": "one"}, False)],
)
def test_a_coordinator_that_passes_it_over(
    obstacles: Obstacles,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, str],
    falls_back: bool,
) -> None:
    settings = {**SETTINGS, **options}
    with member_of(settings, obstacles) as member:
        monkeypatch.setattr(member.lookups, "find_coordinator", lambda _: None)
        monkeypatch.setattr(member, "_coordinator_at", 0.0)
        member.look_at_group(finds_topics=True)
        assert (member.membership.protocol, obstacles.is_passed_over) == ("consumer", False)
        monkeypatch.setattr(member, "_answers_since", 0.0)
        member.look_at_group(finds_topics=True)
        assert (member.membership.protocol == "classic") is falls_back
        assert obstacles.is_passed_over is not falls_back


def test_what_a_member_is_told_that_is_passed_over(obstacles: Obstacles) -> None:
    obstacles.note_connection()
    obstacles.is_passed_over = True
    assert type(obstacles.find(has_joined=False)) is JoinTimeout
    assert obstacles.find(has_joined=True) is None
