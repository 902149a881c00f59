"""What a test orders of the in-memory broker's producers."""

from typing import Any

import anyio
import pytest

from sdml_kafka.errors import (
    BrokerUnreachable,
    PayloadTooLarge,
    ProducerFailed,
    RecordRefused,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.log import Misuse
from sdml_kafka.transport.interfaces.producer import Message, ProducerSpent
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.producer_world import CALL_S, Outcomes, started

pytestmark = pytest.mark.anyio

PLACE = TopicPartition("topic", 0)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"topic": 1})


@pytest.fixture
def outcomes(anyio_backend: object) -> Outcomes:
    return Outcomes()


def values(broker: MemoryBroker) -> list[bytes | None]:
    return [record.value for record in broker.records(PLACE)]


async def test_sends_fail_as_often_as_ordered(broker: MemoryBroker, outcomes: Outcomes) -> None:
    error = SendFailed("ordered")
    broker.fail_sends(error, times=2)
    async with started(broker.connect_producer()) as producer:
        for number in range(3):
            producer.send(Message("topic", b"%d" % number), outcomes.of(number))
        assert await producer.flush(CALL_S)
    assert outcomes.reported == {0: [error], 1: [error], 2: [None]}
    assert values(broker) == [b"2"]


async def test_a_failed_send_may_have_arrived(broker: MemoryBroker, outcomes: Outcomes) -> None:
    broker.fail_sends(applied=True)
    async with started(broker.connect_producer()) as producer:
        producer.send(Message("topic", b"value"), outcomes.of(0))
        error = await outcomes.one(0)
    assert isinstance(error, SendFailed)
    assert error.in_doubt
    assert values(broker) == [b"value"]


async def test_a_spoiled_partition_takes_no_more_of_its_producer(
    broker: MemoryBroker, outcomes: Outcomes
) -> None:
    broker.create_topic("other")
    broker.fail_sends(RecordRefused("ordered"), spoils=True)
    async with started(broker.connect_producer()) as producer:
        for number in range(2):
            producer.send(Message("topic", b"%d" % number), outcomes.of(number))
        producer.send(Message("other", b""), outcomes.of("other"))
        assert type(await outcomes.one(0)) is RecordRefused
        assert type(await outcomes.one(1)) is SendFailed
        assert await outcomes.one("other") is None
        with pytest.raises(ProducerSpent, match="topic"):
            await producer.watch()
    async with started(broker.connect_producer()) as producer:
        producer.send(Message("topic", b"2"), outcomes.of(2))
        assert await outcomes.one(2) is None
    assert values(broker) == [b"2"]


async def test_records_by_hand_have_keys_in_a_compacted_topic(broker: MemoryBroker) -> None:
    broker.create_topic("compacted", compacted=True)
    broker.produce("compacted", b"", key=b"key")
    with pytest.raises(Misuse, match="without a key"):
        broker.produce("compacted", b"")


async def test_faults_are_for_one_producer_by_its_name(
    broker: MemoryBroker, outcomes: Outcomes
) -> None:
    broker.fail_sends(producer="other-2")
    connect = broker.connect_producer(client_id="other")
    async with started(connect) as first, started(connect) as second:
        first.send(Message("topic", b"1"), outcomes.of(1))
        second.send(Message("topic", b"2"), outcomes.of(2))
        assert await outcomes.one(1) is None
        assert type(await outcomes.one(2)) is SendFailed


async def test_held_sends_are_on_their_way_whether_wanted_or_not(
    broker: MemoryBroker, outcomes: Outcomes
) -> None:
    wanted = True
    broker.hold_sends()
    async with started(broker.connect_producer()) as producer:
        producer.send(Message("topic", b"1"), outcomes.of(1), lambda: wanted)
        producer.send(Message("topic", b"2"), outcomes.of(2))
        assert not await producer.flush(1.0)
        assert values(broker) == []
        wanted = False
        broker.release_sends()
        assert await producer.flush(1.0)
    assert values(broker) == [b"1", b"2"]
    assert outcomes.reported == {1: [None], 2: [None]}


