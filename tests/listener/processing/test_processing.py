"""Processing: handlers side by side, order, retries, and what becomes of failures."""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener, Restarts, TopicPartition
from sdml_kafka.errors import (
    ConfigurationError,
    ConsumerFailed,
    TooManyDeadLetters,
    UnknownType,
)
from sdml_kafka.listener.processing.forwards import Held
from sdml_kafka.listener.processing.policies import (
    Batch,
    DeadLetter,
    Retry,
    RetryTopics,
    Send,
    Stop,
)
from sdml_kafka.parsing.parsers import Skip
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, P1, TOPIC, broker_with, fill, listener_on
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

DLT = TopicPartition(f"{TOPIC}-dlt", 0)


class Recorder:
    """A handler that takes some time, and notes what it saw and how many ran at once."""

    def __init__(
        self, work_s: float = 0.0, fails: Callable[[str, int], bool] | None = None
    ) -> None:
        self.work_s = work_s
        self.fails = fails
        self.seen: list[str] = []
        self.attempts: list[int] = []
        self.running = self.most = 0

    async def __call__(self, value: str, delivery: Delivery[str]) -> None:
        assert delivery.value == value
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.work_s:
                await anyio.sleep(self.work_s)
            if self.fails is not None and self.fails(value, delivery.attempt):
                raise ValueError(f"cannot do {value}")
        finally:
            self.running -= 1
        self.seen.append(value)
        self.attempts.append(delivery.attempt)


def held_by(listener: KafkaListener) -> list[Held]:
    return [held for each in listener.status().processors.values() for held in each.held]


async def test_records_of_a_partition_are_handled_one_after_another() -> None:
    broker = broker_with(*"abcd", partitions=2)
    fill(broker, "ABCD", partition=1)
    record = Recorder(1.0)
    began = anyio.current_time()
    async with processing_on(broker) as listener, processing(listener, record):
        await until(lambda: len(record.seen) == 8)
        assert record.most == 2
        assert [each for each in record.seen if each.islower()] == list("abcd")
        assert 4.0 <= anyio.current_time() - began < 5.0
    assert (broker.committed(GROUP, P0), broker.committed(GROUP, P1)) == (4, 4)


async def test_concurrency_bounds_the_handlers_over_all_partitions() -> None:
    broker = broker_with(*map(str, range(40)), partitions=2)
    fill(broker, range(40, 80), partition=1)
    record = Recorder(1.0)
    began = anyio.current_time()
    async with (
        processing_on(broker) as listener,
        processing(listener, record, order="none", concurrency=8),
    ):
        await until(lambda: len(record.seen) == 80)
    assert record.most == 8
    assert 10.0 <= anyio.current_time() - began < 11.0


async def test_keys_go_side_by_side_and_a_hot_key_holds_up_its_own_records_alone() -> None:
    broker = broker_with()
    for number in range(20):
        broker.produce(TOPIC, f"hot-{number}".encode(), partition=0, key=b"hot")
        broker.produce(TOPIC, f"{number}".encode(), partition=0, key=b"%d" % number)
    record = Recorder(1.0)
    began = anyio.current_time()
    async with (
        processing_on(broker) as listener,
        processing(listener, record, order="key", concurrency=10),
    ):
        await until(lambda: len(record.seen) == 40)
    assert [each for each in record.seen if each.startswith("hot")] == [
        f"hot-{number}" for number in range(20)
    ]
    assert 20.0 <= anyio.current_time() - began < 21.0
    assert broker.committed(GROUP, P0) == 40


async def test_a_failed_record_is_tried_again_in_place() -> None:
    broker = broker_with(*"abc", partitions=2)
    fill(broker, "ABC", partition=1)
    record = Recorder(fails=lambda value, attempt: value == "b" and attempt < 3)
    retry = Retry(attempts=3, backoff_s=10.0, multiplier=2.0, jitter=0.0)
    began = anyio.current_time()
    async with processing_on(broker) as listener, processing(listener, record, retry=retry):
        await until(lambda: len(record.seen) == 6)
        assert 30.0 <= anyio.current_time() - began < 31.0
        assert [each for each in record.seen if each.islower()] == list("abc")
        assert record.seen.index("C") < record.seen.index("b")  # other lanes went on
        status = listener.status().processors["Recorder"]
        assert (status.retries, status.failures, status.finished) == (2, 0, 6)


