"""Retry topics: failed records are read back when they are due, and go from topic to topic."""

import time
from functools import partial
from itertools import count
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener, TopicPartition, parse_text
from sdml_kafka.errors import (
    AuthorizationFailed,
    BrokerUnreachable,
    ConfigurationError,
    TooManyDeadLetters,
)
from sdml_kafka.listener.processing.policies import Batch, DeadLetter, Retry, RetryTopics
from sdml_kafka.listener.processing.spring_headers import ATTEMPTS, DUE
from sdml_kafka.parsing.parsers import Skip
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.log import Misuse
from sdml_kafka.testing.memory.producer import MemoryProducer
from tests.support.listener_on_twin import GROUP, P0, TEXTS, TOPIC, broker_with, fill, loops
from tests.support.processing_on_twin import processing, processing_on
from tests.support.retrying_on_twin import TOPICS, Attempts, bad_fails, retrying
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

FIVE, SIXTY = TopicPartition(f"{TOPIC}-retry-5000", 0), TopicPartition(f"{TOPIC}-retry-60000", 0)
DLT = TopicPartition(f"{TOPIC}-dlt", 0)


def partition_count(broker: MemoryBroker, topic: str) -> int:
    for number in count():
        try:
            broker.end_offset(TopicPartition(topic, number))
        except Misuse:
            return number
    raise AssertionError


async def all_finished(listener: KafkaListener, number: int) -> None:
    await until(lambda: listener.status().counters.finished == number, 300.0)


async def test_a_record_goes_from_topic_to_topic_and_then_to_the_dead_letters() -> None:
    broker = broker_with()
    broker.create_topic(DLT.topic)
    broker.produce(TOPIC, b"bad", partition=0, key=b"k", headers=[("trace", b"1")])
    fill(broker, ["good"])
    attempts = Attempts(bad_fails)
    async with retrying(broker, attempts, on_failure=DeadLetter()) as listener:
        await all_finished(listener, 4)
        status = listener.status().processors["texts"]
        assert (status.retries, status.failures, status.dead_letters) == (2, 1, 1)
    assert [each for each in attempts.seen if each[0] == "bad"] == [
        ("bad", 1),
        ("bad", 2),
        ("bad", 3),
    ]
    first, _, second, third = attempts.times
    assert 4.999 <= second - first < 5.2
    assert 59.999 <= third - second < 60.2  # a difference of large numbers is rounded
    for place, attempt in ((FIVE, 2), (SIXTY, 3)):
        (record,) = broker.records(place)
        headers = dict(record.headers)
        assert (record.key, record.value, headers["trace"]) == (b"k", b"bad", b"1")
        assert headers["kafka_original-topic"] == TOPIC.encode()
        assert headers["kafka_original-offset"] == (0).to_bytes(8, "big")
        assert headers[ATTEMPTS] == attempt.to_bytes(4, "big")
    (letter,) = broker.records(DLT)
    names = [name for name, _ in letter.headers]
    assert names.count("kafka_original-topic") == 1
    assert "kafka_dlt-original-topic" not in names
    assert dict(letter.headers)["kafka_exception-message"] == b"cannot do bad"
    assert [broker.committed(GROUP, each) for each in (P0, FIVE, SIXTY)] == [2, 1, 1]


async def test_a_record_that_waits_holds_up_no_other_and_is_in_nobodys_hands() -> None:
    broker = broker_with("bad", "good")
    attempts = Attempts(lambda value, attempt: value == "bad" and attempt == 1)
    async with retrying(broker, attempts) as listener:
        await until(lambda: listener.status().processors["texts"].queued == 1)
        fill(broker, ["later"])
        await until(lambda: ("later", 1) in attempts.seen)
        began = anyio.current_time()
    assert anyio.current_time() - began < 0.5
    assert broker.committed(GROUP, P0) == 3
    assert broker.committed(GROUP, FIVE) in (None, 0)
    again = Attempts(lambda value, attempt: False)
    async with retrying(broker, again) as listener:
        await all_finished(listener, 1)
    assert again.seen == [("bad", 2)]
    assert 5.0 <= again.times[0] - attempts.times[0] < 5.2


