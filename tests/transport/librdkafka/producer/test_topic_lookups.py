"""Topics that are looked for hold up no others."""

import threading
from collections import deque
from collections.abc import AsyncGenerator

import anyio
import pytest
from confluent_kafka import KafkaError

from sdml_kafka.transport.interfaces.producer import Message, always
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop
from sdml_kafka.transport.librdkafka.producer import topic_lookups
from sdml_kafka.transport.librdkafka.producer.delivery_reports import Entry
from sdml_kafka.transport.librdkafka.producer.topic_lookups import TopicLookups
from tests.support.waiting import BUSY_S, until

pytestmark = pytest.mark.anyio

UNKNOWN = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
REFUSED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
SILENCE = KafkaError(KafkaError._TIMED_OUT)


class Broker:
    """Answers for topics as it is told to."""

    def __init__(self) -> None:
        self.answers: dict[str, int | KafkaError] = {}
        self.asked: list[tuple[str, float]] = []
        self.found: dict[str, int] = {}
        self.failed: dict[str, KafkaError] = {}
        self.counts: list[int] = []
        self.settled: list[str] = []
        """The topics in the order in which they were found or failed."""
        self.lookups = TopicLookups(ProgramLoop(), self._count, self._found, self._failed)

    def look_for(self, topic: str, answer: int | KafkaError) -> None:
        self.answers[topic] = answer
        self.lookups.add((Message(topic, b""), lambda _: None, always))

    def _count(self, topic: str, timeout_s: float) -> int | KafkaError:
        self.asked.append((topic, timeout_s))
        return self.answers[topic]

    def _found(self, topic: str, count: int, entries: deque[Entry]) -> None:
        self.found[topic] = count
        self.settled.append(topic)
        self.counts.append(len(entries))

    def _failed(self, topic: str, error: KafkaError, entries: deque[Entry]) -> None:
        self.failed[topic] = error
        self.settled.append(topic)
        self.counts.append(len(entries))


@pytest.fixture
async def broker(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Broker]:
    monkeypatch.setattr(topic_lookups, "RETRY_S", 0.02)
    monkeypatch.setattr(topic_lookups, "CREATION_S", 0.5)
    broker = Broker()
    yield broker
    broker.lookups.close()


async def test_topics_that_are_missing_hold_up_no_other(broker: Broker) -> None:
    for number in range(20):
        broker.look_for(f"missing-{number}", UNKNOWN)
    broker.look_for("there", 3)
    began = anyio.current_time()
    await until(lambda: len(broker.failed) == 20)
    assert broker.found == {"there": 3}
    assert broker.settled[0] == "there"
    assert anyio.current_time() - began < topic_lookups.CREATION_S + BUSY_S


async def test_a_topic_that_is_created_meanwhile_is_found(broker: Broker) -> None:
    broker.look_for("orders", UNKNOWN)
    broker.look_for("orders", UNKNOWN)
    await until(lambda: broker.asked)
    broker.answers["orders"] = 6
    await until(lambda: broker.found == {"orders": 6})
    assert broker.counts == [2]


async def test_what_is_refused_is_asked_for_once(broker: Broker) -> None:
    broker.look_for("secret", REFUSED)
    await until(lambda: broker.failed == {"secret": REFUSED})
    assert [topic for topic, _ in broker.asked] == ["secret"]


async def test_a_broker_that_does_not_answer_is_asked_without_an_end_and_with_patience(
    broker: Broker,
) -> None:
    broker.look_for("orders", SILENCE)
    await until(lambda: len(broker.asked) > 5)
    assert not broker.failed
    assert [timeout_s for _, timeout_s in broker.asked[:5]] == [0.2, 0.4, 0.8, 1.0, 1.0]


async def test_with_the_end_the_thread_ends_and_what_waits_is_given_back(broker: Broker) -> None:
    broker.look_for("orders", SILENCE)
    await until(lambda: broker.asked)
    assert len(broker.lookups.close()) == 1
    await until(lambda: not any(each.name == "sdml-kafka-topics" for each in threading.enumerate()))
