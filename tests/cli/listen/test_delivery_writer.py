"""Deliveries that are written to a pipe, and which of them are finished."""

import os
from collections.abc import Iterator
from typing import cast

import anyio
import pytest
from attrs import define

from sdml_kafka import Delivery
from sdml_kafka.cli.listen.delivery_writer import DeliveryWriter
from sdml_kafka.cli.output import Output

pytestmark = pytest.mark.anyio
PATIENCE_S = 10.0


@define
class Pipe:
    reading: int
    writing: int

    def close_reading(self) -> None:
        os.close(self.reading)
        self.reading = -1

    def read(self) -> bytes:
        return os.read(self.reading, 1 << 20)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe(*os.pipe())
    yield pipe
    for fd in (pipe.reading, pipe.writing):
        if fd >= 0:
            os.close(fd)


@define
class Item:
    value: bytes
    is_done: bool = False

    def done(self) -> None:
        self.is_done = True


class Given:
    """Deliveries as a stream yields them; after the last one the stream waits or ends."""

    def __init__(self, items: list[Item], *, then_wait: bool = False) -> None:
        self._items = iter(items)
        self._then_wait = then_wait

    def __aiter__(self) -> "Given":
        return self

    async def __anext__(self) -> Delivery[bytes]:
        item = next(self._items, None)
        if item is not None:
            return cast(Delivery[bytes], item)
        if self._then_wait:
            await anyio.sleep_forever()
        raise StopAsyncIteration


def lines(count: int, size: int = 100) -> list[Item]:
    return [Item(f"{number:0{size - 1}}\n".encode()) for number in range(count)]


async def test_all_is_written_in_order_and_done(pipe: Pipe) -> None:
    items = lines(20)
    writer = DeliveryWriter(Output(pipe.writing), None)
    await writer.run(Given(items))
    assert pipe.read() == b"".join(item.value for item in items)
    assert all(item.is_done for item in items)
    assert writer.written == 20


async def test_the_maximum_is_taken_and_no_more(pipe: Pipe) -> None:
    items = lines(20)
    writer = DeliveryWriter(Output(pipe.writing), 7)
    with anyio.fail_after(PATIENCE_S):
        await writer.run(Given(items, then_wait=True))
    assert [item.is_done for item in items] == [True] * 7 + [False] * 13


async def test_a_full_pipe_holds_up_nobody_else(pipe: Pipe) -> None:
    items = lines(1000, size=1000)
    got = bytearray()
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(DeliveryWriter(Output(pipe.writing), None).run, Given(items))
            await anyio.wait_all_tasks_blocked()
            assert any(item.is_done for item in items)
            assert not items[-1].is_done
            while len(got) < 1_000_000:
                await anyio.wait_readable(pipe.reading)
                got += pipe.read()
    assert got == b"".join(item.value for item in items)
    assert all(item.is_done for item in items)


async def test_a_line_longer_than_the_pipe(pipe: Pipe) -> None:
    item = Item(b"x" * 300_000 + b"\n")
    got = bytearray()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(DeliveryWriter(Output(pipe.writing), None).run, Given([item]))
        with anyio.fail_after(PATIENCE_S):
            while len(got) < len(item.value):
                await anyio.wait_readable(pipe.reading)
                got += pipe.read()
    assert got == item.value
    assert item.is_done


async def test_what_a_closed_pipe_did_not_take_is_not_done(pipe: Pipe) -> None:
    items = lines(1000, size=1000)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            writer = DeliveryWriter(Output(pipe.writing), None)
            tasks.start_soon(writer.run, Given(items, then_wait=True))
            await anyio.wait_all_tasks_blocked()
            pipe.close_reading()
    done = [item.is_done for item in items]
    assert 0 < writer.written == sum(done) < 1000
    assert done == sorted(done, reverse=True)


async def test_a_pipe_that_is_closed_while_nothing_comes_ends_it(pipe: Pipe) -> None:
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            writer = DeliveryWriter(Output(pipe.writing), None)
            tasks.start_soon(writer.run, Given(lines(1), then_wait=True))
            await anyio.wait_all_tasks_blocked()
            pipe.close_reading()
    assert writer.written == 1


async def test_cancelled_it_drops_what_was_not_written(pipe: Pipe) -> None:
    items = lines(1000, size=1000)
    writer = DeliveryWriter(Output(pipe.writing), None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run, Given(items, then_wait=True))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert writer.written == sum(item.is_done for item in items) < 1000