async def test_a_record_is_tried_in_place_first_and_once_in_each_topic() -> None:
    broker = broker_with("bad")
    attempts = Attempts(bad_fails)
    first = Retry(attempts=3, backoff_s=1.0, multiplier=1.0, jitter=0.0)
    retry = RetryTopics(5.0, 60.0, first=first)
    async with retrying(broker, attempts, retry, on_failure=Skip()) as listener:
        await all_finished(listener, 3)
    assert [attempt for _, attempt in attempts.seen] == [1, 2, 3, 4, 5]
    assert attempts.topics == [TOPIC] * 3 + [FIVE.topic, SIXTY.topic]


async def test_an_error_that_is_not_tried_again_fails_its_record_at_once() -> None:
    broker = broker_with("bad")
    broker.create_topic(DLT.topic)
    retry = RetryTopics(5.0, first=Retry(attempts=2, unless=(ValueError,)))
    attempts = Attempts(bad_fails)
    async with retrying(broker, attempts, retry, on_failure=DeadLetter()) as listener:
        await all_finished(listener, 1)
    assert attempts.seen == [("bad", 1)]
    (letter,) = broker.records(DLT)
    assert dict(letter.headers)["kafka_dlt-original-topic"] == TOPIC.encode()


async def test_missing_retry_topics_get_as_many_partitions_as_the_first_topic() -> None:
    broker = broker_with("bad", partitions=3)
    broker.create_topic(FIVE.topic, 1)
    attempts = Attempts(lambda value, attempt: attempt < 3)
    fill(broker, ["bad"], partition=2)
    async with retrying(broker, attempts) as listener:
        await all_finished(listener, 6)
    assert [partition_count(broker, each.topic) for each in (FIVE, SIXTY)] == [1, 3]
    assert [len(broker.records(FIVE)), len(broker.records(SIXTY))] == [2, 2]


async def test_a_record_stays_in_the_partition_of_its_number() -> None:
    broker = broker_with(partitions=3)
    fill(broker, ["bad"], partition=2)
    attempts = Attempts(lambda value, attempt: attempt < 2)
    async with retrying(broker, attempts) as listener:
        await all_finished(listener, 2)
    (record,) = broker.records(TopicPartition(FIVE.topic, 2))
    assert record.value == b"bad"


async def test_other_streams_of_the_type_do_not_see_retried_records() -> None:
    broker = broker_with("bad")
    attempts = Attempts(lambda value, attempt: attempt < 2)
    async with retrying(broker, attempts) as listener:
        await all_finished(listener, 2)
        async with loops(await listener.subscribe(str, fresh=True)) as (loop,):
            fill(broker, ["bad"])
            await until(lambda: len(attempts.seen) == 4)
            await anyio.sleep(10.0)
            assert loop.seen == ["bad"]


async def test_a_retry_record_that_cannot_be_written_holds_its_record() -> None:
    broker = broker_with()
    attempts = Attempts(lambda value, attempt: attempt < 2)
    async with retrying(broker, attempts) as listener:
        broker.delete_topic(FIVE.topic)
        fill(broker, ["bad"])
        await until(lambda: bool(listener.status().processors["texts"].held))
        await anyio.sleep(100.0)
        await listener.commit()
        (held,) = listener.status().processors["texts"].held
        assert (held.to, held.purpose) == (FIVE.topic, "retry")
        assert broker.committed(GROUP, P0) in (None, 0)
        broker.create_topic(FIVE.topic)
        await all_finished(listener, 2)
        assert not listener.status().processors["texts"].held
    # The topic that appears has the group rebalance, which gives a held record back.
    assert attempts.seen[-1] == ("bad", 2)
    assert len(broker.records(FIVE)) == 1
    assert broker.committed(GROUP, P0) == 1