async def test_a_record_that_fails_for_good_stops_the_listener_and_comes_again() -> None:
    broker = broker_with(*"abc")
    record = Recorder(fails=lambda value, attempt: value == "b")
    with pytest.raises(ValueError, match="cannot do b") as raised:
        async with processing_on(broker) as listener:
            await listener.process(str, record, on_failure=Stop())
            await anyio.sleep_forever()
    assert not isinstance(raised.value, BaseExceptionGroup)
    assert record.seen == ["a"]
    assert broker.committed(GROUP, P0) == 1
    again = Recorder()
    async with processing_on(broker) as listener, processing(listener, again):
        await until(lambda: again.seen == ["b", "c"])


async def test_a_failed_record_goes_to_the_dead_letters_and_is_finished() -> None:
    broker = broker_with()
    broker.create_topic(DLT.topic)
    broker.produce(TOPIC, b"bad", partition=0, key=b"k", headers=[("trace", b"1")])
    fill(broker, ["good"])
    record = Recorder(fails=lambda value, attempt: value == "bad")
    async with (
        processing_on(broker) as listener,
        processing(listener, record, on_failure=DeadLetter()),
    ):
        await until(lambda: record.seen == ["good"])
        await until(lambda: listener.status().counters.finished == 2)
        assert listener.status().processors["Recorder"].dead_letters == 1
    assert broker.committed(GROUP, P0) == 2
    (letter,) = broker.records(DLT)
    headers = dict(letter.headers)
    assert (letter.key, letter.value, headers["trace"]) == (b"k", b"bad", b"1")
    assert headers["kafka_dlt-original-topic"] == TOPIC.encode()
    assert headers["kafka_dlt-original-offset"] == (0).to_bytes(8, "big")
    assert headers["kafka_dlt-original-consumer-group"] == GROUP.encode()
    assert headers["kafka_dlt-exception-fqcn"] == b"builtins.ValueError"
    assert headers["kafka_dlt-exception-message"] == b"cannot do bad"


async def test_a_dead_letter_that_cannot_be_written_holds_its_record_until_it_can() -> None:
    broker = broker_with("bad", "good", partitions=2)
    fill(broker, ["other"], partition=1)
    record = Recorder(fails=lambda value, attempt: value == "bad")
    async with (
        processing_on(broker) as listener,
        processing(listener, record, on_failure=DeadLetter()),
    ):
        await until(lambda: held_by(listener))
        (held,) = held_by(listener)
        assert (held.topic, held.partition, held.offset, held.to) == (TOPIC, 0, 0, DLT.topic)
        await until(lambda: record.seen == ["other"])
        await anyio.sleep(60.0)
        await listener.commit()
        assert broker.committed(GROUP, P0) == 0
        broker.create_topic(DLT.topic)
        await until(lambda: "good" in record.seen)
        assert held_by(listener) == []
    assert broker.committed(GROUP, P0) == 2


async def test_a_skipped_failure_is_finished() -> None:
    broker = broker_with("bad", "good")
    record = Recorder(fails=lambda value, attempt: value == "bad")
    async with (
        processing_on(broker) as listener,
        processing(listener, record, on_failure=Skip()),
    ):
        await until(lambda: record.seen == ["good"])
        await until(lambda: listener.status().counters.finished == 2)
    assert broker.committed(GROUP, P0) == 2


async def test_too_many_failures_in_a_row_stop_the_listener() -> None:
    broker = broker_with(*map(str, range(20)))
    broker.create_topic(DLT.topic)
    record = Recorder(fails=lambda value, attempt: True)
    with pytest.raises(TooManyDeadLetters, match="6 records failed in a row") as raised:
        async with processing_on(broker) as listener:
            await listener.process(str, record, on_failure=DeadLetter(max_consecutive=5))
            await anyio.sleep_forever()
    assert isinstance(raised.value.__cause__, ValueError)
    assert len(broker.records(DLT)) == 5
    assert broker.committed(GROUP, P0) == 5


async def test_the_policy_may_be_a_function() -> None:
    broker = broker_with("bad", "worse", "good")
    broker.create_topic(DLT.topic)

    def choose(delivery: Delivery[Any], error: Exception) -> Skip | DeadLetter:
        return Skip() if delivery.value == "bad" else DeadLetter()

    record = Recorder(fails=lambda value, attempt: value != "good")
    async with (
        processing_on(broker) as listener,
        processing(listener, record, on_failure=choose),
    ):
        await until(lambda: record.seen == ["good"])
    assert [each.value for each in broker.records(DLT)] == [b"worse"]


