"""Sending lines on the twin, in virtual time."""

import gc
from collections.abc import AsyncGenerator, Iterable
from functools import partial
from inspect import AGEN_CLOSED, getasyncgenstate

import anyio
import pytest

from sdml_kafka import KafkaProducer, TopicPartition
from sdml_kafka.cli.send import line_sender as module
from sdml_kafka.cli.send.json_lines import Outgoing, read_line
from sdml_kafka.cli.send.line_sender import LineSender, NotSent, WrongLine
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

P0 = TopicPartition("topic", 0)


def plain(line: bytes) -> Outgoing:
    return Outgoing(line, None, ())


async def lines(*chunks: Iterable[bytes]) -> AsyncGenerator[Iterable[bytes]]:
    for chunk in chunks:
        yield chunk


async def then_nothing(*chunks: Iterable[bytes]) -> AsyncGenerator[Iterable[bytes]]:
    for chunk in chunks:
        yield chunk
    await anyio.sleep_forever()


def values(broker: MemoryBroker) -> list[bytes | None]:
    return [record.value for record in broker.records(P0)]


async def test_all_lines_are_acknowledged() -> None:
    broker = MemoryBroker({"topic": 1})
    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        await LineSender(producer, "topic", plain).run(lines([b"a", b""], [], [b"c"]))
        assert producer.status().sent == 3
    assert values(broker) == [b"a", b"", b"c"]


async def test_lines_without_anything_are_skipped_and_counted_if_they_make_no_record() -> None:
    broker = MemoryBroker({"topic": 1})
    chunk = [b"", b'{"value": "a"}', b" \r", b'{"value": null, "key": null}', b"x"]
    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        make = partial(read_line, key=None, headers=())
        sender = LineSender(producer, "topic", make, skips_empty=True)
        with pytest.raises(WrongLine, match="line 5: not JSON"):
            await sender.run(lines(chunk))
    assert values(broker) == [b"a", None]


@pytest.mark.parametrize(
    ("chunk", "error"),
    [
        ([b"no JSON", b"{}"], WrongLine),
        ([b'{"value": "a", "partition": 7}', b'{"value": "b"}'], NotSent),
    ],
    ids=["a wrong line", "a failure while the next line waits"],
)
async def test_lines_that_are_broken_off_are_closed(
    chunk: list[bytes], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1)
    broker = MemoryBroker({"topic": 1})
    given = lines(chunk, [b"{}"])
    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        with pytest.raises(error):
            make = partial(read_line, key=None, headers=())
            await LineSender(producer, "topic", make).run(given)
    assert getasyncgenstate(given) == AGEN_CLOSED
    del given
    gc.collect()  # trio warns of a generator that is left to it, and a warning fails the test


async def test_what_is_on_its_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 3 * (1000 + module.EXTRA_BYTES))
    broker = MemoryBroker({"topic": 1})
    broker.hold_sends()
    chunk = [b"%01000d" % number for number in range(20)]
    async with (
        KafkaProducer(transport=broker.connect_producer()) as producer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(LineSender(producer, "topic", plain).run, lines(chunk))
        await anyio.sleep(1)
        assert producer.status().waiting == 3
        broker.release_sends()
    assert values(broker) == chunk


async def test_a_line_larger_than_the_bound_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    broker = MemoryBroker({"topic": 1})
    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        await LineSender(producer, "topic", plain).run(lines([b"x" * 100, b"y" * 100]))
    assert len(values(broker)) == 2


async def test_lines_before_a_wrong_one_are_acknowledged() -> None:
    broker = MemoryBroker({"topic": 1})

    def make(line: bytes) -> Outgoing:
        return read_line(line, None, ())

    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        given = lines([b'{"value": "a"}'], [b'{"value": "b"}', b"c"], [b'{"value": "d"}'])
        with pytest.raises(WrongLine, match=r"^line 3: not JSON"):
            await LineSender(producer, "topic", make).run(given)
        assert producer.status().sent == 2
    assert values(broker) == [b"a", b"b"]


async def test_a_failure_ends_it_while_no_line_comes() -> None:
    broker = MemoryBroker({"topic": 1})
    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        with pytest.raises(NotSent, match=r"^line 1: .*nowhere"):
            await LineSender(producer, "nowhere", plain).run(then_nothing([b"a"]))


async def test_a_partition_that_is_not_there() -> None:
    broker = MemoryBroker({"topic": 1})

    def make(line: bytes) -> Outgoing:
        return Outgoing(line, None, (), int(line))

    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        with pytest.raises(NotSent, match=r"^line 2: .*there is no 7"):
            await LineSender(producer, "topic", make).run(then_nothing([b"0", b"7", b"0"]))