async def test_a_processor_that_begins_later_makes_its_topics_read() -> None:
    broker = broker_with("bad")
    attempts = Attempts(lambda value, attempt: attempt < 2)
    crashes: list[object] = []
    listener = processing_on(broker, on_event=crashes.append)
    async with listener, processing(listener, attempts, retry=TOPICS):
        await all_finished(listener, 2)
        assert listener.status().counters.restarts == 0
        assert {each.topic for each in listener.status().partitions} == {
            TOPIC,
            FIVE.topic,
            SIXTY.topic,
        }
        rebalances = listener.status().counters.rebalances
        async with processing(listener, attempts, retry=TOPICS):  # nothing is new
            await anyio.sleep(10.0)
        assert listener.status().counters.rebalances == rebalances
    assert broker.committed(GROUP, P0) == 1


async def test_others_are_drained_when_further_topics_are_to_be_read() -> None:
    broker = broker_with("slow", "next")
    other = TopicPartition("other", 0)
    broker.create_topic(other.topic)
    numbers = {"topics": [other.topic], "type": int, "parser": lambda r: int(r.value or b"")}
    seen: list[str] = []

    async def handle(value: str, delivery: Delivery[str]) -> None:
        await anyio.sleep(1.0)
        seen.append(value)

    listener = processing_on(broker, parsers=[TEXTS, numbers])
    async with listener, processing(listener, handle), anyio.create_task_group() as tasks:
        await until(lambda: any(each.running for each in listener.status().processors.values()))
        tasks.start_soon(partial(listener.process, int, Attempts(), retry=TOPICS))
        await all_finished(listener, 2)
        tasks.cancel_scope.cancel()
    assert seen == ["slow", "next"]


async def test_what_others_wrote_waits_no_longer_than_the_longest_delay() -> None:
    broker = broker_with()
    for topic in (FIVE.topic, SIXTY.topic):
        broker.create_topic(topic)
    attempts = Attempts(lambda value, attempt: False)
    async with retrying(broker, attempts) as listener:
        began = anyio.current_time()
        far = (1 << 62).to_bytes(8, "big")
        broker.produce(FIVE.topic, b"far", partition=0, headers=[(DUE, far), (ATTEMPTS, b"\xff")])
        await all_finished(listener, 1)
        assert 60.0 <= anyio.current_time() - began < 60.5
        broker.produce(FIVE.topic, b"plain", partition=0)
        broker.produce(FIVE.topic, b"odd", partition=0, headers=[(DUE, b""), (ATTEMPTS, b"abc")])
        forged = [("kafka_original-topic", b"secret"), (ATTEMPTS, b"\0\0\x7f\xff")]
        broker.produce(FIVE.topic, b"forged", partition=0, headers=forged)
        await all_finished(listener, 4)
        assert anyio.current_time() - began < 61.0
    assert attempts.seen == [("far", 1), ("plain", 1), ("odd", 1), ("forged", 32_767)]


async def test_the_dead_letters_topic_is_not_read_from_headers() -> None:
    broker = broker_with()
    for topic in (FIVE.topic, DLT.topic, "secret-dlt"):
        broker.create_topic(topic)
    headers = [
        ("kafka_original-topic", b"secret"),
        ("kafka_original-partition", b"\0\0\0\0"),
        ("kafka_original-offset", bytes(8)),
    ]
    retry = RetryTopics(5.0)
    async with retrying(broker, Attempts(), retry, on_failure=DeadLetter()) as listener:
        broker.produce(FIVE.topic, b"bad", partition=0, headers=headers)
        await all_finished(listener, 1)
    assert len(broker.records(DLT)) == 1
    assert not broker.records(TopicPartition("secret-dlt", 0))


async def test_limits_count_what_has_failed_for_good_alone() -> None:
    broker = broker_with(*(f"bad-{number}" for number in range(4)))
    broker.create_topic(DLT.topic)
    attempts = Attempts(bad_fails)
    policy = DeadLetter(max_consecutive=2)
    with pytest.raises(TooManyDeadLetters, match="3 records failed in a row"):
        async with retrying(broker, attempts, RetryTopics(5.0), on_failure=policy):
            await anyio.sleep_forever()
    assert len(broker.records(FIVE)) == 4
    assert len(broker.records(DLT)) == 2
    assert (broker.committed(GROUP, P0), broker.committed(GROUP, FIVE)) == (4, 2)


