"""What hooks see of a processor: its handlers, what it sends, and what becomes of its records."""

import anyio
import pytest

from sdml_kafka import (
    Batch,
    DeadLetter,
    Delivery,
    Outgoing,
    Retry,
    RetryTopics,
    Send,
    Skip,
    TopicPartition,
    TransactionFailed,
)
from sdml_kafka.hooks.participation import OnOutcome
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.exactly_once_on_twin import exactly_once_on
from tests.support.listener_on_twin import GROUP, TOPIC, broker_with, fill
from tests.support.processing_on_twin import processing, processing_on
from tests.support.seeing_hook import CURRENT, SeeingHook
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

OUT, DLT, LATER = "out", f"{TOPIC}-dlt", f"{TOPIC}-retry-5000"


def broker_of(*values: str) -> MemoryBroker:
    broker = broker_with()
    for topic in (OUT, DLT):
        broker.create_topic(topic)
    fill(broker, list(values))
    return broker


def headers_in(broker: MemoryBroker, topic: str) -> list[bytes]:
    records = broker.records(TopicPartition(topic, 0))
    return [value for each in records for name, value in each.headers if name == "seen"]


async def test_a_handler_runs_inside_of_what_a_hook_enters() -> None:
    hook, seen = SeeingHook(), list[str]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        seen.append(CURRENT.get())
        await anyio.sleep(1)
        seen.append(CURRENT.get())

    broker = broker_of("a", "b")
    async with (
        processing_on(broker, hooks=[hook]) as listener,
        processing(listener, handle, name="h"),
    ):
        await until(lambda: len(hook.handlings) == 2)
    assert set(seen) == {"h 1"}
    assert [error for _, error in hook.handlings] == [None, None]
    first = hook.handlings[0][0]
    assert (first.origin.kind, first.handler, first.attempt, first.is_batch) == (
        "listener",
        "h",
        1,
        False,
    )
    assert first.origin.group_id == GROUP
    assert {each.records[0].value for each, _ in hook.handlings} == {b"a", b"b"}


async def test_a_plain_function_in_a_thread_has_the_context_as_well() -> None:
    hook, seen = SeeingHook(), list[str]()

    def handle(value: str, delivery: Delivery[str]) -> None:
        seen.append(CURRENT.get())

    async with (
        processing_on(broker_of("a"), hooks=[hook]) as listener,
        processing(listener, handle, name="h"),
    ):
        await until(lambda: len(hook.handlings) == 1)
    assert seen == ["h 1"]


async def test_a_batch_is_one_handling() -> None:
    hook = SeeingHook()

    async def handle(deliveries: list[Delivery[str]]) -> Send:
        deliveries[1].fail(ValueError("b"))
        deliveries.clear()
        return Send(OUT, b"sum")

    broker = broker_of("a", "b", "c")
    options = {"batch": Batch(3, 1.0), "on_failure": DeadLetter(), "order": "none"}
    async with (
        processing_on(broker, hooks=[hook]) as listener,
        processing(listener, handle, name="h", **options),
    ):
        await until(lambda: len(hook.of("dead_lettered")) == 1)
    ((handling, error),) = hook.handlings
    assert handling.is_batch
    assert [each.value for each in handling.records] == [b"a", b"b", b"c"]
    assert [each.value for each in handling.records[1:]] == [b"b", b"c"]
    assert isinstance(error, ValueError)
    assert [(message.purpose, message.topic) for message, _ in hook.sent] == [
        ("send", OUT),
        ("dead letter", DLT),
    ]
    assert all(message.handling is handling for message, _ in hook.sent)


async def test_what_a_handler_returns_is_sent_with_the_headers_of_hooks() -> None:
    hook = SeeingHook()

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        return Send(OUT, b"sent", key=b"k", headers=[("own", b"1")])

    broker = broker_of("a")
    async with (
        processing_on(broker, hooks=[hook]) as listener,
        processing(listener, handle, name="h"),
    ):
        await until(lambda: len(hook.outcomes) == 1)
    ((message, error),) = hook.outcomes
    assert error is None
    assert (message.purpose, message.topic, message.key, message.value) == (
        "send",
        OUT,
        b"k",
        b"sent",
    )
    assert message.handling is hook.handlings[0][0]
    assert message.record is not None
    assert message.record.value == b"a"
    assert (message.partition, message.offset) == (0, 0)
    (record,) = broker.records(TopicPartition(OUT, 0))
    assert list(record.headers) == [("own", b"1"), ("seen", b"1")]


async def test_a_retry_in_place_and_then_a_dead_letter() -> None:
    hook = SeeingHook()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError(str(delivery.attempt))

    broker = broker_of("a")
    policies = {"retry": Retry(2, 4.0, jitter=0.0), "on_failure": DeadLetter()}
    async with (
        processing_on(broker, hooks=[hook]) as listener,
        processing(listener, handle, name="h", **policies),
    ):
        await until(lambda: len(hook.of("dead_lettered")) == 1, 60.0)
    (retried,) = hook.of("retried")
    assert (retried.attempt, retried.delay_s, retried.topic) == (2, 4.0, None)
    assert str(retried.error) == "1"
    (dead,) = hook.of("dead_lettered")
    assert (dead.topic, dead.record.value, dead.processor) == (DLT, b"a", "h")
    assert str(dead.error) == "2"
    assert [str(error) for _, error in hook.handlings] == ["1", "2"]
    ((message, error),) = hook.outcomes
    assert (message.purpose, error) == ("dead letter", None)
    assert message.handling is hook.handlings[1][0]
    assert headers_in(broker, DLT) == [b"1"]


