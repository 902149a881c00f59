"""Retry topics with the names that Spring has beside those by delay: by number, and one for all."""

from itertools import pairwise
from typing import Any

import anyio
import pytest

from sdml_kafka import TopicPartition
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.listener.processing.policies import (
    MAX_ATTEMPTS,
    Batch,
    DeadLetter,
    Retry,
    RetryTopics,
)
from sdml_kafka.listener.processing.spring_headers import ATTEMPTS, DUE, attempt_of
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing_on
from tests.support.retrying_on_twin import Attempts, bad_fails, retrying
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

ONE = TopicPartition(f"{TOPIC}-retry", 0)
FIRST, SECOND = (TopicPartition(f"{TOPIC}-retry-{number}", 0) for number in range(2))
DLT = TopicPartition(f"{TOPIC}-dlt", 0)
IN_ONE = RetryTopics(5.0, 5.0, 5.0, suffix="none")


async def until_dead(broker: MemoryBroker, count: int = 1) -> None:
    await until(lambda: len(broker.records(DLT)) == count, 300.0)


def broker_with_dead_letters(*values: str, retry_topic: str = "") -> MemoryBroker:
    broker = broker_with(*values)
    broker.create_topic(DLT.topic)
    if retry_topic:
        broker.create_topic(retry_topic)
    return broker


async def test_a_record_goes_through_the_one_topic_once_for_each_delay() -> None:
    broker = broker_with_dead_letters("bad", "good")
    attempts = Attempts(bad_fails)
    async with retrying(broker, attempts, IN_ONE, on_failure=DeadLetter()) as listener:
        assert {each.topic for each in listener.status().partitions} == {TOPIC, ONE.topic}
        await until_dead(broker)
        await until(lambda: listener.status().counters.finished == 5)
    bad = [number for number, (value, _) in enumerate(attempts.seen) if value == "bad"]
    assert [attempts.seen[each][1] for each in bad] == [1, 2, 3, 4]
    assert [attempts.topics[each] for each in bad] == [TOPIC] + [ONE.topic] * 3
    times = [attempts.times[each] for each in bad]
    assert all(4.999 <= later - time < 5.2 for time, later in pairwise(times))
    assert [attempt_of(each.headers) for each in broker.records(ONE)] == [2, 3, 4]
    (letter,) = broker.records(DLT)
    names = [name for name, _ in letter.headers]
    assert (names.count("kafka_original-topic"), attempt_of(letter.headers)) == (1, 5)
    assert dict(letter.headers)["kafka_original-topic"] == TOPIC.encode()
    assert [broker.committed(GROUP, each) for each in (P0, ONE)] == [2, 3]


async def test_topics_by_number_may_have_the_same_delay() -> None:
    broker = broker_with_dead_letters("bad")
    attempts = Attempts(bad_fails)
    retry = RetryTopics(5.0, 5.0, suffix="index")
    async with retrying(broker, attempts, retry, on_failure=DeadLetter()):
        await until_dead(broker)
    assert attempts.topics == [TOPIC, FIRST.topic, SECOND.topic]
    assert [attempt for _, attempt in attempts.seen] == [1, 2, 3]
    assert [len(broker.records(each)) for each in (FIRST, SECOND)] == [1, 1]


async def test_attempts_in_place_are_none_of_those_in_the_one_topic() -> None:
    broker = broker_with_dead_letters("bad")
    attempts = Attempts(bad_fails)
    first = Retry(attempts=3, backoff_s=1.0)
    retry = RetryTopics(5.0, 5.0, suffix="none", first=first)
    async with retrying(broker, attempts, retry, on_failure=DeadLetter()):
        await until_dead(broker)
    assert [attempt for _, attempt in attempts.seen] == [1, 2, 3, 4, 5]
    assert attempts.topics == [TOPIC] * 3 + [ONE.topic] * 2