async def test_records_of_a_key_wait_for_each_other_in_a_retry_topic_too() -> None:
    broker = broker_with()
    for key, value in ((b"a", b"bad-1"), (b"a", b"bad-2"), (b"b", b"bad-3")):
        broker.produce(TOPIC, value, partition=0, key=key)
    running: list[str] = []

    async def handle(value: str, delivery: Delivery[str]) -> None:
        if delivery.attempt == 1:
            raise ValueError(value)
        running.append(value)
        assert {"bad-1", "bad-2"} - set(running), running
        await anyio.sleep(1.0)
        running.remove(value)

    async with retrying(broker, handle, order="key", on_failure=Skip()) as listener:
        await all_finished(listener, 6)
        assert listener.status().processors["texts"].failures == 0


async def test_batches_of_a_retry_topic_hold_what_is_due() -> None:
    broker = broker_with("bad-1", "bad-2")
    lists: list[tuple[list[str], list[int]]] = []

    async def handle(deliveries: list[Delivery[str]]) -> None:
        lists.append(([d.value for d in deliveries], [d.attempt for d in deliveries]))
        if deliveries[0].attempt == 1:
            raise ValueError("no")

    options: dict[str, Any] = {"batch": Batch(size=3, interval_s=0.5)}
    async with retrying(broker, handle, **options) as listener:
        await until(lambda: len(lists) == 1)
        await anyio.sleep(2.0)
        fill(broker, ["bad-3"])
        await until(lambda: len(lists) == 4)
        await all_finished(listener, 6)
    assert lists == [
        (["bad-1", "bad-2"], [1, 1]),
        (["bad-3"], [1]),
        (["bad-1", "bad-2"], [2, 2]),
        (["bad-3"], [2]),
    ]


async def test_two_processors_of_a_type_share_the_topics_of_the_delays_that_both_have() -> None:
    broker = broker_with(*(f"bad-{number}" for number in range(6)))
    one, other = (Attempts(lambda value, attempt: attempt == 1) for _ in range(2))
    listener = processing_on(broker)
    listener.processor(str, retry=TOPICS, order="none")(one)
    listener.processor(str, retry=RetryTopics(60.0), order="none")(other)
    async with listener:
        await all_finished(listener, 12)
    assert FIVE.topic not in other.topics


async def test_a_record_without_key_and_value_can_be_retried() -> None:
    broker = MemoryBroker({TOPIC: 1})
    broker.produce(TOPIC, None, partition=0)
    specs = [{"topics": [TOPIC], "type": str, "parser": lambda record: "nothing"}]
    attempts = Attempts(lambda value, attempt: attempt < 2)
    listener = processing_on(broker, parsers=specs)
    listener.processor(str, retry=TOPICS)(attempts)
    async with listener:
        await all_finished(listener, 2)
    (retried,) = broker.records(TopicPartition(FIVE.topic, 0))
    assert retried.value is retried.key is None


async def test_retry_topics_are_created_once_their_first_topic_exists() -> None:
    broker = MemoryBroker()
    attempts = Attempts(lambda value, attempt: attempt < 2)
    async with retrying(broker, attempts) as listener:
        assert partition_count(broker, FIVE.topic) == 0
        broker.create_topic(TOPIC, 2)
        fill(broker, ["bad"])
        await all_finished(listener, 2)
    assert partition_count(broker, FIVE.topic) == 2


