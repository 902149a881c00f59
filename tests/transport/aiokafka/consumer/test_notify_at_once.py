"""Records that were fetched are known in the turn in which they are there."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from sdml_kafka.transport.aiokafka.consumer.internals import notify_at_once

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


class Fetcher:
    """As much of aiokafka's fetcher as a fetch needs."""

    def __init__(self, has_records: bool) -> None:
        self.has_records = has_records
        self._fetch_waiters = {asyncio.get_running_loop().create_future()}

    async def _proc_fetch_request(self, *request: object) -> bool:
        return self.has_records

    def _notify(self, waiter: "asyncio.Future[None]") -> None:
        if not waiter.done():
            waiter.set_result(None)

    @property
    def is_notified(self) -> bool:
        return all(waiter.done() for waiter in self._fetch_waiters)


def fetch(fetcher: Any, turns: int) -> "asyncio.Task[bool]":
    notify_at_once(SimpleNamespace(_fetcher=fetcher), lambda: turns)
    return asyncio.create_task(fetcher._proc_fetch_request(None, 0, None))


async def turns_of(task: "asyncio.Task[Any]") -> int:
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


@pytest.mark.parametrize("head_start", [0, 2])
async def test_the_next_fetch_waits_until_the_records_were_taken(head_start: int) -> None:
    fetcher = Fetcher(has_records=True)
    task = fetch(fetcher, head_start)
    await asyncio.sleep(0)
    assert fetcher.is_notified
    assert not task.done()
    assert await turns_of(task) == 1 + head_start
    assert await task is True


async def test_nobody_is_woken_for_nothing() -> None:
    fetcher = Fetcher(has_records=False)
    task = fetch(fetcher, 2)
    await asyncio.sleep(0)
    assert task.done()
    assert not fetcher.is_notified


async def test_a_fetch_that_is_cancelled_then_ends_without_an_error() -> None:
    fetcher = Fetcher(has_records=True)
    task = fetch(fetcher, 2)
    await asyncio.sleep(0)
    task.cancel()
    assert await task is True
