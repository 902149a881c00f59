"""What counts as a failure, and what is written of it."""

from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener, TopicPartition
from sdml_kafka.errors import ConfigurationError, TooManyDeadLetters
from sdml_kafka.listener.processing.forwards import Held
from sdml_kafka.listener.processing.policies import Batch, DeadLetter, Retry, RetryTopics, Send
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.records import Record
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

DLT = TopicPartition(f"{TOPIC}-dlt", 0)


def grouped(error: Exception) -> Exception:
    """Return the error as a task group within a task group raises it."""
    return ExceptionGroup("outer", [ExceptionGroup("inner", [error])])


@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_group_of_one_error_stands_for_that_error(is_batch: bool) -> None:
    broker, seen = broker_with("a"), list[Exception]()
    broker.create_topic(DLT.topic)

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise grouped(KeyError("x") if delivery.attempt == 1 else ValueError("it is bad"))

    async def handle_batch(deliveries: list[Delivery[str]]) -> None:
        await handle("", deliveries[0])

    def choose(delivery: Delivery[Any], error: Exception) -> DeadLetter:
        seen.append(error)
        return DeadLetter()

    retry = Retry(attempts=5, on=(LookupError,), backoff_s=0.1)
    options: dict[str, Any] = {"batch": Batch(size=1)} if is_batch else {}
    function = handle_batch if is_batch else handle
    async with (
        processing_on(broker) as listener,
        processing(listener, function, retry=retry, on_failure=choose, **options),
    ):
        await until(lambda: broker.records(DLT))
    assert [type(error) for error in seen] == [ValueError]
    (letter,) = broker.records(DLT)
    headers = dict(letter.headers)
    assert headers["kafka_dlt-exception-fqcn"] == b"builtins.ValueError"
    assert headers["kafka_dlt-exception-message"] == b"it is bad"
    assert headers["sdml_kafka-attempts"] == b"2"


async def test_a_failed_record_of_a_batch_may_be_failed_with_a_group() -> None:
    broker = broker_with("a")
    broker.create_topic(DLT.topic)

    async def handle(deliveries: list[Delivery[str]]) -> None:
        deliveries[0].fail(grouped(ValueError("bad")))

    options: dict[str, Any] = {"batch": Batch(size=1), "on_failure": DeadLetter()}
    async with processing_on(broker) as listener, processing(listener, handle, **options):
        await until(lambda: broker.records(DLT))
    (letter,) = broker.records(DLT)
    assert dict(letter.headers)["kafka_dlt-exception-fqcn"] == b"builtins.ValueError"


async def test_a_group_of_several_errors_stays_a_group() -> None:
    broker = broker_with("a")
    broker.create_topic(DLT.topic)

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ExceptionGroup("two", [ValueError(), KeyError()])

    async with (
        processing_on(broker) as listener,
        processing(listener, handle, on_failure=DeadLetter()),
    ):
        await until(lambda: broker.records(DLT))
    (letter,) = broker.records(DLT)
    assert dict(letter.headers)["kafka_dlt-exception-fqcn"] == b"builtins.ExceptionGroup"


def half_parsed(record: Record) -> str:
    """Return every other record as text; leave out the rest, or fail."""
    if record.offset % 4 == 1:
        raise SKIP
    if record.offset % 4 == 3:
        raise ValueError("it cannot be parsed")
    return str(record.offset)


@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_record_that_was_not_handled_does_not_begin_the_count_anew(is_batch: bool) -> None:
    broker = broker_with(*map(str, range(20)))
    broker.create_topic(DLT.topic)
    parsers: list[Any] = [{"topics": [TOPIC], "type": str, "parser": half_parsed}]

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError(value)

    async def handle_batch(deliveries: list[Delivery[str]]) -> None:
        raise ValueError("all")

    options: dict[str, Any] = {"batch": Batch(size=1)} if is_batch else {}
    function = handle_batch if is_batch else handle
    with pytest.raises(TooManyDeadLetters, match="4 records failed in a row"):
        async with processing_on(broker, parsers=parsers) as listener:
            policy = DeadLetter(max_consecutive=3)
            await listener.process(str, function, on_failure=policy, **options)
            await anyio.sleep_forever()
    assert [each.offset for each in broker.records(DLT)] == [0, 1, 2]
    assert broker.committed(GROUP, P0) == 6


