"""Partitions being revoked are not handed out, wherever their assignment is at that moment."""

import pytest

from sdml_kafka.transport.fetched.columns import RecordColumns
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Health, Polled
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop

pytestmark = pytest.mark.anyio

OLD, NEW = TopicPartition("orders", 0), TopicPartition("orders", 1)
HEALTH = Health(True, {})


def assignment_of(epoch: int, *keys: TopicPartition) -> Assignment:
    return Assignment(epoch, dict.fromkeys(keys, 5), dict.fromkeys(keys, None), adds=True)


def records_of(key: TopicPartition) -> RecordColumns:
    return RecordColumns.of(key, range(5, 6), [b"value"], [1000], None, None, None)


def an_exchange() -> Exchange:
    return Exchange(ProgramLoop(), lambda: False, lambda: None)


async def polled_from(exchange: Exchange, seeks: int = 0) -> Polled:
    return await exchange.poll([OLD, NEW], 10, 0.0, seeks)


async def test_a_revocation_that_comes_before_the_partitions_are_opened() -> None:
    exchange = an_exchange()
    exchange.open(assignment_of(1, OLD), HEALTH)
    await polled_from(exchange)
    assert exchange.withhold({NEW}) == frozenset()  # so that nobody is told to release it
    exchange.open(assignment_of(2, NEW), HEALTH)
    exchange.put(NEW, records_of(NEW))
    polled = await polled_from(exchange)
    assert not (polled.assignment and polled.assignment.positions)
    assert NEW not in polled.records
    exchange.close({NEW})
    exchange.open(assignment_of(3, NEW), HEALTH)
    polled = await polled_from(exchange)
    assert polled.assignment is not None
    assert polled.assignment.positions.keys() == {NEW}


async def test_a_seek_hands_out_nothing_of_what_was_revoked_meanwhile() -> None:
    exchange = an_exchange()
    exchange.open(assignment_of(1, OLD, NEW), HEALTH)
    await polled_from(exchange)
    assert exchange.withhold({NEW}) == {NEW}
    exchange.sought({OLD: 5, NEW: 5}, 1)
    for key in (OLD, NEW):
        exchange.put(key, records_of(key))
    assert (await polled_from(exchange, seeks=1)).records.keys() == {OLD}


async def test_a_member_that_lost_all_at_once_still_hears_that_it_was_counted_in() -> None:
    exchange = an_exchange()
    exchange.open(assignment_of(1, OLD), HEALTH)
    exchange.withhold({OLD})
    polled = await polled_from(exchange)
    assert polled.assignment is not None
    assert polled.assignment.positions == {}
    exchange.close({OLD})
    exchange.open(assignment_of(2, OLD), HEALTH)
    exchange.withhold({OLD})
    assert (await polled_from(exchange)).assignment is None
