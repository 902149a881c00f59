"""What the status says of the lag, also where nothing is fetched, and how old that is."""

from functools import partial

import anyio
import pytest

from sdml_kafka import KafkaListener, PartitionStatus
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    P0,
    P1,
    TEXTS,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

MAX_AGE_S = 11.0
"""Seconds that a lag is old at most while a broker answers."""


def of(listener: KafkaListener, partition: int = 0) -> PartitionStatus:
    return listener.status().partitions[(P0, P1)[partition]]


def shows(listener: KafkaListener, lag: int, partition: int = 0) -> bool:
    return of(listener, partition).lag == lag


def age_s(listener: KafkaListener, partition: int = 0) -> float:
    age_s = of(listener, partition).lag_age_s
    assert age_s is not None
    return age_s


async def test_the_lag_of_a_full_partition_goes_on_growing() -> None:
    broker = broker_with(*map(str, range(1000)))
    async with (
        listener_on(broker, max_in_flight=4) as listener,
        loops(await listener.subscribe(str), work=Gate()),
    ):
        await anyio.sleep(2)
        for count in range(2000, 20_000, 2000):
            fill(broker, range(1000))
            await anyio.sleep(1)
            fill(broker, range(1000))
            await until(partial(shows, listener, count + 1000), within_s=MAX_AGE_S)
            assert of(listener).high_watermark == count + 1000
            assert age_s(listener) <= MAX_AGE_S


async def test_a_partition_that_nobody_reads_has_a_lag() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker) as listener:
        assert shows(listener, 2)
        fill(broker, "cde")
        await until(partial(shows, listener, 5), within_s=MAX_AGE_S)


async def test_what_was_just_assigned_has_a_lag_before_the_first_fetch() -> None:
    broker = broker_with("a", "b", partitions=2)
    async with listener_on(broker) as listener:
        assert (of(listener).lag, of(listener, 1).lag) == (2, 0)
        assert age_s(listener) < 1
        async with listener_on(broker) as other:
            await until(lambda: len(other.status().partitions) == 1)
            fill(broker, "cd", partition=0)
            fill(broker, "cd", partition=1)
            (lag,) = (each.lag for each in other.status().partitions.values())
            assert lag in (0, 2)
        await until(lambda: len(listener.status().partitions) == 2)
        await until(lambda: shows(listener, 4) and shows(listener, 2, 1), within_s=MAX_AGE_S)


async def test_a_held_partition_has_a_lag() -> None:
    broker = broker_with("a", partitions=2)
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)):
        await until(partial(shows, listener, 0))
        broker.spoil(P0, "CorruptRecordException: bad header")
        fill(broker, range(50))
        await until(partial(shows, listener, 50), within_s=MAX_AGE_S)
        assert age_s(listener) <= MAX_AGE_S
        assert age_s(listener, 1) <= 1.5


async def test_what_is_fetched_is_never_old() -> None:
    broker = broker_with("a")
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)):
        await anyio.sleep(1)
        for _ in range(100):
            await anyio.sleep(0.77)
            assert age_s(listener) <= 1.5


async def test_in_an_outage_the_age_grows_and_the_figure_stays() -> None:
    broker = broker_with("a", "b")
    async with listener_on(broker, session_timeout_s=1000.0) as listener:
        assert shows(listener, 2)
        broker.down()
        fill(broker, "c")
        await anyio.sleep(300)
        assert shows(listener, 2)
        assert 299 < age_s(listener) < 310
        broker.up()
        await until(partial(shows, listener, 3), within_s=MAX_AGE_S)
        assert age_s(listener) <= MAX_AGE_S


async def test_the_age_grows_while_the_client_is_away() -> None:
    """A listener whose consumer restarts shows nothing until it is assigned anew."""
    broker = broker_with("a", "b")
    async with listener_on(broker) as listener:
        assert shows(listener, 2)
        broker.rebalance("group")
        fill(broker, "c")
        await until(lambda: listener.status().partitions and of(listener).lag == 3)
        assert age_s(listener) <= MAX_AGE_S


async def test_a_topic_that_is_deleted_costs_the_others_nothing() -> None:
    broker = MemoryBroker({TOPIC: 1, "deleted": 1})
    parsers = [{**TEXTS, "topics": [TOPIC, "deleted"]}]
    async with listener_on(broker, parsers=parsers) as listener:  # type: ignore[arg-type]
        broker.delete_topic("deleted")
        fill(broker, "ab")
        await until(lambda: set(listener.status().partitions) == {P0})
        await until(partial(shows, listener, 2), within_s=MAX_AGE_S)
        assert age_s(listener) <= MAX_AGE_S
