"""What an async parser has parsed is handed out at once, and the status shows what it works on."""

from collections.abc import Awaitable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import SKIP, Skip
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TOPIC,
    Gate,
    Loop,
    broker_with,
    fill,
    listener_on,
    loops,
    parsed_by,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


class SlowAt:
    """Parsers that take 30 s over one text, and let nothing wait otherwise."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.started: list[str] = []

    async def parse(self, record: Any) -> str:
        text = str(record.value.decode())
        self.started.append(text)
        if text == self._text:
            await anyio.sleep(30)
        return text

    def call(self, record: Any) -> Awaitable[str]:
        return self.parse(record)

    def call_if_slow(self, record: Any) -> str | Awaitable[str]:
        text = str(record.value.decode())
        return self.parse(record) if text == self._text else text


each_kind = pytest.mark.parametrize("kind", ["parse", "call", "call_if_slow"])


@each_kind
@pytest.mark.parametrize("hint", [str, Any])
async def test_what_is_parsed_does_not_wait_for_what_is_not(kind: str, hint: Any) -> None:
    slow = SlowAt("3")
    broker = broker_with(*"012345", partitions=2)
    fill(broker, "678", 1)
    async with listener_on(broker, parsers=parsed_by(getattr(slow, kind), hint)) as listener:
        stream = await listener.subscribe(hint)
        async with loops(stream) as (loop,):
            began = anyio.current_time()
            await until(lambda: sorted(loop.seen) == list("012678"))
            assert anyio.current_time() - began < 10
            await listener.commit()
            assert (broker.committed(GROUP, P0), broker.committed(GROUP, P1)) == (3, 3)
            await loop.has_seen(9)
            assert anyio.current_time() - began > 25
            assert [text for text in loop.seen if text < "6"] == list("012345")


@each_kind
async def test_the_status_shows_what_is_being_parsed(kind: str) -> None:
    slow = SlowAt("1")
    broker, gate = broker_with(*"0123"), Gate()
    async with listener_on(broker, parsers=parsed_by(getattr(slow, kind))) as listener:
        stream = await listener.subscribe(str)
        async with loops(stream, work=gate):
            await until(lambda: listener.status().partitions[P0].in_flight == 1)
            partition = listener.status().partitions[P0]
            assert (partition.position, partition.parsing, partition.lag) == (1, 3, 4)
            await anyio.sleep(30)
            await until(lambda: listener.status().partitions[P0].in_flight == 4)
            assert listener.status().partitions[P0].parsing == 0
            gate.open()


async def test_one_after_another_arrives_as_it_is_parsed() -> None:
    async def parse(record: Any) -> str:
        await anyio.sleep(1)
        return str(record.value.decode())

    broker = broker_with(*map(str, range(10)))
    async with listener_on(broker, parsers=parsed_by(parse)) as listener:
        stream = await listener.subscribe(str)
        async with loops(stream) as (loop,):
            for count in range(1, 11):
                began = anyio.current_time()
                await loop.has_seen(count)
                assert anyio.current_time() - began < 1.5


async def test_two_specs_of_a_topic_keep_a_records_count_together() -> None:
    slow = SlowAt("3")

    async def number(record: Any) -> int | Skip:
        await anyio.sleep(0.01)
        return SKIP if record.value == b"1" else int(record.value)

    broker = broker_with(*"012345")
    specs = [*parsed_by(slow.parse), *parsed_by(number, int), *parsed_by(lambda r: r.value, bytes)]
    async with listener_on(broker, parsers=specs) as listener:
        streams = [await listener.subscribe(kind) for kind in (str, int, bytes)]
        async with loops(*streams) as (texts, numbers, raw):
            await until(lambda: len(raw.seen) == 3)
            assert (texts.seen, numbers.seen, raw.seen) == (list("012"), [0, 2], [b"0", b"1", b"2"])
            await listener.commit()
            assert broker.committed(GROUP, P0) == 3
            await raw.has_seen(6)
            await until(lambda: numbers.seen == [0, 2, 3, 4, 5] and texts.seen == list("012345"))


async def test_nothing_more_is_parsed_once_the_partition_is_revoked() -> None:
    started: list[bytes] = []

    async def parse(record: Any) -> str:
        started.append(record.value)
        await anyio.sleep(0.1)
        return str(record.value.decode())

    broker = broker_with(*map(str, range(400)))
    async with listener_on(broker, parsers=parsed_by(parse)) as listener:
        stream = await listener.subscribe(str)
        async with loops(stream) as (loop,):
            await loop.has_seen(5)
            async with listener_on(broker, parsers=parsed_by(parse)):
                await until(lambda: not listener.status().partitions or len(started) > 20)
                before = len(started)
                await anyio.sleep(10)
                # The second member, without a stream, reads nothing.
                if not listener.status().partitions:
                    assert len(started) - before <= 1


async def test_a_parser_that_never_waits_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # A clock that runs while the parser computes.
    now = 0.0

    async def parse(record: Any) -> str:
        nonlocal now
        now += 0.001
        return str(record.value.decode())

    broker = broker_with(*map(str, range(400)))
    async with listener_on(broker, parsers=parsed_by(parse)) as listener:
        stream = await listener.subscribe(str)
        real = anyio.current_time
        monkeypatch.setattr(
            "sdml_kafka.listener.batch_parser.anyio.current_time", lambda: real() + now
        )
        async with anyio.create_task_group() as tasks:
            loop = Loop(stream)
            tasks.start_soon(loop.run)
            turns = 0
            while len(loop.seen) < 400:
                turns += 1
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert turns > 10
    assert loop.seen == [str(number) for number in range(400)]


async def test_a_plain_parser_beside_one_that_waits_is_not_held_up() -> None:
    slow = SlowAt("0")
    broker = MemoryBroker({TOPIC: 1, "plain": 1})
    fill(broker, "0")
    broker.produce("plain", b"x")
    specs: list[Any] = [
        *parsed_by(slow.call),
        {"topics": ["plain"], "type": bytes, "parser": lambda record: record.value},
    ]
    async with listener_on(broker, parsers=specs) as listener:
        await listener.subscribe(str)
        stream = await listener.subscribe(bytes)
        async with loops(stream) as (loop,):
            began = anyio.current_time()
            await loop.has_seen(1)
            assert anyio.current_time() - began < 10
