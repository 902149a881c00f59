"""A listener on the in-memory twin whose processors send and commit in transactions."""

from collections.abc import Sequence
from typing import Any

from sdml_kafka import Delivery, KafkaListener, Send, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.listener_on_twin import GROUP, TEXTS, TOPIC

OUT = TopicPartition("out", 0)


def broker_with_outputs(count: int, keys: int = 5, partitions: int = 1, **options: Any) -> Any:
    """Return a broker with records whose values are their numbers, and a topic for outputs."""
    broker = MemoryBroker({TOPIC: partitions, OUT.topic: 1}, **options)
    fill_keyed(broker, count, keys)
    return broker


def fill_keyed(broker: MemoryBroker, count: int, keys: int = 5, first: int = 0) -> None:
    """Send records whose values are their numbers."""
    for number in range(first, first + count):
        broker.produce(TOPIC, b"%d" % number, key=b"%d" % (number % keys))


def exactly_once_on(
    broker: MemoryBroker, group: str = GROUP, *, reads_committed: bool = True, **options: Any
) -> KafkaListener:
    """Return a listener of texts whose processors may have transactions."""
    connect = broker.connect(group, auto_offset_reset="earliest")
    options.setdefault("parsers", [TEXTS])
    producers = broker.connect_producer(), "memory", broker.connect_transactions()
    transport = Transport(connect, *producers, reads_committed=reads_committed)
    return KafkaListener(transport=transport, **options)


def outputs(broker: MemoryBroker, topic: str = OUT.topic) -> list[str]:
    """Return the values that readers of committed records see."""
    return [(each.value or b"").decode() for each in broker.records(TopicPartition(topic, 0))]


def in_order_of_keys(values: Sequence[str], keys: int = 5) -> bool:
    """Return whether the numbers of each key are in order, each there once."""
    numbers = [int(value) for value in values]
    by_key = [[each for each in numbers if each % keys == key] for key in range(keys)]
    return all(each == sorted(set(each)) for each in by_key)


async def pass_on(value: str, delivery: Delivery[str]) -> Send:
    """Return the value as what is sent."""
    return Send(OUT.topic, value.encode(), key=delivery.record.key)


def committed(broker: MemoryBroker, topic: str = TOPIC, group: str = GROUP) -> int:
    """Return how many offsets a group has committed in all partitions of a topic."""
    partitions = {each for each in _partitions(broker, topic)}
    return sum(broker.committed(group, each) or 0 for each in partitions)


def _partitions(broker: MemoryBroker, topic: str) -> list[TopicPartition]:
    found = list[TopicPartition]()
    while True:
        partition = TopicPartition(topic, len(found))
        try:
            broker.end_offset(partition)
        except Exception:
            return found
        found.append(partition)
