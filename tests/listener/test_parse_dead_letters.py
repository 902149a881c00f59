"""Records that do not parse go to the dead letters, and finish once these are acknowledged."""

from typing import Any

import anyio
import pytest

from sdml_kafka import SKIP, DeadLetter, Delivery, KafkaListener, TopicPartition
from sdml_kafka.errors import ConfigurationError, SendFailed, TooManyDeadLetters
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with, fill, loops
from tests.support.processing_on_twin import processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

DLT = TopicPartition(f"{TOPIC}-dlt", 0)


def number(record: Any) -> int:
    return int(record.value)


async def slow_number(record: Any) -> int:
    await anyio.sleep(0.01)
    return int(record.value)


def numbers_on(
    broker: MemoryBroker, policy: object = None, parser: Any = number, **options: Any
) -> KafkaListener:
    spec = {"topics": [TOPIC], "type": int, "parser": parser}
    policy = policy or DeadLetter()
    return processing_on(broker, parsers=[spec], on_parse_error=policy, **options)


def letters(broker: MemoryBroker) -> list[bytes | None]:
    return [each.value for each in broker.records(DLT)]


@pytest.mark.parametrize("parser", [number, slow_number])
async def test_a_stream_goes_on_and_the_record_is_written(parser: Any) -> None:
    broker = broker_with("1", "bad", "2")
    broker.create_topic(DLT.topic)
    async with numbers_on(broker, parser=parser) as listener:
        async with loops(await listener.subscribe(int)) as (loop,):
            await loop.has_seen(2)
            fill(broker, ["worse", "3", "worst"])  # which the reader parses
            await loop.has_seen(3)
            await until(lambda: listener.status().counters.finished >= 5)
            fill(broker, ["4"])
            await loop.has_seen(4)
        assert listener.status().counters.parse_errors == 3
        await until(lambda: len(letters(broker)) == 3)
    assert loop.seen == [1, 2, 3, 4]
    assert letters(broker) == [b"bad", b"worse", b"worst"]
    headers = dict(broker.records(DLT)[0].headers)
    assert headers["kafka_dlt-original-topic"] == TOPIC.encode()
    assert headers["kafka_dlt-original-offset"] == (1).to_bytes(8, "big")
    assert headers["kafka_dlt-exception-fqcn"] == b"builtins.ValueError"
    assert (broker.committed(GROUP, P0) or 0) >= 6


async def test_a_processor_goes_on_and_the_record_is_written() -> None:
    broker = broker_with("1", "bad", "2")
    broker.create_topic(DLT.topic)
    seen: list[int] = []

    async def handle(value: int, delivery: Delivery[int]) -> None:
        seen.append(value)

    async with numbers_on(broker) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.process, int, handle)
        await until(lambda: seen == [1, 2])
        fill(broker, ["worse", "3"])
        await until(lambda: seen == [1, 2, 3])
        await until(lambda: listener.status().counters.finished == 5)
        tasks.cancel_scope.cancel()
    assert letters(broker) == [b"bad", b"worse"]
    assert broker.committed(GROUP, P0) == 5


@pytest.mark.parametrize("warm", [False, True])
async def test_a_record_is_held_while_its_dead_letter_cannot_be_written(warm: bool) -> None:
    broker = broker_with(*(["0"] if warm else []))
    async with numbers_on(broker) as listener, loops(await listener.subscribe(int)) as (loop,):
        if warm:  # from now on readers parse
            await loop.has_seen(1)
        first = broker.end_offset(P0)
        fill(broker, ["bad", "1", "2"])
        await loop.has_seen(2 + warm)
        await until(lambda: bool(listener.status().held))
        await anyio.sleep(60.0)
        await listener.commit()
        assert (broker.committed(GROUP, P0) or 0) == first
        (held,) = listener.status().held
        assert (held.topic, held.offset, held.to) == (TOPIC, first, DLT.topic)
        broker.create_topic(DLT.topic)
        await until(lambda: not listener.status().held)
        await listener.commit()
        assert (broker.committed(GROUP, P0) or 0) > first
    assert letters(broker) == [b"bad"]


async def test_what_is_held_is_given_back_at_a_hand_over() -> None:
    broker = broker_with("bad", "1")
    async with numbers_on(broker) as listener, loops(await listener.subscribe(int)) as (loop,):
        await loop.has_seen(1)
        await until(lambda: bool(listener.status().held))
        began = anyio.current_time()
    assert anyio.current_time() - began < 1.0
    assert broker.committed(GROUP, P0) in (None, 0)
    broker.create_topic(DLT.topic)
    async with numbers_on(broker) as listener, loops(await listener.subscribe(int)):
        await until(lambda: listener.status().counters.finished >= 1 and letters(broker))
    assert letters(broker) == [b"bad"]