@pytest.mark.parametrize(("header", "tried"), [(2, [2, 3, 4]), (3, [3, 4]), (4, [4])])
async def test_what_another_service_wrote_into_the_one_topic_goes_on_at_its_attempt(
    header: int, tried: list[int]
) -> None:
    broker = broker_with_dead_letters(retry_topic=ONE.topic)
    attempts = Attempts(bad_fails)
    async with retrying(broker, attempts, IN_ONE, on_failure=DeadLetter()):
        headers = [(ATTEMPTS, header.to_bytes(4, "big"))]
        broker.produce(ONE.topic, b"bad", partition=0, headers=headers)
        await until_dead(broker)
    assert [attempt for _, attempt in attempts.seen] == tried


@pytest.mark.parametrize(
    ("value", "tried"),
    [(None, [1, 2, 3, 4]), (b"\xff\xff\xff\xff", [1, 2, 3, 4]), (b"\0\0\x7f\xff", [32_767])],
)
async def test_forged_attempts_keep_no_record_in_the_one_topic(
    value: bytes | None, tried: list[int]
) -> None:
    broker = broker_with_dead_letters(retry_topic=ONE.topic)
    attempts = Attempts(bad_fails)
    async with retrying(broker, attempts, IN_ONE, on_failure=DeadLetter()):
        began = anyio.current_time()
        headers = [(DUE, (1 << 62).to_bytes(8, "big"))]
        headers += [] if value is None else [(ATTEMPTS, value)]
        broker.produce(ONE.topic, b"bad", partition=0, headers=headers)
        await until_dead(broker)
        assert anyio.current_time() - began < 5.2 * len(tried)
    assert [attempt for _, attempt in attempts.seen] == tried


async def test_records_in_the_order_of_a_partition_go_through_the_one_topic() -> None:
    values = [f"bad-{number}" for number in range(4)]
    broker = broker_with_dead_letters(*values)
    attempts = Attempts(bad_fails)
    options: dict[str, Any] = {"order": "partition", "on_failure": DeadLetter()}
    async with retrying(broker, attempts, IN_ONE, **options):
        await until_dead(broker, 4)
    assert attempts.seen == [(value, attempt) for attempt in range(1, 5) for value in values]


async def test_batches_of_the_one_topic_may_hold_different_attempts() -> None:
    broker = broker_with_dead_letters("bad-1")
    seen: list[list[int]] = []

    async def handle(deliveries: list[Any]) -> None:
        seen.append([each.attempt for each in deliveries])
        raise ValueError("no")

    retry = RetryTopics(5.0, 5.0, suffix="none")
    options: dict[str, Any] = {"batch": Batch(size=9, interval_s=0.5), "on_failure": DeadLetter()}
    async with retrying(broker, handle, retry, **options):
        await until(lambda: len(broker.records(ONE)) == 2, 30.0)
        headers = broker.records(ONE)[1].headers
        due = [pair for pair in headers if pair[0] == DUE][-1:]
        broker.produce(ONE.topic, b"bad-2", partition=0, headers=due)
        await until_dead(broker, 2)
    assert [attempts[0] for attempts in seen[:3]] == [1, 2, 3]
    assert seen[2] == [3, 1]


async def test_two_processors_of_a_type_share_the_one_topic() -> None:
    broker = broker_with_dead_letters(*(f"bad-{number}" for number in range(6)))
    both = Attempts(bad_fails), Attempts(bad_fails)
    listener = processing_on(broker)
    for each in both:
        listener.processor(str, retry=IN_ONE, order="none", on_failure=DeadLetter())(each)
    async with listener:
        await until_dead(broker, 6)
    seen = sorted(both[0].seen + both[1].seen)
    assert seen == [(f"bad-{number}", attempt) for number in range(6) for attempt in range(1, 5)]


@pytest.mark.parametrize(
    ("delays", "options"),
    [
        ((5.0, 6.0), {"suffix": "none"}),
        ((5.0,), {"suffix": "number"}),
        ((5.0,), {"suffix": None}),
        ((5.0,), {"suffix": "none", "first": Retry(attempts=MAX_ATTEMPTS)}),
    ],
)
async def test_suffixes_that_cannot_be_are_refused(
    delays: tuple[float, ...], options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        RetryTopics(*delays, **options)


async def test_an_error_about_delays_that_repeat_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="suffix='none'"):
        RetryTopics(5.0, 5.0)
