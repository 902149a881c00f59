"""Retry topics on a real broker: created, written, read back when due, and left at last."""

import anyio
import pytest

from sdml_kafka import Delivery
from sdml_kafka.errors import AuthorizationFailed
from sdml_kafka.listener.processing.policies import DeadLetter, RetryTopics
from sdml_kafka.listener.processing.spring_headers import attempt_of
from sdml_kafka.testing import EmbeddedKafka
from tests.support.guarded_kafka import CLERK, Resource, Right, grant, login
from tests.support.kafka_from_outside import committed, create_topic, produce, topics_of, unique
from tests.support.listener_on_broker import listener_on
from tests.support.processing_on_broker import failing, partitions_of, records_of
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("client"),
]

TOPICS = RetryTopics(0.3, 0.6)


async def test_a_record_goes_through_all_topics(strict_kafka: EmbeddedKafka) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("orders"), 3), unique("group")
    dlt = await create_topic(bootstrap, f"{topic}-dlt", 1)
    await produce(bootstrap, topic, ["bad", "good"], partition=2, key=b"k")
    handle, seen = failing(lambda value, attempt: value == "bad")
    listener = listener_on(strict_kafka, topic, group_id=group)
    listener.processor(str, retry=TOPICS, on_failure=DeadLetter(), order="key")(handle)
    async with listener:
        await until(lambda: listener.status().counters.finished == 4)
        assert listener.status().counters.restarts == 0
    assert sorted(seen) == [("bad", 1), ("bad", 2), ("bad", 3), ("good", 1)]
    retries = [f"{topic}-retry-300", f"{topic}-retry-600"]
    for attempt, retry in enumerate(retries, start=2):
        assert await partitions_of(bootstrap, retry) == 3
        (record,) = await records_of(bootstrap, retry)
        assert (record.partition, record.key, record.value) == (2, b"k", b"bad")
        assert attempt_of(record.headers) == attempt
    (letter,) = await records_of(bootstrap, dlt)
    assert dict(letter.headers)["kafka_original-topic"] == topic.encode()
    offsets = await committed(bootstrap, group)
    assert [offsets[name, 2] for name in (topic, *retries)] == [2, 1, 1]


async def test_a_processor_that_begins_later_makes_its_topics_read(
    strict_kafka: EmbeddedKafka,
) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("orders"), 2)
    await produce(bootstrap, topic, ["bad"])
    handle, seen = failing(lambda value, attempt: attempt == 1)
    async with listener_on(strict_kafka, topic) as listener, anyio.create_task_group() as tasks:

        async def process() -> None:
            await listener.process(str, handle, retry=TOPICS)

        tasks.start_soon(process)
        await until(lambda: listener.status().counters.finished == 2)
        assert listener.status().counters.restarts == 0
        tasks.cancel_scope.cancel()
    assert seen == [("bad", 1), ("bad", 2)]


async def test_a_record_that_is_not_due_comes_after_a_restart(strict_kafka: EmbeddedKafka) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("orders"), 1), unique("group")
    await produce(bootstrap, topic, ["bad"])
    handle, seen = failing(lambda value, attempt: attempt == 1)
    first, second = (listener_on(strict_kafka, topic, group_id=group) for _ in range(2))
    first.processor(str, retry=RetryTopics(3.0))(handle)
    second.processor(str, retry=RetryTopics(3.0))(handle)
    async with first:
        await until(lambda: first.status().counters.finished == 1)
    assert seen == [("bad", 1)]
    async with second:
        await until(lambda: second.status().counters.finished == 1)
    assert seen == [("bad", 1), ("bad", 2)]


async def test_topics_that_may_not_be_created_are_named_on_entering(
    guarded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = guarded_kafka.bootstrap_servers
    topic, group = (
        await create_topic(bootstrap, unique("orders"), 2, login=login()),
        unique("group"),
    )
    retries = [f"{topic}-retry-300", f"{topic}-retry-600"]
    for name in (topic, *retries):
        await grant(guarded_kafka, Resource.TOPIC, name, Right.READ, Right.WRITE)
    await grant(guarded_kafka, Resource.GROUP, group, Right.READ)
    await grant(guarded_kafka, Resource.CLUSTER, "kafka-cluster", Right.IDEMPOTENT_WRITE)
    handle, _ = failing(lambda value, attempt: True)
    listener = listener_on(guarded_kafka, topic, group_id=group, **login(CLERK))
    listener.processor(str, retry=TOPICS)(handle)
    with pytest.raises(AuthorizationFailed, match="with 2 partitions") as raised:
        async with listener:
            pytest.fail("entered")
    assert all(repr(name) in str(raised.value) for name in retries)
    for name in retries:
        await create_topic(bootstrap, name, 2, login=login())
    again = listener_on(guarded_kafka, topic, group_id=group, **login(CLERK))
    again.processor(str, retry=TOPICS)(handle)
    async with again:
        assert await topics_of(bootstrap, login=login()) >= set(retries)


async def test_nothing_is_lost_when_the_broker_restarts(mortal_kafka: EmbeddedKafka) -> None:
    bootstrap = mortal_kafka.bootstrap_servers
    topic, group = await create_topic(bootstrap, unique("orders"), 2), unique("group")
    values = [f"bad-{number}" for number in range(200)]
    await produce(bootstrap, topic, values)
    again: set[str] = set()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        await anyio.sleep(0.02)
        if delivery.attempt == 1:
            raise ValueError(value)
        again.add(value)

    listener = listener_on(mortal_kafka, topic, group_id=group, start_timeout=30.0)
    listener.processor(str, retry=RetryTopics(1.0), order="none", concurrency=5)(handle)
    async with listener:
        await until(lambda: listener.status().counters.finished > 50)
        await mortal_kafka.restart_async()
        await until(lambda: again == set(values), within_s=100.0)
    offsets = await committed(bootstrap, group)
    assert sum(offsets[topic, partition] for partition in range(2)) == 200