async def test_a_hand_over_waits_for_what_is_on_its_way() -> None:
    broker = broker_with("bad")
    broker.create_topic(DLT.topic)
    broker.slow_down(send_s=1.0)
    async with numbers_on(broker) as listener, loops(await listener.subscribe(int)):
        await until(lambda: listener.status().counters.parse_errors == 1)
        await anyio.sleep(0.1)
    assert letters(broker) == [b"bad"]
    assert broker.committed(GROUP, P0) == 1


async def test_a_send_in_doubt_is_repeated() -> None:
    broker = broker_with("bad")
    broker.create_topic(DLT.topic)
    broker.fail_sends(SendFailed("ordered", in_doubt=True), 2)
    async with numbers_on(broker) as listener, loops(await listener.subscribe(int)):
        await until(lambda: listener.status().counters.finished == 1)
    assert letters(broker) == [b"bad"]


@pytest.mark.parametrize("warm", [False, True])
async def test_too_many_in_a_row_stop_the_listener(warm: bool) -> None:
    broker = broker_with(*(["0"] if warm else []))
    broker.create_topic(DLT.topic)
    with pytest.raises(TooManyDeadLetters, match="4 records failed in a row") as raised:
        async with (
            numbers_on(broker, DeadLetter(max_consecutive=3)) as listener,
            loops(await listener.subscribe(int)) as (loop,),
        ):
            if warm:
                await loop.has_seen(1)
            fill(broker, ["a", "b", "c", "1", "d", "e", "f", "2", "g", "h", "i"])
            await until(lambda: listener.status().counters.parse_errors == 9)
            await anyio.sleep(1.0)
            fill(broker, ["j", "3"])
            await anyio.sleep(60.0)
    assert isinstance(raised.value.__cause__, ValueError)
    assert b"".join(each or b"" for each in letters(broker)) == b"abcdefghi"


async def test_a_part_of_all_records_may_fail() -> None:
    broker = broker_with(*map(str, range(40)))
    broker.create_topic(DLT.topic)
    policy = DeadLetter(max_ratio=0.25, window_s=1000.0)
    with pytest.raises(TooManyDeadLetters, match=r"of the last .* records failed"):
        async with (
            numbers_on(broker, policy) as listener,
            loops(await listener.subscribe(int)) as (loop,),
        ):
            await loop.has_seen(40)
            fill(broker, [f"bad-{count}" for count in range(20)])
            await anyio.sleep(60.0)
    assert 10 <= len(letters(broker)) <= 14


async def test_two_streams_of_a_topic_write_one_dead_letter() -> None:
    broker = broker_with("bad", "1")
    broker.create_topic(DLT.topic)
    specs = [
        {"topics": [TOPIC], "type": int, "parser": number},
        {"topics": [TOPIC], "type": float, "parser": lambda record: float(record.value)},
    ]
    listener = processing_on(broker, parsers=specs, on_parse_error=DeadLetter())
    async with (
        listener,
        loops(await listener.subscribe(int), await listener.subscribe(float)) as both,
    ):
        for loop in both:
            await loop.has_seen(1)
        await until(lambda: listener.status().counters.finished >= 1)
    assert letters(broker) == [b"bad"]


async def test_other_processors_are_not_disturbed() -> None:
    broker = broker_with("bad")
    seen: list[int] = []

    async def handle(value: int, delivery: Delivery[int]) -> None:
        seen.append(value)

    async with numbers_on(broker) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.process, int, handle)
        await until(lambda: bool(listener.status().held))
        fill(broker, ["1"])
        await until(lambda: seen == [1])
        tasks.cancel_scope.cancel()


async def test_dead_letters_need_a_producer_and_are_made_before() -> None:
    broker = broker_with()
    spec: Any = {"topics": [TOPIC], "type": int, "parser": number}
    with pytest.raises(ConfigurationError, match="producer_factory"):
        KafkaListener([spec], transport=broker.connect(GROUP), on_parse_error=DeadLetter())
    with pytest.raises(ConfigurationError, match="on_parse_error is"):
        processing_on(broker, parsers=[spec], on_parse_error=DeadLetter)


async def test_a_record_that_is_not_for_a_parser_needs_no_dead_letter() -> None:
    broker = broker_with("1", "skip", "2")
    broker.create_topic(DLT.topic)

    def parse(record: Any) -> Any:
        return SKIP if record.value == b"skip" else int(record.value)

    async with (
        numbers_on(broker, parser=parse) as listener,
        loops(await listener.subscribe(int)) as (loop,),
    ):
        await loop.has_seen(2)
    assert letters(broker) == []