async def test_a_retry_topic() -> None:
    hook = SeeingHook()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        if delivery.attempt == 1:
            raise ValueError("not yet")

    broker = broker_of("a")
    listener = processing_on(broker, hooks=[hook])
    listener.processor(str, name="h", retry=RetryTopics(5.0))(handle)
    async with listener:
        await until(lambda: len(hook.handlings) == 2, 60.0)
    (retried,) = hook.of("retried")
    assert (retried.attempt, retried.delay_s, retried.topic) == (2, 5.0, LATER)
    assert [message.purpose for message, _ in hook.sent] == ["retry"]
    assert headers_in(broker, LATER) == [b"1"]
    second = hook.handlings[1][0]
    assert second.attempt == 2
    assert ("seen", b"1") in second.records[0].headers


async def test_a_record_that_does_not_parse() -> None:
    hook = SeeingHook()
    broker = broker_with()
    broker.create_topic(DLT)
    broker.produce(TOPIC, b"\xff", partition=0)

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise AssertionError

    async with (
        processing_on(broker, hooks=[hook], on_parse_error=DeadLetter()) as listener,
        processing(listener, handle, name="h"),
    ):
        await until(lambda: len(hook.of("dead_lettered")) == 1)
    (dead,) = hook.of("dead_lettered")
    assert (dead.processor, dead.topic, dead.record.value) == ("", DLT, b"\xff")
    assert hook.handlings == []
    assert [error for _, error in hook.outcomes] == [None]


async def test_a_handler_that_is_cut_off_leaves_with_the_cancellation() -> None:
    hook = SeeingHook()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        await anyio.sleep_forever()

    async with (
        processing_on(broker_of("a"), hooks=[hook], drain_timeout=0.1) as listener,
        processing(listener, handle, name="h"),
    ):
        await until(lambda: len(hook.begun) == 1)
    ((_, error),) = hook.handlings
    assert isinstance(error, anyio.get_cancelled_exc_class())


async def test_a_transaction_that_fails_is_a_commit_that_fails() -> None:
    hook, broker = SeeingHook(), broker_of("a")
    broker.fail_transactions(refusal := TransactionFailed("ordered"))

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        return Send(OUT, value.encode())

    async with (
        exactly_once_on(broker, hooks=[hook]) as listener,
        processing(listener, handle, exactly_once=True, name="h"),
    ):
        await until(lambda: len(headers_in(broker, OUT)) == 1, 60.0)
    (failed,), (*_, committed) = hook.of("commit_failed"), hook.of("committed")
    assert (failed.offsets, failed.error) == ({TopicPartition(TOPIC, 0): 1}, refusal)
    assert committed.offsets == failed.offsets


async def test_a_dead_letter_of_an_aborted_transaction_is_sent_anew() -> None:
    hook, broker = SeeingHook(), broker_of("a")
    broker.fail_transactions()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError("no")

    options = {"exactly_once": True, "name": "h", "on_failure": DeadLetter()}
    async with (
        exactly_once_on(broker, hooks=[hook]) as listener,
        processing(listener, handle, **options),
    ):
        await until(lambda: len(hook.outcomes) == 2, 60.0)
    assert [message.purpose for message, _ in hook.sent] == ["dead letter"] * 2
    assert [type(error) for _, error in hook.outcomes] == [TransactionFailed, type(None)]
    assert [message for message, _ in hook.sent] == [message for message, _ in hook.outcomes]
    assert len(hook.of("dead_lettered")) == 1
    assert headers_in(broker, DLT) == [b"2"]


@pytest.mark.parametrize("policy", [DeadLetter(), DeadLetter(partition="same")])
async def test_a_dead_letter_that_is_sent_anew_is_as_it_was_at_first(policy: DeadLetter) -> None:
    """It comes from the attempt that has failed, and has the headers of hooks once."""

    class Adding(SeeingHook):
        def sending(self, message: Outgoing) -> OnOutcome:
            message.add_header("seen too", b"")
            return super().sending(message)

    hook, broker = Adding(), broker_of("a")
    broker.fail_transactions()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError("no")

    options = {"exactly_once": True, "name": "h", "on_failure": policy}
    async with (
        exactly_once_on(broker, hooks=[hook]) as listener,
        processing(listener, handle, **options),
    ):
        await until(lambda: len(hook.outcomes) == 2, 60.0)
    (failed, _), *others = hook.handlings
    assert others == []  # the handler is not called for it again
    assert [message.handling for message, _ in hook.sent] == [failed, failed]
    (letter,) = broker.records(TopicPartition(DLT, 0))
    names = [name for name, _ in letter.headers]
    assert (names.count("seen"), names.count("seen too")) == (1, 1)


async def test_messages_of_a_transaction_have_their_outcome_at_its_end() -> None:
    hook, values = SeeingHook(), list[str]()

    async def handle(value: str, delivery: Delivery[str]) -> list[Send]:
        values.append(value)
        if value == "b" and values.count("b") == 1:
            return [Send(OUT, b"b"), Send("missing", b"")]
        return [Send(OUT, value.encode())]

    broker = broker_of("a", "b")
    options = {"exactly_once": True, "name": "h", "on_failure": Skip()}
    async with (
        exactly_once_on(broker, hooks=[hook]) as listener,
        processing(listener, handle, **options),
    ):
        await until(lambda: len(hook.outcomes) == len(hook.sent) >= 4, 60.0)
    aborted = [message for message, error in hook.outcomes if error is not None]
    assert {message.topic for message in aborted} == {OUT, "missing"}
    committed = [message.value for message, error in hook.outcomes if error is None]
    assert b"a" in committed
    assert len(headers_in(broker, OUT)) == len(committed)
