"""The contract of the port's `Producer`, which every driver keeps on asyncio and on trio."""

import threading
from collections.abc import AsyncGenerator
from itertools import product
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka.errors import (
    ConfigurationError,
    PayloadTooLarge,
    ProducerFailed,
    RecordRefused,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.transport.interfaces.producer import Message, Producer
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.producer_world import (
    CALL_S,
    PATIENCE_S,
    Outcomes,
    ProducerWorld,
    started,
)
from tests.support.waiting import BUSY_S, until

TOO_LARGE = bytes(1 << 21)

IMPOSSIBLE: list[Any] = [
    pytest.param(("",), id="no name"),
    pytest.param(("a b",), id="a blank"),
    pytest.param(("..",), id="dots"),
    pytest.param(("x" * 250,), id="too long"),
    pytest.param(("t\n",), id="a line end"),
    pytest.param((None,), id="None"),
    pytest.param(([],), id="a list"),
    pytest.param((None, None, b"key"), id="None, and a key"),
]
BAD_RECORDS: list[Any] = [
    pytest.param({"value": "text"}, id="a value of text"),
    pytest.param({"value": b"", "key": "text"}, id="a key of text"),
    pytest.param({"value": b"", "headers": [("name", "text")]}, id="a header of text"),
    pytest.param({"value": b"", "headers": [(b"name", b"")]}, id="a header's name of bytes"),
    pytest.param({"value": b"", "headers": [("name",)]}, id="half a header"),
    pytest.param({"value": b"", "headers": 7}, id="headers that are none"),
    pytest.param({"value": b"", "partition": 2}, id="a partition too many"),
    pytest.param({"value": b"", "partition": -1}, id="a negative partition"),
    pytest.param({"value": b"", "partition": "0"}, id="a partition of text"),
    pytest.param(
        {"value": b"", "headers": [("\ud800", b"")]}, id="a header's name of half a character"
    ),
    pytest.param({"value": b"", "timestamp_ms": 1 << 63}, id="a time that is too large"),
    pytest.param({"value": b"", "timestamp_ms": "now"}, id="a time of text"),
]


class ProducerContract:
    @pytest.fixture
    async def topic(self, world: ProducerWorld) -> str:
        """Create a topic of two partitions."""
        topic = world.name()
        await world.create_topic(topic, 2)
        return topic

    @pytest.fixture
    async def producer(self, world: ProducerWorld) -> AsyncGenerator[Producer]:
        async with started(world.connect()) as producer:
            yield producer

    @pytest.fixture
    def outcomes(self, anyio_backend: object) -> Outcomes:
        return Outcomes()

    # -- sending -------------------------------------------------------------------------

    async def test_an_acknowledged_record_is_there_as_it_was_sent(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        headers = (("name", b"value"), ("name", b"\xff"), ("empty", b""))
        producer.send(Message(topic, b"value", b"key", headers, 1), outcomes.of("one"))

        assert await outcomes.one("one") is None
        (record,) = await world.records(TopicPartition(topic, 1))
        assert (record.key, record.value, tuple(record.headers)) == (b"key", b"value", headers)
        assert producer.connected

    async def test_a_record_may_have_neither_key_nor_value(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        for number in range(3):  # the first one begins a batch
            producer.send(Message(topic, None, None, (), 1), outcomes.of(number))
        await outcomes.wait_for(3)
        assert outcomes.reported == {number: [None] for number in range(3)}
        records = await world.records(TopicPartition(topic, 1))
        assert [(each.key, each.value) for each in records] == [(None, None)] * 3

    async def test_outcomes_are_reported_later_and_in_the_thread_of_the_program(
        self, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        threads = set[int]()
        sending = False

        def on_sent(error: Exception | None) -> None:
            assert not sending
            threads.add(threading.get_ident())
            outcomes.of(len(outcomes.reported))(error)

        for message in (Message(topic, b""), Message(topic, None), Message(topic, TOO_LARGE)):
            sending = True
            producer.send(message, on_sent)
            sending = False
        await outcomes.wait_for(3)
        assert threads == {threading.get_ident()}

    async def test_a_partition_keeps_the_order_of_the_calls(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        values = [b"%d" % number for number in range(1000)]
        for number, value in enumerate(values):
            producer.send(Message(topic, value, partition=0), outcomes.of(value))
            if number % 7 == 0:
                await anyio.lowlevel.checkpoint()
        await outcomes.wait_for(1000)
        assert set(outcomes.reported) == set(values)
        assert [each.value for each in await world.records(TopicPartition(topic, 0))] == values

    async def test_one_key_is_one_partition_and_without_keys_all_are_used(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        for number in range(10):
            producer.send(Message(topic, b"keyed", b"key"), outcomes.of(("keyed", number)))
            producer.send(Message(topic, b"free"), outcomes.of(("free", number)))
        for number in range(10):
            addressed = Message(topic, b"addressed", b"key", by_key=False)
            producer.send(addressed, outcomes.of(("addressed", number)))
        await outcomes.wait_for(30)
        both = [await world.records(TopicPartition(topic, number)) for number in (0, 1)]
        counts = [[each.value for each in records].count(b"keyed") for records in both]
        assert sorted(counts) == [0, 10]
        for value in (b"free", b"addressed"):
            assert all(any(each.value == value for each in records) for records in both)

    async def test_ten_thousand_at_once_are_each_reported_once(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        for number in range(10_000):
            producer.send(Message(topic, b"%d" % number), outcomes.of(number))
        assert await producer.flush(PATIENCE_S)
        assert outcomes.reported == {number: [None] for number in range(10_000)}
        arrived = [
            each.value or b""
            for number in (0, 1)
            for each in await world.records(TopicPartition(topic, number))
        ]
        assert sorted(arrived) == sorted(b"%d" % number for number in range(10_000))

    async def test_more_than_a_batch_holds_arrives_in_order(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        """Batches get full, and the records that follow wait for their turn."""
        values = [b"%06d" % number + bytes(100_000) for number in range(60)]
        for number, value in enumerate(values):
            producer.send(Message(topic, value, partition=0), outcomes.of(number))
        assert await producer.flush(PATIENCE_S)
        assert outcomes.reported == {number: [None] for number in range(60)}
        assert [each.value for each in await world.records(TopicPartition(topic, 0))] == values

    async def test_what_is_not_wanted_any_more_is_not_sent_and_not_reported(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        producer.send(Message(topic, b"unwanted", partition=0), outcomes.of(0), lambda: False)
        producer.send(Message(topic, b"wanted", partition=0), outcomes.of(1), lambda: True)
        assert await producer.flush(PATIENCE_S)
        assert outcomes.reported == {1: [None]}
        (record,) = await world.records(TopicPartition(topic, 0))
        assert record.value == b"wanted"

    async def test_a_callback_that_raises_does_not_stop_the_others(
        self,
        producer: Producer,
        topic: str,
        outcomes: Outcomes,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def on_sent(error: Exception | None) -> None:
            raise LookupError("ordered")

        for number in range(3):
            producer.send(Message(topic, b"", partition=0), on_sent)
            producer.send(Message(topic, b"", partition=0), outcomes.of(number))
        await outcomes.wait_for(3)
        assert caplog.text.count("LookupError: ordered") == 3

    # -- what cannot be sent -------------------------------------------------------------

    @pytest.mark.parametrize("where", IMPOSSIBLE)
    async def test_a_name_that_cannot_be_a_topic_is_reported(
        self, producer: Producer, outcomes: Outcomes, where: tuple[Any, ...]
    ) -> None:
        producer.send(Message(where[0], b"value"), outcomes.of(0))
        assert type(await outcomes.one(0)) is ConfigurationError

    @pytest.mark.parametrize("fields", BAD_RECORDS)
    async def test_a_record_that_cannot_be_sent_is_reported_and_spoils_no_other(
        self,
        world: ProducerWorld,
        producer: Producer,
        topic: str,
        outcomes: Outcomes,
        fields: dict[str, Any],
    ) -> None:
        producer.send(Message(topic, b"before", partition=0), outcomes.of("before"))
        producer.send(Message(**{"topic": topic, "partition": 0, **fields}), outcomes.of("bad"))
        producer.send(Message(topic, b"after", partition=0), outcomes.of("after"))
        assert type(await outcomes.one("bad")) is ConfigurationError
        assert await outcomes.one("before") is await outcomes.one("after") is None
        records = await world.records(TopicPartition(topic, 0))
        assert [each.value for each in records] == [b"before", b"after"]

    async def test_a_header_without_a_value_arrives(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        headers: Any = [("none", None), ("", b"")]
        producer.send(Message(topic, b"", None, headers, 0), outcomes.of(0))
        assert await outcomes.one(0) is None
        (record,) = await world.records(TopicPartition(topic, 0))
        assert list(record.headers) == headers

    async def test_a_record_that_is_too_large_is_reported_and_the_next_one_arrives(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        for name, value in (("before", b"1"), ("large", TOO_LARGE), ("after", b"2")):
            producer.send(Message(topic, value, partition=0), outcomes.of(name))
        error = await outcomes.one("large")
        assert isinstance(error, PayloadTooLarge)
        assert not error.in_doubt
        assert await outcomes.one("before") is await outcomes.one("after") is None

    async def test_a_record_that_the_broker_refuses_costs_no_other_record(
        self, world: ProducerWorld, producer: Producer, outcomes: Outcomes
    ) -> None:
        topic = world.name()
        await world.create_topic(topic, 1, **{"cleanup.policy": "compact"})
        producer.send(Message(topic, b"before", b"key"), outcomes.of("before"))
        assert await outcomes.one("before") is None
        refused = {0, 1, 30, 77, 99}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(producer.watch)
            for round_ in range(3):
                for number in range(100):
                    key = None if number in refused else b"key-%d-%d" % (round_, number)
                    message = Message(topic, b"%d" % number, key)
                    producer.send(message, outcomes.of((round_, number)))
                assert await producer.flush(CALL_S)
            tasks.cancel_scope.cancel()
        for round_, number in product(range(3), range(100)):
            (error,) = outcomes.reported[round_, number]
            if number in refused:
                assert isinstance(error, RecordRefused)
                assert topic in str(error)
                assert not error.in_doubt
            else:
                assert error is None
        arrived = [each.value or b"" for each in await world.records(TopicPartition(topic, 0))]
        expected = [b"%d" % number for number in range(100) if number not in refused]
        assert sorted(arrived) == sorted([b"before", *(3 * expected)])

    async def test_a_missing_topic_is_reported_soon_and_holds_up_no_other(
        self, producer: Producer, world: ProducerWorld, topic: str, outcomes: Outcomes
    ) -> None:
        missing = world.name()
        began = anyio.current_time()
        for number in range(100):
            producer.send(Message(missing, b""), outcomes.of((missing, number)))
        producer.send(Message(topic, b""), outcomes.of("other"))
        assert await outcomes.one("other") is None
        await outcomes.wait_for(101)
        assert anyio.current_time() - began < 2.0 + BUSY_S
        errors = [outcomes.reported[missing, number] for number in range(100)]
        assert all(type(error) is TopicMissing for (error,) in errors)
        assert missing in str(errors[0][0])

    # -- outages -------------------------------------------------------------------------

    async def test_what_is_sent_while_the_broker_is_away_waits_and_arrives_once(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        producer.send(Message(topic, b"before", partition=0), outcomes.of("before"))
        assert await outcomes.one("before") is None
        await world.go_away()
        try:
            for number in range(100):
                producer.send(Message(topic, b"%d" % number, partition=0), outcomes.of(number))
            assert not await producer.flush(1.0)
            assert list(outcomes.reported) == ["before"]
            assert producer.waiting == 100
        finally:
            await world.come_back()
        await outcomes.wait_for(101)
        await until(lambda: producer.waiting == 0)
        assert all(reported == [None] for reported in outcomes.reported.values())
        records = await world.records(TopicPartition(topic, 0))
        expected = [b"before", *(b"%d" % number for number in range(100))]
        assert [each.value for each in records] == expected

    async def test_closing_with_records_under_way_tells_each_of_them(
        self, world: ProducerWorld, topic: str, outcomes: Outcomes
    ) -> None:
        missing = world.name()
        async with started(world.connect()) as producer:
            producer.send(Message(topic, b""), outcomes.of("before"))
            assert await outcomes.one("before") is None
            await world.go_away()
            try:
                for number in range(100):
                    producer.send(Message(topic, b""), outcomes.of(number))
                    producer.send(Message(missing, b""), outcomes.of((missing, number)))
                began = anyio.current_time()
                await producer.close(0.5)
                assert anyio.current_time() - began < 0.5 + BUSY_S
            finally:
                await world.come_back()
            await outcomes.wait_for(201)
        errors = [outcomes.reported[number] for number in range(100)]
        assert all(type(error) is SendFailed for (error,) in errors)

    # -- the end -------------------------------------------------------------------------

    async def test_closing_while_all_is_well_loses_nothing(
        self, world: ProducerWorld, topic: str, outcomes: Outcomes
    ) -> None:
        async with started(world.connect()) as producer:
            for number in range(100):
                producer.send(Message(topic, b""), outcomes.of(number))
            await producer.close(CALL_S)
        await outcomes.wait_for(100)
        assert all(reported == [None] for reported in outcomes.reported.values())

    async def test_sending_after_the_end_is_reported(
        self, world: ProducerWorld, topic: str, outcomes: Outcomes
    ) -> None:
        async with started(world.connect()) as producer:
            await producer.close(CALL_S)
            await producer.close(CALL_S)
            producer.send(Message(topic, b""), outcomes.of("closed"))
            error = await outcomes.one("closed")
        producer.send(Message(topic, b""), outcomes.of("left"))
        assert isinstance(error, SendFailed)
        assert not error.in_doubt
        assert type(await outcomes.one("left")) is SendFailed

    async def test_watching_ends_with_the_producer_and_may_be_given_up(
        self, world: ProducerWorld
    ) -> None:
        async with started(world.connect()) as producer:
            with anyio.move_on_after(0.05) as scope:
                await producer.watch()
            assert scope.cancelled_caught
            with anyio.fail_after(CALL_S), pytest.raises(ProducerFailed):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(producer.close, CALL_S)
                    try:
                        await producer.watch()
                    except ProducerFailed as error:
                        failure = error
                raise failure

    async def test_an_exception_of_the_body_comes_out_as_itself(self, world: ProducerWorld) -> None:
        with pytest.raises(LookupError, match="ordered"):
            async with started(world.connect()):
                raise LookupError("ordered")

    # -- topics and groups ---------------------------------------------------------------

    async def test_a_topic_is_created_once_and_usable_at_once(
        self, world: ProducerWorld, producer: Producer, outcomes: Outcomes
    ) -> None:
        topic = world.name()
        assert await producer.create_topic(topic, 3, {"retention.ms": "60000"}, CALL_S)
        assert not await producer.create_topic(topic, 3, {}, CALL_S)
        producer.send(Message(topic, b"value", partition=2), outcomes.of(0))
        assert await outcomes.one(0) is None

    async def test_a_deleted_topic_is_missing_and_deleting_it_again_is_no_error(
        self, world: ProducerWorld, producer: Producer, topic: str, outcomes: Outcomes
    ) -> None:
        await producer.delete_topic(topic, CALL_S)
        await producer.delete_topic(topic, CALL_S)
        producer.send(Message(topic, b""), outcomes.of(0))
        assert type(await outcomes.one(0)) is TopicMissing

    async def test_a_topic_that_cannot_be_is_refused(self, producer: Producer) -> None:
        with pytest.raises(ConfigurationError):
            await producer.create_topic("a b", 1, {}, CALL_S)
        with pytest.raises(ConfigurationError):
            await producer.create_topic("name", 0, {}, CALL_S)

    async def test_the_partitions_of_topics_are_counted_and_none_is_created(
        self, world: ProducerWorld, producer: Producer
    ) -> None:
        one, three, missing = world.name(), world.name(), world.name()
        await world.create_topic(one, 1)
        await world.create_topic(three, 3)
        topics, expected = [one, three, missing], {one: 1, three: 3, missing: 0}
        with anyio.fail_after(CALL_S):  # a broker knows of a topic a moment after its creation
            while await producer.partition_counts(topics, CALL_S) != expected:
                pass
        assert await producer.partition_counts(topics, CALL_S) == expected

    async def test_the_members_of_a_group_are_counted(
        self, world: ProducerWorld, producer: Producer, topic: str
    ) -> None:
        group = world.name()
        assert await producer.live_members(group, CALL_S) == 0
        async with world.connect_consumer(group)() as consumer:
            await consumer.start([topic], CALL_S)
            with anyio.fail_after(PATIENCE_S):
                while (await consumer.poll((), 1, 0.1)).assignment is None:
                    pass
            assert await producer.live_members(group, CALL_S) == 1
        assert await producer.live_members(group, CALL_S) == 0

    async def test_asking_a_broker_that_is_away_ends_in_time(
        self, world: ProducerWorld, producer: Producer, topic: str
    ) -> None:
        await world.go_away()
        try:
            began = anyio.current_time()
            with pytest.raises(SendFailed):
                await producer.create_topic(world.name(), 1, {}, 0.5)
            with pytest.raises(SendFailed):
                await producer.delete_topic(topic, 0.5)
            with pytest.raises(SendFailed):
                await producer.live_members("group", 0.5)
            with pytest.raises(SendFailed):
                await producer.partition_counts([topic], 0.5)
            assert anyio.current_time() - began < 2.0 + BUSY_S
        finally:
            await world.come_back()