async def test_what_a_handler_returns_is_sent_before_its_record_is_finished() -> None:
    broker = broker_with("a", "b")
    broker.create_topic("out")

    async def handle(value: str, delivery: Delivery[str]) -> Send | list[Send]:
        one = Send("out", value.encode(), key=b"k", headers=[("h", b"1")], timestamp_ms=1234)
        return one if value == "a" else [one, one]

    async with processing_on(broker) as listener, processing(listener, handle):
        await until(lambda: listener.status().counters.finished == 2)
        sent = broker.records(TopicPartition("out", 0))
        assert [each.value for each in sent] == [b"a", b"b", b"b"]
        assert {each.timestamp for each in sent} == {1234}


async def test_a_send_that_is_refused_fails_its_record() -> None:
    broker = broker_with("a", "b")

    async def handle(value: str, delivery: Delivery[str]) -> Send | None:
        return Send("missing", b"x") if value == "a" else None

    async with (
        processing_on(broker) as listener,
        processing(listener, handle, on_failure=Skip()),
    ):
        await until(lambda: listener.status().counters.finished == 2)
        (status,) = listener.status().processors.values()
        assert status.failures == 1


async def test_records_that_wait_for_an_attempt_are_given_back_at_a_hand_over() -> None:
    broker = broker_with(*"ab")
    first, second = Recorder(fails=lambda value, attempt: True), Recorder()
    retry = Retry(attempts=5, backoff_s=1000.0, max_backoff_s=1000.0)
    leaving, other = processing_on(broker), processing_on(broker)
    async with anyio.create_task_group() as tasks:
        async with leaving:
            tasks.start_soon(partial(leaving.process, str, first, retry=retry))
            await until(lambda: any(p.retries for p in leaving.status().processors.values()))
            began = anyio.current_time()
        assert anyio.current_time() - began < 1.0
        async with other, processing(other, second):
            await until(lambda: second.seen == ["a", "b"])


async def test_a_handler_that_does_not_end_is_cut_off_after_the_drain() -> None:
    broker = broker_with("slow")
    ended: list[str] = []

    async def handle(value: str, delivery: Delivery[str]) -> None:
        try:
            await anyio.sleep(1000.0)
        finally:
            ended.append(value)

    began = anyio.current_time()
    async with (
        anyio.create_task_group() as tasks,
        processing_on(broker, drain_timeout=2.0) as listener,
    ):
        tasks.start_soon(listener.process, str, handle)
        await until(lambda: listener.status().processors)
        await anyio.sleep(1.0)
    assert ended == ["slow"]
    assert 3.0 <= anyio.current_time() - began < 4.0
    assert broker.committed(GROUP, P0) == 0


async def test_a_handler_in_hand_finishes_while_the_listener_is_left() -> None:
    broker = broker_with("slow", "next")
    seen: list[str] = []

    async def handle(value: str, delivery: Delivery[str]) -> None:
        await anyio.sleep(1.0)
        seen.append(value)

    async with anyio.create_task_group() as tasks, processing_on(broker) as listener:
        tasks.start_soon(listener.process, str, handle)
        await until(lambda: listener.status().processors)
        await anyio.sleep(0.5)
    assert seen == ["slow"]
    assert broker.committed(GROUP, P0) == 1


async def test_processing_that_is_cancelled_gives_its_records_back_to_the_next() -> None:
    broker = broker_with(*"abcd")
    stuck, record = Recorder(1000.0), Recorder()
    async with processing_on(broker) as listener:
        first = processing(listener, stuck)
        async with first:
            await until(lambda: stuck.running == 1)
        assert listener.status().processors == {}
        async with processing(listener, record):
            await until(lambda: record.seen == list("abcd"))
    assert broker.committed(GROUP, P0) == 4


async def test_processors_are_declared_before_entering() -> None:
    broker = broker_with(*"abc")
    listener = processing_on(broker)
    seen: list[str] = []

    @listener.processor(str, order="none", name="texts")
    async def handle(value: str, delivery: Delivery[str]) -> None:
        seen.append(value)

    async with listener:
        await until(lambda: sorted(seen) == list("abc"))
        assert listener.status().processors["texts"].finished == 3
        with pytest.raises(ConfigurationError, match="was entered"):
            listener.processor(str)(handle)
    assert broker.committed(GROUP, P0) == 3


async def test_a_failure_of_a_declared_processor_comes_out_once_and_as_itself() -> None:
    broker = broker_with("bad")
    listener = processing_on(broker)
    listener.processor(str)(Recorder(fails=lambda value, attempt: True))
    with pytest.raises(ValueError, match="cannot do bad"):
        async with listener:
            await anyio.sleep_forever()


