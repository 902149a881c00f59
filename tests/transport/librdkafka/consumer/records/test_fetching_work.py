"""How much work it is to take what librdkafka has fetched, in counts that no load changes."""

import gc
import sys
import threading
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import sleep
from types import FrameType
from typing import Any

import anyio
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, Health
from sdml_kafka.transport.librdkafka.consumer.records import fetching, supply
from sdml_kafka.transport.librdkafka.consumer.records.exchange import Exchange
from sdml_kafka.transport.librdkafka.consumer.records.fetching import Fetching
from sdml_kafka.transport.librdkafka.consumer.records.outage import Outage
from sdml_kafka.transport.librdkafka.owner_thread import OwnerThread, ProgramLoop

pytestmark = pytest.mark.anyio

COUNT, PARTITIONS = 24_000, 12
KEYS = [TopicPartition("orders", number) for number in range(PARTITIONS)]


class Client:
    """A client that has fetched everything, so many records of each partition in a row."""

    def __init__(self, run: int) -> None:
        self._run = run
        self._taken = 0
        self.calls: Counter[str] = Counter()
        """The calls that take something, by the thread that made them."""
        self.paused: list[int] = []
        self.looked_up: list[str] = []
        """The topics whose leaders were asked for."""

    def _next(self) -> Message | None:
        round_, at = divmod(self._taken, self._run)
        # A pause drops what was fetched of a partition.
        if self._taken == COUNT or round_ % PARTITIONS in self.paused:
            return None
        self._taken += 1
        offset = round_ // PARTITIONS * self._run + at
        place: Any = {"topic": "orders", "partition": round_ % PARTITIONS, "offset": offset}
        return Message(**place, value=b"x" * 512, timestamp=(TIMESTAMP_CREATE_TIME, 1000))

    def poll(self, timeout_s: float) -> Message | None:
        if (message := self._next()) is None:
            sleep(0.005)
        else:
            self.calls[threading.current_thread().name] += 1
        return message

    def consume(self, most: int, timeout_s: float) -> list[Message]:
        self.calls[threading.current_thread().name] += 1
        return [each for each in (self._next() for _ in range(most)) if each is not None]

    def incremental_assign(self, partitions: object) -> None:
        """Take anything."""

    def list_topics(self, topic: str, timeout_s: float) -> None:
        self.looked_up.append(topic)

    def pause(self, partitions: list[Any]) -> None:
        self.paused += [each.partition for each in partitions]


@asynccontextmanager
async def fetching_from(client: Any) -> AsyncGenerator[Exchange]:
    loop = ProgramLoop()
    exchange = Exchange(loop, lambda: taker.take_now(), lambda: thread.wake())
    taker = Fetching(
        client,
        exchange,
        lambda s: thread.rest(s),
        Outage(),
        skips_corrupt=False,
        reads_what_is_left=True,
    )
    thread = OwnerThread("fetching", loop, taker.turn, lambda: None, exchange.fail)  # type: ignore[arg-type]  # fails with anything
    positions = dict.fromkeys(KEYS, 0)
    taker.open(positions)
    exchange.open(Assignment(1, positions, dict.fromkeys(KEYS)), Health(True, {}))
    await exchange.poll(KEYS, 1, 0.0, 0)
    thread.start()
    try:
        yield exchange
    finally:
        await thread.stop(5.0)


async def test_polls_take_what_there_is_in_the_thread_of_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "REST_S", 60.0)
    client, seen, calls = Client(1000), Counter[TopicPartition](), 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call" and "sdml_kafka" in frame.f_code.co_filename

    async with fetching_from(client) as exchange:
        gc.collect()
        collections = gc.get_stats()[0]["collections"]
        before = sys.getprofile()
        while seen.total() < COUNT:
            sys.setprofile(count)
            try:
                polled = await exchange.poll(KEYS, 8000, 1.0, 0)
            finally:
                sys.setprofile(before)
            seen.update({key: len(records) for key, records in polled.records.items()})
            del polled
    assert set(seen.values()) == {COUNT // PARTITIONS}
    # The thread takes the first batch, and waits for more at the end.
    assert client.calls["fetching"] <= 4
    assert client.calls.total() <= 1.2 * COUNT / supply.MAX_BATCH
    assert calls < 0.15 * COUNT
    # An object for each record that waits would cost one collection for 700 records.
    assert gc.get_stats()[0]["collections"] - collections < COUNT / 700 / 4


async def test_what_nobody_asks_for_is_not_paused_while_it_is_worked_on() -> None:
    """A pause drops what was fetched, all of which would be fetched again."""
    client, seen = Client(COUNT // PARTITIONS), 0
    async with fetching_from(client) as exchange:
        last: set[TopicPartition] = set()
        while seen < COUNT:
            # A partition whose records are being worked on is not asked for.
            polled = await exchange.poll([key for key in KEYS if key not in last], 500, 0.01, 0)
            seen += sum(map(len, polled.records.values()))
            last = set(polled.records)
    assert client.paused == []


async def test_what_nobody_asks_for_for_long_is_paused() -> None:
    client = Client(COUNT)
    async with fetching_from(client) as exchange:
        with anyio.fail_after(60):
            while not client.paused:
                await exchange.poll(KEYS[1:], 8000, 0.02, 0)
    assert client.paused == [0]
    assert exchange.partitions[KEYS[0]].count < 3 * supply.MAX_UNWANTED


async def test_the_leaders_of_a_topic_are_asked_for_once() -> None:
    """Left alone, librdkafka asks up to a second later, and begins to fetch then."""
    client = Client(COUNT)
    taker = Fetching(
        client,  # type: ignore[arg-type]  # does what is used here
        Exchange(ProgramLoop(), lambda: False, lambda: None),
        lambda s: None,
        Outage(),
        skips_corrupt=False,
        reads_what_is_left=True,
    )
    taker.open({KEYS[0]: 0, KEYS[1]: 0})
    taker.open({KEYS[2]: 0, TopicPartition("bills", 0): 0})
    assert client.looked_up == ["orders", "bills"]