async def test_a_record_that_was_not_handled_is_no_part_of_the_ratio() -> None:
    broker = broker_with(*map(str, range(60)))
    broker.create_topic(DLT.topic)
    parsers: list[Any] = [{"topics": [TOPIC], "type": str, "parser": half_parsed}]

    async def handle(value: str, delivery: Delivery[str]) -> None:
        if int(value) % 4 == 0:
            raise ValueError(value)

    with pytest.raises(TooManyDeadLetters, match="max_ratio"):
        async with processing_on(broker, parsers=parsers) as listener:
            policy = DeadLetter(max_ratio=0.4)  # half of the handled ones, a quarter of all
            await listener.process(str, handle, on_failure=policy)
            await anyio.sleep_forever()


async def test_what_was_left_out_has_not_ended_well() -> None:
    broker = broker_with(*map(str, range(8)))
    parsers: list[Any] = [{"topics": [TOPIC], "type": str, "parser": half_parsed}]

    async def handle(value: str, delivery: Delivery[str]) -> None: ...

    async with processing_on(broker, parsers=parsers) as listener, processing(listener, handle):
        await until(lambda: listener.status().counters.finished == 8)
        (status,) = listener.status().processors.values()
    assert (status.finished, status.failures) == (4, 0)
    assert broker.committed(GROUP, P0) == 8


@pytest.mark.parametrize("retry", [Retry(attempts=1), RetryTopics(5.0)])
async def test_a_record_that_is_too_large_with_all_headers_is_written_with_fewer(
    retry: Retry | RetryTopics,
) -> None:
    broker = MemoryBroker({TOPIC: 1}, auto_create=1, max_record_bytes=3000)
    broker.produce(TOPIC, b"x" * 2000, partition=0, headers=[("own", b"1")])

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError("ö" * 1000)

    async with (
        processing_on(broker) as listener,
        processing(listener, handle, retry=retry, on_failure=DeadLetter()),
    ):
        await until(lambda: broker.committed(GROUP, P0) == 1)
        if isinstance(retry, RetryTopics):
            await until(lambda: broker.end_offset(DLT) == 1)
    (letter,) = broker.records(DLT)
    headers = dict(letter.headers)
    prefix = "kafka_" if isinstance(retry, RetryTopics) else "kafka_dlt-"
    assert headers["own"] == b"1"
    assert headers[f"{prefix}exception-fqcn"] == b"builtins.ValueError"
    assert headers[f"{prefix}exception-message"] == "ö".encode() * 50
    assert f"{prefix}exception-stacktrace" not in headers


async def test_a_record_that_is_too_large_with_the_fewest_headers_is_held() -> None:
    broker = MemoryBroker({TOPIC: 1, DLT.topic: 1}, max_record_bytes=3000)
    broker.produce(TOPIC, b"x" * 2999, partition=0)

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError(value)

    async with (
        processing_on(broker) as listener,
        processing(listener, handle, on_failure=DeadLetter()),
    ):
        await until(lambda: _held(listener))
        (held,) = _held(listener)
        assert "too large" in held.why
    assert (broker.committed(GROUP, P0) or 0) == 0


async def test_a_send_that_is_too_large_is_sent_as_it_is_or_not_at_all() -> None:
    broker = MemoryBroker({TOPIC: 1, "out": 1, DLT.topic: 1}, max_record_bytes=3000)
    broker.produce(TOPIC, b"a", partition=0)

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        return Send("out", b"x", headers=[("kafka_dlt-exception-stacktrace", b"x" * 3000)])

    async with (
        processing_on(broker) as listener,
        processing(listener, handle, on_failure=DeadLetter()),
    ):
        await until(lambda: broker.end_offset(DLT) == 1)
    assert broker.end_offset(TopicPartition("out", 0)) == 0


def _held(listener: KafkaListener) -> list[Held]:
    return [held for each in listener.status().processors.values() for held in each.held]


