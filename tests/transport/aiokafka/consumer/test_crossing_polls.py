"""Polls of a driver in a thread: no wake-up is lost, no records are, and few threads are woken."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Collection
from functools import partial
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.transport.aiokafka.consumer.crossing_polls import CrossingPolls
from sdml_kafka.transport.aiokafka.consumer.driver import ConsumerDriver
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Polled
from tests.support.counted_home import CountedHome, counted_home

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["trio"])]

PATIENCE_S = 10.0
P0 = TopicPartition("orders", 0)


class Driver:
    """Stands for a driver: what is fetched is put in from outside, on the thread's side."""

    def __init__(self) -> None:
        self.fetched: deque[int | BaseException] = deque()
        self.requests: list[tuple[Collection[TopicPartition], int]] = []
        self.waits = 0
        self._changed = asyncio.Event()

    def fetch(self, *what: int | BaseException) -> None:
        self.fetched.extend(what)
        self._changed.set()

    async def wait_fetched(self, timeout_s: float) -> None:
        self.waits += 1
        while not self.fetched:
            self._changed.clear()
            await self._changed.wait()

    async def poll(
        self, ready: Collection[TopicPartition], max_records: int, timeout_s: float, seeks: int
    ) -> Polled:
        self.requests.append((ready, max_records))
        await asyncio.sleep(0)
        what = self.fetched.popleft()
        if isinstance(what, BaseException):
            raise what
        return Polled({}, positions={P0: what})


class Member:
    def __init__(self, home: CountedHome, driver: Driver) -> None:
        self.home = home
        self.driver = driver
        self.polls = CrossingPolls(home, cast("ConsumerDriver", driver))

    async def fetch(self, *what: int | BaseException) -> None:
        async def fetch() -> None:
            self.driver.fetch(*what)

        await self.home.call(fetch)

    async def poll(self, most: int = 500) -> int:
        with anyio.fail_after(PATIENCE_S):
            return (await self.polls.poll([P0], most, 0.5)).positions[P0]

    async def quiet(self) -> None:
        """Wait until the thread waits for a request, or for records."""
        turns = 0
        while turns < 20:
            await self.home.call(lambda: asyncio.sleep(0))
            turns += 1


@pytest.fixture
async def member(anyio_backend: object) -> AsyncGenerator[Member]:
    async with counted_home() as home:

        async def make() -> Driver:
            return Driver()

        member = Member(home, await home.call(make))
        yield member
        home.call_soon(member.polls.end)


async def test_polls_bring_what_was_fetched_in_order(member: Member) -> None:
    await member.fetch(1, 2, 3)
    assert [await member.poll() for _ in range(3)] == [1, 2, 3]


async def test_nothing_is_taken_that_nobody_has_asked_for(member: Member) -> None:
    await member.fetch(1, 2)
    assert await member.poll() == 1
    await member.quiet()
    assert len(member.driver.requests) == 1
    assert await member.poll(7) == 2
    assert member.driver.requests[1] == ([P0], 7)


async def test_whoever_asks_first_wakes_nobody(member: Member) -> None:
    await member.fetch(1)
    await member.poll()
    await member.quiet()
    async with anyio.create_task_group() as tasks:
        for number in range(2, 102):
            before = member.home.wake_ups
            tasks.start_soon(member.poll)
            await anyio.wait_all_tasks_blocked()
            assert member.home.wake_ups == before  # the thread looks for itself
            await member.fetch(number)
            await member.quiet()


async def test_a_poll_that_was_cancelled_before_it_began_asks_for_nothing(member: Member) -> None:
    await member.fetch(1)
    await member.poll()
    await member.quiet()
    with anyio.move_on_after(0):
        await member.polls.poll([], 1, 0.5)
    await member.fetch(2)
    await member.quiet()
    assert len(member.driver.requests) == 1
    assert await member.poll(3) == 2
    assert member.driver.requests[1] == ([P0], 3)


async def test_the_records_of_a_poll_that_was_cancelled_are_the_next_ones(member: Member) -> None:
    """A hundred times, at every moment that there may be."""
    given, got = 0, list[int]()
    for turns in range(100):
        given += 1
        async with anyio.create_task_group() as tasks:

            async def poll() -> None:
                got.append(await member.poll())

            tasks.start_soon(poll)
            await anyio.lowlevel.checkpoint()
            member.home.call_soon(partial(member.driver.fetch, given))
            for _ in range(turns % 25):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    while len(got) < given:
        got.append(await member.poll())
    assert got == list(range(1, given + 1))


async def test_an_error_is_raised_and_the_next_poll_goes_on(member: Member) -> None:
    await member.fetch(ValueError("bad"), 2)
    with pytest.raises(ValueError, match="bad"):
        await member.poll()
    assert await member.poll() == 2


async def test_a_poll_that_waits_fails_when_the_consumer_is_closed(member: Member) -> None:
    async with anyio.create_task_group() as tasks:

        async def poll() -> None:
            with pytest.raises(ConsumerFailed, match="closed"):
                await member.poll()

        tasks.start_soon(poll)
        await anyio.wait_all_tasks_blocked()
        await member.quiet()
        member.home.call_soon(member.polls.end)
    with pytest.raises(ConsumerFailed, match="closed"):
        await member.poll()


async def test_a_first_poll_after_the_end_fails(member: Member) -> None:
    member.home.call_soon(member.polls.end)
    with pytest.raises(ConsumerFailed, match="closed"):
        await member.poll()


async def test_a_cancellation_that_nobody_has_asked_for_fails_the_polls(member: Member) -> None:
    await member.fetch(asyncio.CancelledError())
    with pytest.raises(ConsumerFailed, match="cancelled"):
        await member.poll()
    with pytest.raises(ConsumerFailed, match="cancelled"):
        await member.poll()
