"""A processor whose sends and offsets are committed together, on the twin."""

from collections import Counter
from functools import partial
from typing import Any

import anyio
import pytest

from sdml_kafka import ConfigurationError, Delivery, Send
from sdml_kafka.listener.processing.policies import (
    Batch,
    DeadLetter,
    Retry,
    RetryTopics,
    Transaction,
)
from sdml_kafka.parsing.parsers import SKIP
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.exactly_once_on_twin import (
    OUT,
    broker_with_outputs,
    exactly_once_on,
    in_order_of_keys,
    outputs,
    pass_on,
)
from tests.support.listener_on_twin import GROUP, P0, TEXTS, TOPIC
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

COUNT = 100


@pytest.mark.parametrize("order", ["partition", "key", "none"])
async def test_outputs_and_offsets_are_committed_together(order: Any) -> None:
    broker = broker_with_outputs(COUNT)
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, pass_on, order=order, exactly_once=True, name="a"),
    ):
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
        assert sorted(map(int, outputs(broker))) == list(range(COUNT))
        assert order == "none" or in_order_of_keys(outputs(broker))
        status = listener.status().processors["a"]
        assert (status.transactions, status.aborted, status.finished) == (1, 0, COUNT)


async def test_nothing_is_seen_before_the_commit() -> None:
    broker = broker_with_outputs(10)
    policy = Transaction(every=10, interval_s=3.0)
    async with (
        exactly_once_on(broker, auto_commit={"every": 1}) as listener,
        processing(listener, pass_on, exactly_once=policy),
    ):
        await until(lambda: len(outputs(broker)) == 10, within_s=1.0)  # `every` was reached
        broker.produce(TOPIC, b"10", key=b"0")
        await anyio.sleep(2.5)
        assert broker.end_offset(OUT) > 11
        assert (len(outputs(broker)), broker.committed(GROUP, P0)) == (10, 10)
        await anyio.sleep(1.0)
        assert (len(outputs(broker)), broker.committed(GROUP, P0)) == (11, 11)


async def test_what_sends_nothing_needs_no_transaction() -> None:
    broker, seen = broker_with_outputs(COUNT), list[str]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        seen.append(value)

    async with (
        exactly_once_on(broker, auto_commit={"every": 10}) as listener,
        processing(listener, handle, exactly_once=True, name="a"),
    ):
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
        assert listener.status().processors["a"].transactions == 0
    assert len(seen) == COUNT


async def test_batches() -> None:
    broker = broker_with_outputs(COUNT)

    async def handle(deliveries: list[Delivery[str]]) -> list[Send]:
        return [Send(OUT.topic, each.value.encode()) for each in deliveries]

    async with (
        exactly_once_on(broker) as listener,
        processing(listener, handle, batch=Batch(size=7), order="key", exactly_once=True),
    ):
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
    assert in_order_of_keys(outputs(broker))
    assert len(outputs(broker)) == COUNT


async def test_leaving_commits_what_has_ended() -> None:
    broker = broker_with_outputs(COUNT)
    policy = Transaction(every=10_000, interval_s=5.0)
    listener = exactly_once_on(broker)
    listener.processor(str, exactly_once=policy)(pass_on)
    async with listener:
        await until(lambda: broker.end_offset(OUT) == COUNT)
        began = anyio.current_time()
    assert anyio.current_time() - began < 1.0
    assert (len(outputs(broker)), broker.committed(GROUP, P0)) == (COUNT, COUNT)


async def test_an_abort_is_followed_by_the_same_records_in_order() -> None:
    broker = broker_with_outputs(COUNT)
    broker.fail_transactions(times=3)
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, pass_on, order="key", exactly_once=True, name="a"),
    ):
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
        assert listener.status().processors["a"].aborted == 3
    assert in_order_of_keys(outputs(broker))
    assert len(outputs(broker)) == COUNT