async def test_a_send_that_waits_for_the_broker_is_no_failure() -> None:
    broker = MemoryBroker({TOPIC: 1, "out": 1})
    broker.produce(TOPIC, b"a", partition=0)
    handled = 0

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        nonlocal handled
        handled += 1
        return Send("out", b"x")

    broker.hold_sends()
    async with processing_on(broker) as listener, processing(listener, handle):
        await until(lambda: handled)
        await anyio.sleep(100.0)
        (status,) = listener.status().processors.values()
        assert (status.finished, status.failures, status.retries) == (0, 0, 0)
        assert not broker.committed(GROUP, P0)
        broker.release_sends()
        await until(lambda: broker.committed(GROUP, P0) == 1)
    assert (handled, broker.end_offset(TopicPartition("out", 0))) == (1, 1)


@pytest.mark.parametrize("applied", [False, True])
async def test_a_send_that_is_not_acknowledged_is_sent_again(applied: bool) -> None:
    broker = MemoryBroker({TOPIC: 1, "out": 1})
    broker.produce(TOPIC, b"a", partition=0)
    handled = 0

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        nonlocal handled
        handled += 1
        return Send("out", b"x")

    broker.fail_sends(times=3, applied=applied)
    async with processing_on(broker) as listener, processing(listener, handle):
        await until(lambda: broker.committed(GROUP, P0) == 1)
    assert (handled, broker.end_offset(TopicPartition("out", 0))) == (1, 4 if applied else 1)


async def test_a_record_whose_next_attempt_is_due_is_given_back_once() -> None:
    broker, calls = broker_with("a", "b"), list[str]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        calls.append(value)
        if value == "b":
            await anyio.sleep_forever()
        raise ValueError(value)

    async def handle_anew(value: str, delivery: Delivery[str]) -> None:
        calls.append(f"{value} anew")

    retry = Retry(attempts=9, backoff_s=1.0, jitter=0.0)
    async with processing_on(broker) as listener:
        async with processing(listener, handle, order="none", concurrency=1, retry=retry):
            await anyio.sleep(2.0)
        async with processing(listener, handle_anew):
            await until(lambda: broker.committed(GROUP, P0) == 2)
    assert calls == ["a", "b", "a anew", "b anew"]


async def test_a_policy_function_that_returns_something_else_stops_the_listener() -> None:
    broker = broker_with("a")

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError(value)

    with pytest.raises(ConfigurationError, match="on_failure returned 7"):
        async with processing_on(broker) as listener:
            await listener.process(str, handle, on_failure=lambda *_: 7)  # type: ignore[arg-type]
            await anyio.sleep_forever()
    assert not broker.committed(GROUP, P0)


@pytest.mark.parametrize(
    "wrong", ["text", ValueError, None, anyio.EndOfStream, KeyboardInterrupt(), 7]
)
@pytest.mark.parametrize("is_batch", [False, True])
async def test_a_record_that_is_failed_with_no_exception_has_not_finished(
    wrong: Any, is_batch: bool
) -> None:
    broker = broker_with("a")

    async def handle(value: str, delivery: Delivery[str]) -> None:
        delivery.fail(wrong)

    async def handle_batch(deliveries: list[Delivery[str]]) -> None:
        deliveries[0].fail(wrong)

    options: dict[str, Any] = {"batch": Batch(size=1)} if is_batch else {}
    with pytest.raises(TypeError, match="fail"):
        async with (
            processing_on(broker) as listener,
            processing(listener, handle_batch if is_batch else handle, **options),
        ):
            await anyio.sleep(1)
    assert broker.committed(GROUP, P0) in (None, 0)


async def test_a_send_at_an_impossible_time_stops_the_listener() -> None:
    async def handle(value: str, delivery: Delivery[str]) -> Send:
        return Send("out", b"x", timestamp_ms=1.5)  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match="milliseconds"):
        async with processing_on(broker_with("a")) as listener:
            await listener.process(str, handle)
            await anyio.sleep_forever()


async def test_no_failure_in_a_row_cannot_be_the_limit() -> None:
    with pytest.raises(ConfigurationError, match="max_consecutive is a whole number, 1 or more"):
        DeadLetter(max_consecutive=0)


async def test_an_error_that_stops_names_the_first_record_that_failed_with_it() -> None:
    broker = broker_with("one", "two", "three")

    async def handle(deliveries: list[Delivery[str]]) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as raised:
        async with processing_on(broker) as listener:
            await listener.process(str, handle, batch=Batch(size=3), name="billing")
    assert raised.value.__notes__ == [f"billing failed with {TOPIC!r} partition 0 offset 0"]
