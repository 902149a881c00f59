"""A parser that needs something first holds its record, in order; nothing is skipped or spun on."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from logging import INFO, WARNING
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import (
    Batch,
    KafkaListener,
    NotYet,
    Record,
    Retry,
    RetryTopics,
    Send,
    TopicPartition,
)
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    P0,
    TOPIC,
    broker_with,
    fill,
    listener_on,
    loops,
    parsed_by,
    take_last,
)
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


class Schemas:
    """A parser of texts that needs something for each first letter, which takes its time."""

    def __init__(self, takes_s: float = 5.0) -> None:
        self.known: set[str] = set()
        self.asked: list[str] = []
        self.cancelled = 0
        self.takes_s = takes_s
        self.is_away = False
        self.error: Exception | None = None

    def __call__(self, record: Record) -> str:
        text = (record.value or b"").decode()
        if text[0] not in self.known:
            raise NotYet("the schema is away", lambda: self._prepare(text[0]))
        return text

    async def _prepare(self, letter: str) -> None:
        self.asked.append(letter)
        try:
            await anyio.sleep(self.takes_s)
            await until(lambda: not self.is_away, 1000)
        except BaseException:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        self.known.add(letter)


async def test_a_loop_waits_and_goes_on_in_order() -> None:
    schemas = Schemas()
    broker = broker_with("a1", "a2", "b1", "a3", "b2")
    async with listener_on(broker, parsers=parsed_by(schemas)) as listener:
        stream = await listener.subscribe(str)
        assert await take_last(stream, 5) == ["a1", "a2", "b1", "a3", "b2"]
        assert listener.status().counters.parse_errors == 0
    assert schemas.asked[0] == "a"
    assert schemas.known == {"a", "b"}
    assert broker.committed("group", P0) == 5


async def test_a_loop_waits_when_the_reader_parses() -> None:
    schemas = Schemas()
    broker = broker_with("a1")
    async with listener_on(broker, parsers=parsed_by(schemas)) as listener:
        stream = await listener.subscribe(str)
        assert await take_last(stream, 1) == ["a1"]
        fill(broker, ["a2", "b1", "b2"])  # which the reader parses by now, as it takes each
        assert await take_last(stream, 3) == ["a2", "b1", "b2"]
    assert schemas.asked.count("b") == 1


async def test_other_partitions_go_on_in_another_loop() -> None:
    schemas = Schemas()
    schemas.known.add("a")
    schemas.is_away = True
    broker = broker_with("b1", partitions=2)
    fill(broker, ["a1", "a2"], partition=1)
    async with listener_on(broker, parsers=parsed_by(schemas)) as listener:
        stream = await listener.subscribe(str)
        async with loops(stream, stream) as (first, second):
            await until(lambda: sorted(first.seen + second.seen) == ["a1", "a2"])
            assert listener.status().partitions[P0].waits_for is not None


async def test_status_health_and_log_say_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(INFO, "sdml_kafka")
    schemas = Schemas()
    schemas.is_away = True
    broker = broker_with("a1", "a2")
    async with listener_on(broker, parsers=parsed_by(schemas)) as listener:
        stream = await listener.subscribe(str)
        async with loops(stream) as (loop,):
            await anyio.sleep(0.5)
            assert listener.health().ready
            await anyio.sleep(10)
            health = listener.health()
            assert (health.state, health.ready, health.live) == ("held", False, True)
            assert "record 0 waits: the schema is away" in health.reason
            assert listener.status().partitions[P0].waits_for_s > 9
            schemas.is_away = False
            await loop.has_seen(2)
            assert listener.status().partitions[P0].waits_for is None
            assert listener.health().ready
            await anyio.sleep(5)
    lines = [r.getMessage() for r in caplog.records if "is held" in r.getMessage()]
    assert len([r for r in caplog.records if r.levelno == WARNING]) == 1
    assert lines[0].startswith("'topic' 0 is held, and goes on with nothing skipped")
    assert lines[1].startswith("'topic' 0 is held no longer")


async def test_what_cannot_be_had_is_a_parse_error() -> None:
    schemas = Schemas()
    schemas.error = ValueError("there is no such schema")
    broker = broker_with("a1", "a2")
    async with listener_on(broker, parsers=parsed_by(schemas)) as listener:
        async with loops(await listener.subscribe(str)):
            await until(lambda: listener.status().counters.parse_errors == 2)
        await listener.commit()
    assert broker.committed("group", P0) == 2


async def test_a_parser_that_is_never_content_does_not_spin() -> None:
    async def nothing() -> None:
        pass

    def parse(record: Record) -> str:
        raise NotYet("never", nothing)

    listener = listener_on(broker_with("a"), parsers=parsed_by(parse))
    async with listener, loops(await listener.subscribe(str)):
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
    assert listener.status().counters.parse_errors == 0


async def test_a_parser_may_ask_any_number_of_times() -> None:
    left = 2000  # far more than Python lets functions call each other

    async def nothing() -> None:
        pass

    def parse(record: Record) -> str:
        nonlocal left
        left -= 1
        if left > 0:
            raise NotYet("not yet", nothing)
        return "content"

    listener = listener_on(broker_with("a"), parsers=parsed_by(parse))
    async with listener:
        stream = await listener.subscribe(str)
        assert await take_last(stream, 1) == ["content"]
    assert listener.status().counters.parse_errors == 0


async def test_a_loop_that_is_cancelled_gives_its_record_back() -> None:
    schemas = Schemas()
    schemas.known.add("a")
    broker = broker_with("a1")
    async with listener_on(broker, parsers=parsed_by(schemas)) as listener:
        stream = await listener.subscribe(str)
        assert await take_last(stream, 1) == ["a1"]
        fill(broker, ["b1"])
        with anyio.move_on_after(2):
            await take_last(stream, 1)
        assert schemas.cancelled == 1
        assert await take_last(stream, 1) == ["b1"]


@asynccontextmanager
async def in_a_loop(listener: KafkaListener) -> AsyncIterator[None]:
    async with loops(await listener.subscribe(str)):
        yield


def in_a_processor(listener: KafkaListener) -> Any:
    async def handle(value: str, delivery: Any) -> None:
        pass

    return processing(listener, handle)


@pytest.mark.parametrize("reading", [in_a_loop, in_a_processor])
@pytest.mark.parametrize("read_before", [False, True])
async def test_a_hand_over_does_not_wait(
    reading: Callable[[KafkaListener], Any], read_before: bool
) -> None:
    schemas, others = Schemas(), Schemas()
    schemas.is_away = True
    if read_before:
        schemas.known.add("a")
    broker = MemoryBroker({TOPIC: 2})
    first = processing_on(broker, parsers=parsed_by(schemas))
    async with first as listener, reading(listener):
        if read_before:
            fill(broker, ["a1"])
            await until(lambda: listener.status().counters.finished == 1)
        fill(broker, ["b1"], partition=0)
        fill(broker, ["b1"], partition=1)
        await until(lambda: len(schemas.asked) >= 1)
        began = anyio.current_time()
        second = processing_on(broker, parsers=parsed_by(others))
        async with second as other, reading(other):
            await until(lambda: len(other.assigned_table().get(TOPIC, [])) == 1)
            assert anyio.current_time() - began < 2.0  # seconds; to drain would take 3
            schemas.is_away = False
            await until(lambda: other.status().counters.finished >= 1)
            await until(lambda: listener.status().counters.finished >= 1 + read_before)
        assert listener.status().counters.late_finishes == 0


@pytest.mark.parametrize("reading", [in_a_loop, in_a_processor])
async def test_leaving_does_not_wait(reading: Callable[[KafkaListener], Any]) -> None:
    schemas = Schemas()
    schemas.is_away = True
    broker = broker_with("a1", "a2")
    async with processing_on(broker, parsers=parsed_by(schemas)) as listener, reading(listener):
        await until(lambda: bool(schemas.asked))
        began = anyio.current_time()
    assert anyio.current_time() - began < 2.0
    assert not broker.committed("group", P0)


async def test_a_processor_waits_and_counts_no_attempt() -> None:
    schemas = Schemas()
    broker = broker_with("a1", "a2", "a3", "b1", partitions=2)
    seen: list[tuple[str, int]] = []

    async def handle(value: str, delivery: Any) -> None:
        seen.append((value, delivery.attempt))

    async with (
        processing_on(broker, parsers=parsed_by(schemas)) as listener,
        processing(listener, handle, order="partition", retry=Retry(attempts=2)),
    ):
        await until(lambda: len(seen) == 4)
        (status,) = listener.status().processors.values()
        assert (status.retries, status.failures) == (0, 0)
        assert (status.handler_p99_s or 0.0) < 1.0
    assert seen == [("a1", 1), ("a2", 1), ("a3", 1), ("b1", 1)]


async def test_a_held_record_is_no_stuck_handler() -> None:
    schemas = Schemas()
    schemas.known.add("a")
    schemas.is_away = True
    broker = broker_with("a1", "b1")
    async with (
        processing_on(broker, parsers=parsed_by(schemas)) as listener,
        processing(listener, _nothing, order="partition"),
    ):
        await until(lambda: listener.status().counters.finished == 1)
        await anyio.sleep(100)
        assert {part.state for part in listener.health().parts} <= {"held", "idle", "moving"}
        assert listener.health().state == "held"


async def _nothing(value: str, delivery: Any) -> None:
    pass


async def test_batches_wait() -> None:
    schemas = Schemas()
    broker = broker_with("a1", "b1", "a2")
    batches: list[list[str]] = []

    async def handle(deliveries: list[Any]) -> None:
        batches.append([delivery.value for delivery in deliveries])

    async with (
        processing_on(broker, parsers=parsed_by(schemas)) as listener,
        processing(listener, handle, batch=Batch(3, 1.0), order="partition"),
    ):
        await until(lambda: listener.status().counters.finished == 3)
    assert [value for batch in batches for value in batch] == ["a1", "b1", "a2"]


async def test_retry_topics_wait() -> None:
    is_there = False
    seen: list[tuple[int, float]] = []

    async def prepare() -> None:
        nonlocal is_there
        await anyio.sleep(20.0)
        is_there = True

    def parse(record: Record) -> str:
        if record.topic != TOPIC and not is_there:
            raise NotYet("the schema is away", prepare)
        return "a"

    async def handle(value: str, delivery: Any) -> None:
        seen.append((delivery.attempt, anyio.current_time()))
        if delivery.attempt == 1:
            raise ValueError("not now")

    async with (
        processing_on(broker_with("a"), parsers=parsed_by(parse)) as listener,
        processing(listener, handle, retry=RetryTopics(5.0)),
    ):
        await until(lambda: len(seen) == 2)
    (_, began), (attempt, ended) = seen
    assert (attempt, ended - began >= 20.0) == (2, True)


class Order:
    pass


async def test_what_a_handler_returns_waits_for_its_serializer() -> None:
    is_there = False

    async def prepare() -> None:
        nonlocal is_there
        await anyio.sleep(5.0)
        is_there = True

    def serialize(value: Order) -> bytes:
        if not is_there:
            raise NotYet("the schema is away", prepare)
        return b"order"

    async def handle(value: str, delivery: Any) -> Send:
        return Send("orders", Order())

    broker = broker_with("a1", "a2")
    broker.create_topic("orders")
    async with (
        processing_on(broker, serializers={Order: serialize}) as listener,
        processing(listener, handle, order="partition"),
    ):
        await anyio.sleep(3.0)
        assert "schema is away" in listener.health().reason
        assert listener.status().counters.finished == 0
        await until(lambda: listener.status().counters.finished == 2)
        (status,) = listener.status().processors.values()
        assert (status.retries, status.failures) == (0, 0)
    assert [record.value for record in broker.records(TopicPartition("orders", 0))] == [
        b"order",
        b"order",
    ]
