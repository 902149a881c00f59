"""The topic and the members that the in-memory broker's own tests act on."""

from sdml_kafka.testing.memory.consumer import MemoryConsumer
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.consumer_world import Seat

P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)
SESSION_S = 1.0


def member_id(member: Seat) -> str:
    assert isinstance(member.consumer, MemoryConsumer)
    return member.consumer.member_id