async def test_a_refused_message_fails_its_record_alone() -> None:
    broker, calls = broker_with_outputs(COUNT, max_record_bytes=9000), list[str]()
    broker.create_topic(f"{TOPIC}-dlt")

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        if value == "42":
            calls.append(f"{value} at {delivery.attempt}")
        return Send(OUT.topic, b"x" * 9999 if value == "42" else value.encode())

    options: dict[str, Any] = {
        "retry": Retry(attempts=2, backoff_s=0.1),
        "on_failure": DeadLetter(max_consecutive=1),
        "order": "key",
        "exactly_once": True,
    }
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, handle, name="a", **options),
    ):
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
        status = listener.status().processors["a"]
        assert (status.failures, status.dead_letters) == (1, 1)
        assert status.finished == COUNT - 1
    assert calls == ["42 at 1", "42 at 2"]
    assert outputs(broker, f"{TOPIC}-dlt") == ["42"]
    assert sorted(map(int, outputs(broker))) == [n for n in range(COUNT) if n != 42]
    assert in_order_of_keys(outputs(broker))


@pytest.mark.parametrize("attempts", [1, 3])
async def test_messages_that_are_refused_do_not_spoil_each_other_for_ever(attempts: int) -> None:
    broker, calls = broker_with_outputs(COUNT, max_record_bytes=9000), Counter[str]()
    broker.create_topic(f"{TOPIC}-dlt")
    delays = {"0": 0.0, "1": 0.1, "2": 0.07, "3": 0.15}

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        calls[value] += 1
        await anyio.sleep(delays.get(value, 0.0))
        return Send(OUT.topic, b"x" * 9999 if value in delays else value.encode())

    options: dict[str, Any] = {
        "retry": Retry(attempts=attempts, backoff_s=0.05, jitter=0.0),
        "on_failure": DeadLetter(max_consecutive=len(delays)),
        "order": "key",
        "exactly_once": True,
    }
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, handle, name="a", **options),
    ):
        with anyio.fail_after(60.0):
            await until(lambda: broker.committed(GROUP, P0) == COUNT)
        status = listener.status().processors["a"]
        assert (status.failures, status.dead_letters) == (len(delays), len(delays))
    aborts = attempts * len(delays)  # each may cut off the handlers of the other records
    assert max(calls[value] for value in delays) <= aborts + attempts
    assert sorted(outputs(broker, f"{TOPIC}-dlt")) == sorted(delays)
    assert sorted(map(int, outputs(broker))) == list(range(len(delays), COUNT))


async def test_a_dead_letter_that_is_refused_is_held_until_its_topic_is_there() -> None:
    broker, calls = broker_with_outputs(COUNT), list[str]()

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        if value in ("3", "42"):
            calls.append(value)
            raise ValueError(value)
        return await pass_on(value, delivery)

    options: dict[str, Any] = {"on_failure": DeadLetter(max_consecutive=2), "order": "key"}
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, handle, name="a", exactly_once=True, **options),
    ):
        await until(lambda: len(outputs(broker)) >= 60)
        await anyio.sleep(60.0)
        await until(lambda: bool(listener.status().processors["a"].held))
        broker.create_topic(f"{TOPIC}-dlt", 1)
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
        status = listener.status().processors["a"]
        assert (status.dead_letters, status.held) == (2, [])
    assert sorted(outputs(broker, f"{TOPIC}-dlt")) == ["3", "42"]
    assert in_order_of_keys(outputs(broker))
    assert len(outputs(broker)) == COUNT - 2


async def test_a_commit_in_doubt_is_asked_for_until_it_is_known() -> None:
    broker = broker_with_outputs(COUNT)
    broker.hold_transactions()
    policy = Transaction(every=10)
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, pass_on, order="key", exactly_once=policy, name="a"),
    ):
        await anyio.sleep(7.0)
        assert (outputs(broker), broker.committed(GROUP, P0)) == ([], 0)
        broker.release_transactions()
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
        assert listener.status().processors["a"].aborted == 0
    assert in_order_of_keys(outputs(broker))
    assert len(outputs(broker)) == COUNT


async def test_a_client_that_never_learns_of_a_commit_is_replaced() -> None:
    broker = broker_with_outputs(COUNT)
    broker.hold_transactions()
    policy = Transaction(every=10)
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, pass_on, order="key", exactly_once=policy, name="a"),
    ):
        await anyio.sleep(40.0)
        assert listener.status().processors["a"].aborted >= 1
        assert outputs(broker) == []
        broker.release_transactions()
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
    assert in_order_of_keys(outputs(broker))
    assert len(outputs(broker)) == COUNT


