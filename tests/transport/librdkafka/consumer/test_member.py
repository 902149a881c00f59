"""A member whose brokers do not have the group protocol that it was to join by."""

from collections.abc import Generator

import pytest
from confluent_kafka import KafkaError

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.librdkafka.consumer.adapter import settings_of
from sdml_kafka.transport.librdkafka.consumer.member import Member
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.options import consumer_settings

NO_VERSION = KafkaError(KafkaError._FATAL, "ConsumerGroupHeartbeat API version not supported")


@pytest.fixture
def member() -> Generator[Member]:
    settings = consumer_settings("127.0.0.1:1", "group", None, {})
    obstacles = Obstacles(settings, print)
    made = Member(
        settings, settings_of(settings), ClientLog(()), obstacles, frozenset, print, print
    )
    made.join(["orders"], is_tail=False)
    yield made
    made.close()


def test_it_joins_by_the_other_one(member: Member) -> None:
    member.note_error(NO_VERSION)
    member.turn()
    assert member.membership.protocol == "classic"


def test_once_it_has_joined_another_consumer_takes_its_place(member: Member) -> None:
    member.assignments.give([TopicPartition("orders", 0)])
    member.note_error(NO_VERSION)
    with pytest.raises(ConsumerFailed, match="protocol"):
        member.turn()
