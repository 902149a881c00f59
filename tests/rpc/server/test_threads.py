"""Handlers that need real time: plain functions in threads, and loops that never wait."""

import asyncio
import threading
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import Call
from tests.support.client_by_hand import (
    PATIENCE_S,
    ask,
    echo,
    new_broker,
    outcomes,
    replies,
    serving,
)

pytestmark = pytest.mark.anyio

in_real_time = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": False}), ("trio", {})], ids=["asyncio", "trio"]
)
on_asyncio = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": False})], ids=["asyncio"]
)


@in_real_time
async def test_a_plain_function_runs_in_a_thread() -> None:
    broker, threads = new_broker(), set[int]()

    def handle(value: bytes, call: Call) -> bytes:
        threads.add(threading.get_ident())
        assert call.remaining_s is not None
        assert call.remaining_s > 0
        return value.upper()

    async with serving(broker, handle):
        ask(broker, b"value", timeout_ms=60_000)
        assert await outcomes(broker, 1) == [b"VALUE"]
    assert threads
    assert threading.get_ident() not in threads


@in_real_time
async def test_more_threads_than_anyios_own_limit() -> None:
    broker, barrier = new_broker(), threading.Barrier(60)

    def handle(value: bytes, call: Call) -> None:
        barrier.wait(PATIENCE_S)

    async with serving(broker, handle):
        for number in range(60):
            ask(broker, id_=str(number))
        await replies(broker, 60)


@in_real_time
async def test_a_plain_function_that_returns_a_coroutine() -> None:
    broker = new_broker()

    def handle(value: bytes, call: Call) -> Any:
        return echo(value, call)

    async with serving(broker, handle):
        ask(broker)
        assert await outcomes(broker, 1) == [b"value"]


@in_real_time
async def test_blocked_threads_do_not_pile_up() -> None:
    """A handler that blocks is answered for at its deadline, and keeps its place until it ends."""
    broker, release, started = new_broker(), threading.Event(), list[bytes]()

    def handle(value: bytes, call: Call) -> bytes:
        started.append(value)
        if value == b"block":
            release.wait(PATIENCE_S)
        return value

    try:
        async with serving(broker, handle, limit=2, drain_timeout=0.1):
            for _ in range(2):
                ask(broker, b"block", timeout_ms=1000)  # the threads begin before
            assert await outcomes(broker, 2) == [b"deadline_exceeded"] * 2
            ask(broker, b"next")
            await anyio.sleep(0.1)
            assert started == [b"block"] * 2
            release.set()
            assert (await outcomes(broker, 3))[2] == b"next"
    finally:
        release.set()


@on_asyncio
async def test_a_cancellation_that_nobody_asked_for_is_an_error() -> None:
    broker = new_broker()

    async def handle(value: bytes, call: Call) -> bytes:
        if value == b"raise":
            raise asyncio.CancelledError
        if value == b"cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await anyio.sleep(1)
        return value

    async with serving(broker, handle, concurrency=1):
        for value in (b"raise", b"fine", b"cancel", b"fine", b"fine"):
            ask(broker, value)
        assert await outcomes(broker, 5) == [b"internal", b"fine", b"internal", b"fine", b"fine"]


@in_real_time
async def test_handlers_that_never_wait_let_others_run() -> None:
    broker, ticks = new_broker(), 0

    async def handle(value: bytes, call: Call) -> bytes:
        sum(range(10_000))
        return value

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.lowlevel.checkpoint()
            ticks += 1

    async with anyio.create_task_group() as tasks, serving(broker, handle):
        tasks.start_soon(tick)
        await anyio.lowlevel.checkpoint()
        for _ in range(500):
            ask(broker)
        before = ticks
        await replies(broker, 500)
        assert ticks > before + 5
        tasks.cancel_scope.cancel()