async def test_what_waits_for_the_broker_is_asked_for_again(
    broker: MemoryBroker, outcomes: Outcomes
) -> None:
    wanted = True
    async with started(broker.connect_producer()) as producer:
        broker.down()
        assert not producer.connected
        producer.send(Message("topic", b"1"), outcomes.of(1), lambda: wanted)
        producer.send(Message("topic", b"2"), outcomes.of(2))
        assert not await producer.flush(1.0)
        wanted = False
        broker.up()
        assert await producer.flush(1.0)
    assert values(broker) == [b"2"]
    assert outcomes.reported == {2: [None]}


async def test_an_acknowledgement_takes_as_long_as_ordered(
    broker: MemoryBroker, outcomes: Outcomes
) -> None:
    broker.slow_down(send_s=1.0)
    async with started(broker.connect_producer()) as producer:
        began = anyio.current_time()
        producer.send(Message("topic", b"1"), outcomes.of(1))
        producer.send(Message("topic", b"2"), outcomes.of(2))
        assert not await producer.flush(0.1)
        assert values(broker) == [b"1", b"2"]
        await outcomes.wait_for(2)
        assert 1.0 <= anyio.current_time() - began < 2.0


async def test_a_producer_that_fails_leaves_in_doubt_what_was_under_way(
    broker: MemoryBroker, outcomes: Outcomes
) -> None:
    broker.slow_down(send_s=5.0)
    failure = ProducerFailed("ordered")
    async with started(broker.connect_producer()) as producer:
        producer.send(Message("topic", b"sent"), outcomes.of("sent"))
        assert not await producer.flush(0.1)
        broker.down()
        producer.send(Message("topic", b"waits"), outcomes.of("waits"))
        broker.fail_producer(failure)
        with pytest.raises(ProducerFailed) as caught:
            await producer.watch()
        assert caught.value is failure
        sent, waits = await outcomes.one("sent"), await outcomes.one("waits")
        producer.send(Message("topic", b"late"), outcomes.of("late"))
        late = await outcomes.one("late")
    assert isinstance(sent, SendFailed)
    assert sent.in_doubt
    assert isinstance(waits, SendFailed)
    assert not waits.in_doubt
    assert isinstance(late, SendFailed)
    assert not late.in_doubt


async def test_topics_are_created_only_where_the_broker_does_so(outcomes: Outcomes) -> None:
    broker = MemoryBroker(auto_create=2)
    async with started(broker.connect_producer()) as producer:
        producer.send(Message("new", b"", partition=1), outcomes.of(0))
        assert await outcomes.one(0) is None
    async with broker.connect_producer()() as producer:
        await producer.start(CALL_S, creates_topics=False)
        producer.send(Message("third", b""), outcomes.of(2))
        assert type(await outcomes.one(2)) is TopicMissing
    assert broker.end_offset(TopicPartition("new", 1)) == 1


async def test_the_limit_of_a_record_can_be_set(outcomes: Outcomes) -> None:
    broker = MemoryBroker({"topic": 1}, max_record_bytes=3)
    async with started(broker.connect_producer()) as producer:
        producer.send(Message("topic", b"123"), outcomes.of(0))
        producer.send(Message("topic", b"123", b"k"), outcomes.of(1))
        assert await outcomes.one(0) is None
        assert isinstance(await outcomes.one(1), PayloadTooLarge)


async def test_a_start_fails_as_ordered_and_without_a_broker(broker: MemoryBroker) -> None:
    broker.fail_starts(BrokerUnreachable("ordered"), member="producer-1")
    with pytest.raises(BrokerUnreachable, match="ordered"):
        async with started(broker.connect_producer()):
            pytest.fail("started")
    broker.down()
    with pytest.raises(BrokerUnreachable, match="no broker"):
        async with broker.connect_producer()() as producer:
            await producer.start(0.5)


async def test_what_no_program_can_mean_is_misuse(broker: MemoryBroker) -> None:
    ignore: Any = print
    async with broker.connect_producer()() as producer:
        with pytest.raises(Misuse, match="before start"):
            producer.send(Message("topic", b""), ignore)
        await producer.start(CALL_S)
        with pytest.raises(Misuse, match="twice"):
            await producer.start(CALL_S)
        not_callable: Any = None
        with pytest.raises(Misuse, match="cannot be called"):
            producer.send(Message("topic", b""), not_callable)
    with pytest.raises(Misuse, match="no topic"):
        broker.delete_topic("missing")