async def test_plain_functions_run_in_threads() -> None:
    broker = broker_with(*"abc")
    seen: list[str] = []

    def handle(value: str, delivery: Delivery[str]) -> None:
        seen.append(value)

    async with processing_on(broker) as listener, processing(listener, handle):
        await until(lambda: seen == list("abc"))
        await until(lambda: listener.status().counters.finished == 3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"order": "value"}, "order is one of"),
        ({"null_key": "x"}, "null_key"),
        ({"null_key": "partition"}, "order='key'"),
        ({"order": "none", "null_key": "free"}, "order='key'"),
        ({"retry": 3}, "retry is a Retry"),
        ({"on_failure": DeadLetter}, "on_failure is"),
        ({"on_failur": Stop()}, "on_failur"),
    ],
)
async def test_options_that_cannot_work_are_refused(options: dict[str, Any], text: str) -> None:
    listener = processing_on(broker_with())
    with pytest.raises(ConfigurationError, match=text):
        listener.processor(str, **options)(Recorder())


async def test_handlers_that_cannot_work_are_refused() -> None:
    listener = processing_on(broker_with())

    async def no_delivery(value: str) -> None: ...

    async def generator(value: str, delivery: object) -> Any:
        yield value

    for handler in (no_delivery, generator, 3):
        with pytest.raises(ConfigurationError):
            listener.processor(str)(handler)  # type: ignore[arg-type]
    with pytest.raises(UnknownType):
        listener.processor(int)


async def test_dead_letters_without_a_producer_are_refused() -> None:
    broker = broker_with("a")
    listener = KafkaListener(
        [{"topics": [TOPIC], "type": str, "parser": lambda record: "x"}],
        transport=broker.connect(GROUP),
    )
    async with listener:
        with pytest.raises(ConfigurationError, match="producer_factory"):
            await listener.process(str, Recorder(), on_failure=DeadLetter())


async def returns_a_send(value: str, delivery: Delivery[str]) -> Send:
    return Send("out", value.encode())


async def fails(value: str, delivery: Delivery[str]) -> None:
    raise ValueError(value)


@pytest.mark.parametrize("handler", [returns_a_send, fails])
async def test_what_turns_out_to_need_a_producer_stops_a_listener_without_one(
    handler: Callable[..., Any],
) -> None:
    broker = broker_with("a")
    listener = listener_on(broker)
    with anyio.fail_after(10), pytest.raises(ConfigurationError, match="producer_factory"):
        async with listener:
            await listener.process(str, handler, on_failure=lambda *_: DeadLetter())
            await anyio.sleep_forever()
    assert not broker.committed(GROUP, P0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"on_failure": DeadLetter("x" * 240 + "{topic}")}, r"DeadLetter\(topic='x*{topic}'\)"),
        ({"retry": RetryTopics(5.0)}, "RetryTopics makes .* of 'y*'"),
    ],
)
async def test_a_topic_that_cannot_be_is_refused_on_entering(
    options: dict[str, Any], text: str
) -> None:
    topic = "y" * 245
    spec = {"topics": [topic], "type": str, "parser": lambda record: "x"}
    listener = processing_on(MemoryBroker({topic: 1}), parsers=[spec])
    listener.processor(str, **options)(Recorder())
    with pytest.raises(ConfigurationError, match=f"{text}.*249"):
        async with listener:
            pass
    with pytest.raises(ConfigurationError, match="DeadLetter"):
        parse_failures = DeadLetter("x" * 240 + "{topic}")
        processing_on(broker_with(), parsers=[spec], on_parse_error=parse_failures)


class Lists:
    """A handler of batches that notes what it got."""

    def __init__(self, work: Callable[[list[Delivery[str]]], object] = lambda batch: None) -> None:
        self.work = work
        self.seen: list[list[str]] = []
        self.attempts: list[int] = []

    async def __call__(self, deliveries: list[Delivery[str]]) -> object:
        self.seen.append([each.value for each in deliveries])
        self.attempts.append(deliveries[0].attempt)
        await anyio.sleep(0.01)
        return self.work(deliveries)


