"""Transactions for a group without members, as replays of dead letters over librdkafka are."""

import pytest

from sdml_kafka import TopicPartition
from sdml_kafka.errors import BrokerUnreachable, ProducerFailed, SdmlKafkaError, TopicMissing
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.client_choice import ClientChoice
from sdml_kafka.transport.connect import group_offsets, transactions
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.transactions import RecordsFailed
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.processing_on_broker import records_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.timeout(120),
]

LIBRDKAFKA = ClientChoice("librdkafka", {"client.id": "replay"})


async def test_records_and_commits_happen_together_or_not_at_all(
    embedded_kafka: EmbeddedKafka,
) -> None:
    """What is refused spoils its own transaction alone, and none of it is seen."""
    servers, group = embedded_kafka.bootstrap_servers, unique("group")
    read, to = [await create_topic(servers, unique(each), 2) for each in ("read", "to")]
    place, missing = TopicPartition(read, 1), unique("missing")
    async with transactions(servers, {}, group, 15.0, LIBRDKAFKA) as producer:
        await producer.send([Message(to, b"a")], {place: Commit(3, "a text")}, group)
        with pytest.raises(RecordsFailed) as failed:
            await producer.send(
                [Message(to, b"b"), Message(missing, b"b")], {place: Commit(5)}, group
            )
        await producer.send([Message(to, b"c", b"key")], {}, group)
    assert isinstance(failed.value.error, TopicMissing)
    seen = await records_of(servers, to, isolation="read_committed")
    assert {each.value for each in seen} == {b"a", b"c"}
    offsets = await group_offsets(servers, {}, group, read, 15.0, LIBRDKAFKA)
    assert offsets == {TopicPartition(read, 0): None, place: Commit(3, "a text")}


async def test_a_second_one_takes_the_place_of_the_first(embedded_kafka: EmbeddedKafka) -> None:
    servers, group = embedded_kafka.bootstrap_servers, unique("group")
    to = await create_topic(servers, unique("to"), 1)
    async with transactions(servers, {}, group, 15.0, LIBRDKAFKA) as first:
        await first.send([Message(to, b"a")], {}, group)
        async with transactions(servers, {}, group, 15.0, LIBRDKAFKA) as second:
            await second.send([Message(to, b"b")], {}, group)
            with pytest.raises((ProducerFailed, SdmlKafkaError)):
                await first.send([Message(to, b"c")], {}, group)
    seen = await records_of(servers, to, isolation="read_committed")
    assert {each.value for each in seen} == {b"a", b"b"}


async def test_offsets_of_what_is_not_there_and_of_nobody(embedded_kafka: EmbeddedKafka) -> None:
    with pytest.raises(SdmlKafkaError):
        await group_offsets(
            embedded_kafka.bootstrap_servers, {}, "group", unique("missing"), 15.0, LIBRDKAFKA
        )
    with pytest.raises(BrokerUnreachable):
        async with transactions("127.0.0.1:1", {}, "group", 3.0, LIBRDKAFKA):
            pytest.fail("nobody is there")
    with pytest.raises(SdmlKafkaError):
        await group_offsets("127.0.0.1:1", {}, "group", "topic", 1.0, LIBRDKAFKA)