@pytest.mark.parametrize("applied", [False, True])
async def test_what_nobody_knows_is_learned_from_the_group(applied: bool) -> None:
    from sdml_kafka.errors import ProducerFailed

    broker = broker_with_outputs(COUNT)
    broker.fail_transactions(ProducerFailed("gone"), applied=applied)
    policy = Transaction(every=10)
    async with (
        exactly_once_on(broker, auto_commit={"every": 1}) as listener,
        processing(listener, pass_on, order="key", exactly_once=policy, name="a"),
    ):
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
    assert in_order_of_keys(outputs(broker))
    assert len(outputs(broker)) == COUNT


async def test_a_record_that_a_stream_reads_as_well_waits_for_it() -> None:
    broker = broker_with_outputs(2)
    async with exactly_once_on(broker) as listener:
        stream = await listener.subscribe(str, fresh=True)
        async with processing(listener, pass_on, exactly_once=True):
            await anyio.sleep(3.0)
            assert broker.end_offset(OUT) == 0
            async for delivery in stream.deliveries():
                delivery.done()
                await until(lambda value=delivery.value: value in outputs(broker))  # type: ignore[misc]
                assert broker.committed(GROUP, P0) == len(outputs(broker))
                if delivery.value == "1":
                    break


async def test_two_processors_with_transactions_cannot_handle_one_record() -> None:
    broker = broker_with_outputs(2)

    async def count(value: int, delivery: Delivery[int]) -> Send:
        return Send(OUT.topic, b"%d" % value)

    numbers: Any = {"topics": [TOPIC], "type": int, "parser": lambda record: int(record.value)}
    with pytest.raises(ConfigurationError, match="same record"):
        async with (
            exactly_once_on(broker, parsers=[TEXTS, numbers]) as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(partial(listener.process, str, pass_on, exactly_once=True))
            await listener.process(int, count, exactly_once=True)


async def test_types_of_one_topic_with_a_processor_each() -> None:
    broker = broker_with_outputs(COUNT)

    def even(record: Any) -> Any:
        return int(record.value) if int(record.value) % 2 == 0 else SKIP

    def odd(record: Any) -> Any:
        return record.value.decode() if int(record.value) % 2 else SKIP

    parsers: Any = [
        {"topics": [TOPIC], "type": int, "parser": even},
        {"topics": [TOPIC], "type": str, "parser": odd},
    ]

    async def handle(value: int, delivery: Delivery[int]) -> Send:
        return Send(OUT.topic, b"%d" % value)

    async with (
        exactly_once_on(broker, parsers=parsers) as listener,
        processing(listener, pass_on, exactly_once=True),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(partial(listener.process, int, handle, exactly_once=True))
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
        tasks.cancel_scope.cancel()
    assert sorted(map(int, outputs(broker))) == list(range(COUNT))


async def test_what_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="exactly_once"):
        exactly_once_on(MemoryBroker()).processor(str, exactly_once=1)(pass_on)  # type: ignore[call-overload]
    for wrong in ({"every": 0}, {"interval_s": -1}, {"interval_s": 60}):
        with pytest.raises(ConfigurationError):
            Transaction(**wrong)


async def test_retry_topics_are_for_readers_of_committed_records() -> None:
    broker, retry = broker_with_outputs(1), RetryTopics(1.0)
    async with exactly_once_on(broker, reads_committed=False) as listener:
        with pytest.raises(ConfigurationError, match="read_committed"):
            await listener.process(str, pass_on, exactly_once=True, retry=retry)


async def test_a_client_without_transactions_says_so() -> None:
    with pytest.raises(ConfigurationError, match="client='librdkafka'"):
        async with processing_on(MemoryBroker({TOPIC: 1})) as listener:
            await listener.process(str, pass_on, exactly_once=True)
    with pytest.raises(ConfigurationError, match="offset_map"):
        async with exactly_once_on(MemoryBroker({TOPIC: 1}), offset_map=False) as listener:
            await listener.process(str, pass_on, exactly_once=True)