async def test_batches_are_full_or_due() -> None:
    broker = broker_with(*map(str, range(7)), partitions=2)
    fill(broker, "A", partition=1)
    lists = Lists()
    began = anyio.current_time()
    options = {"batch": Batch(size=3, interval_s=5.0), "concurrency": 2}
    async with processing_on(broker) as listener, processing(listener, lists, **options):
        await until(lambda: len(lists.seen) == 4)
        assert sorted(lists.seen) == [["0", "1", "2"], ["3", "4", "5"], ["6"], ["A"]]
        assert 5.0 <= anyio.current_time() - began < 6.0
        await until(lambda: listener.status().counters.finished == 8)
    assert (broker.committed(GROUP, P0), broker.committed(GROUP, P1)) == (7, 1)


async def test_single_records_of_a_batch_may_fail() -> None:
    broker = broker_with(*"abcd")
    broker.create_topic(DLT.topic)

    def work(deliveries: list[Delivery[str]]) -> None:
        for each in deliveries:
            if each.value in "bd":
                each.fail(ValueError(each.value))

    lists = Lists(work)
    retry = Retry(attempts=2, backoff_s=1.0)
    options = {"batch": Batch(size=4), "retry": retry, "on_failure": DeadLetter()}
    async with processing_on(broker) as listener, processing(listener, lists, **options):
        await until(lambda: listener.status().counters.finished == 4)
    assert lists.seen == [list("abcd"), list("bd")]
    assert lists.attempts == [1, 2]
    assert [each.value for each in broker.records(DLT)] == [b"b", b"d"]
    assert broker.committed(GROUP, P0) == 4


async def test_an_error_fails_what_a_batch_has_not_settled() -> None:
    broker = broker_with(*"abc")

    def work(deliveries: list[Delivery[str]]) -> None:
        deliveries[0].done()
        raise ValueError("no more")

    lists = Lists(work)
    options = {"batch": Batch(size=3), "on_failure": Skip()}
    async with processing_on(broker) as listener, processing(listener, lists, **options):
        await until(lambda: listener.status().counters.finished == 3)
        (status,) = listener.status().processors.values()
        assert (status.finished, status.failures) == (1, 2)


async def test_what_a_batch_returns_is_sent_before_any_of_it_is_finished() -> None:
    broker = broker_with(*"abc")

    async def handle(deliveries: list[Delivery[str]]) -> Send:
        return Send("out", b"".join(each.value.encode() for each in deliveries))

    options: dict[str, Any] = {"batch": Batch(size=3)}
    async with processing_on(broker) as listener:
        with anyio.move_on_after(30.0):
            await listener.process(str, handle, on_failure=Skip(), **options)
        assert listener.status().counters.finished == 3
    broker.create_topic("out")
    fill(broker, "def")
    async with processing_on(broker) as listener:
        with anyio.move_on_after(30.0):
            await listener.process(str, handle, **options)
    assert [each.value for each in broker.records(TopicPartition("out", 0))] == [b"def"]


async def test_processing_returns_though_the_consumer_has_died() -> None:
    broker = broker_with("a")
    record = Recorder(fails=lambda value, attempt: True)
    retry = Retry(attempts=3, backoff_s=1000.0, max_backoff_s=1000.0)
    listener = processing_on(broker, restarts=Restarts(backoff_s=60.0, backoff_max_s=60.0))
    async with anyio.create_task_group() as tasks:
        async with listener:
            tasks.start_soon(partial(listener.process, str, record, retry=retry))
            await until(lambda: any(p.retries for p in listener.status().processors.values()))
            broker.fail_next_poll(ConsumerFailed("died"))
            await until(lambda: not listener.status().connected)
            began = anyio.current_time()
        assert anyio.current_time() - began < 1.0
    assert listener.status().processors == {}


async def test_a_record_that_is_to_begin_again_does_not_hold_up_a_hand_over() -> None:
    broker = broker_with("slow", "failing")
    broker.add_partitions(TOPIC, 2)
    seen: list[str] = []

    async def handle(value: str, delivery: Delivery[str]) -> None:
        seen.append(value)
        if value == "slow":
            await anyio.sleep(2.0)
        elif delivery.attempt == 1:
            raise ValueError(value)

    # One handler at a time: the second attempt is due long before the slow handler has ended.
    options = {"order": "none", "concurrency": 1, "retry": Retry(attempts=2, backoff_s=0.0)}
    async with anyio.create_task_group() as tasks:
        async with processing_on(broker, drain_timeout=10.0) as listener:
            broker.produce(TOPIC, b"failing", partition=0)
            broker.produce(TOPIC, b"slow", partition=0)
            tasks.start_soon(partial(listener.process, str, handle, **options))
            await until(lambda: seen.count("slow") == 2)
            began = anyio.current_time()
        assert anyio.current_time() - began < 3.0