@pytest.mark.parametrize("error", [AuthorizationFailed("no CREATE"), ConfigurationError("policy")])
async def test_topics_that_may_not_be_created_are_all_named(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(self: MemoryProducer, *arguments: Any) -> bool:
        raise error

    monkeypatch.setattr(MemoryProducer, "create_topic", refuse)
    broker = broker_with("bad", partitions=3)
    text = rf"'{FIVE.topic}' \(with 3 partitions\), '{SIXTY.topic}' .* (no CREATE|policy)"
    with pytest.raises(type(error), match=text) as raised:
        async with retrying(broker, Attempts()):
            pytest.fail("entered")
    assert not isinstance(raised.value, BaseExceptionGroup)
    async with processing_on(broker) as listener:
        with pytest.raises(type(error), match=text):
            await listener.process(str, Attempts(), retry=TOPICS)


async def test_retry_topics_need_a_producer_and_topics_of_their_own() -> None:
    broker = broker_with("a")
    alone = KafkaListener([TEXTS], transport=broker.connect(GROUP))
    alone.processor(str, retry=TOPICS)(Attempts())
    with pytest.raises(ConfigurationError, match="producer_factory"):
        async with alone:
            pytest.fail("entered")
    both = [TEXTS, {"topics": [FIVE.topic], "type": int, "parser": parse_text}]
    async with processing_on(broker, parsers=both) as listener:
        with pytest.raises(ConfigurationError, match="reads 'topic-retry-5000' by itself"):
            await listener.process(str, Attempts(), retry=TOPICS)
    long = [{"topics": ["x" * 245], "type": str, "parser": parse_text}]
    async with processing_on(broker, parsers=long) as listener:
        with pytest.raises(ConfigurationError, match="cannot be a retry topic"):
            await listener.process(str, Attempts(), retry=TOPICS)


@pytest.mark.parametrize("delays", [(), (0,), (5.0, 5.0001), (True,), (float("inf"),), ("5",)])
async def test_delays_that_cannot_be_are_refused(delays: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigurationError):
        RetryTopics(*delays)


async def test_topics_are_named_as_spring_names_them() -> None:
    policy = RetryTopics(5.0, 0.25, 600)
    names = [policy.topic("orders", number) for number in range(3)]
    assert names == ["orders-retry-5000", "orders-retry-250", "orders-retry-600000"]


async def test_a_listener_without_a_clock_of_its_own_goes_by_the_wall_time() -> None:
    broker = broker_with("bad")
    attempts = Attempts(lambda value, attempt: attempt < 2)
    async with retrying(broker, attempts) as listener:
        await all_finished(listener, 2)
    (record,) = broker.records(FIVE)
    due_ms = int.from_bytes(dict(record.headers)[DUE], "big")
    assert abs(due_ms / 1000 - time.time()) < 60.0


async def test_entering_without_a_broker_fails_in_time() -> None:
    broker = broker_with("bad")
    broker.down()
    listener = processing_on(broker, start_timeout=2.0)
    listener.processor(str, retry=TOPICS)(Attempts())
    began = anyio.current_time()
    with pytest.raises(BrokerUnreachable):
        async with listener:
            pytest.fail("entered")
    assert anyio.current_time() - began < 5.0


async def test_a_record_that_waits_while_its_partition_is_taken_away_is_tried_once_elsewhere() -> (
    None
):
    broker = broker_with(partitions=4)
    for partition in range(4):
        fill(broker, [f"bad-{partition}-{number}" for number in range(25)], partition=partition)
    attempts = Attempts(lambda value, attempt: attempt < 3)
    one, other = processing_on(broker), processing_on(broker)
    for each in (one, other):
        each.processor(str, retry=RetryTopics(5.0, 20.0), order="none", concurrency=50)(attempts)
    async with one:
        await until(lambda: len(attempts.seen) == 100)
        await anyio.sleep(3.0)
        async with other:
            await until(lambda: len(attempts.seen) >= 200)
            await anyio.sleep(10.0)
        await until(lambda: len(attempts.seen) >= 300)
        await until(lambda: one.status().counters.finished >= 1)
    for attempt in (1, 2, 3):
        tried = sorted(value for value, number in attempts.seen if number == attempt)
        assert tried == sorted(f"bad-{p}-{number}" for p in range(4) for number in range(25))
    for topic in (TOPIC, f"{TOPIC}-retry-5000", f"{TOPIC}-retry-20000"):
        committed = [broker.committed(GROUP, TopicPartition(topic, p)) for p in range(4)]
        assert committed == [25] * 4
