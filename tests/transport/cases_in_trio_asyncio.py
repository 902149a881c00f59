"""What the home on a loop of trio-asyncio does; run by `test_trio_asyncio_loop.py`."""

import asyncio
import gc
import logging
from collections.abc import Callable
from functools import partial

import anyio
import pytest
import sniffio
import trio
import trio.testing
import trio_asyncio

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.runtime.waiter import on_trio
from sdml_kafka.transport.asyncio_loop import Home, open_home

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", [("trio", {})])]


async def library() -> str:
    await asyncio.sleep(0)
    return sniffio.current_async_library()


async def test_what_it_calls_runs_on_that_loop(enclosing_loop: object) -> None:
    async def loop_there() -> object:
        return asyncio.get_running_loop()

    async with open_home() as home:
        assert home.shares_the_thread
        assert not home.is_running_loop
        assert await home.call(loop_there) is enclosing_loop
        assert await home.call(library) == "asyncio"


async def test_functions_cross_in_order_and_see_their_own_side() -> None:
    seen: list[tuple[str, int]] = []
    done = anyio.Event()

    def here(number: int) -> Callable[[], object]:
        return lambda: seen.append((sniffio.current_async_library(), number))

    async with open_home() as home:

        def there(home: Home, number: int) -> None:
            seen.append((sniffio.current_async_library(), number))
            home.call_back(here(number))

        for number in range(3):
            home.call_soon(partial(there, home, number))
        home.call_soon(lambda: home.call_back(done.set))
        with anyio.fail_after(5):
            await done.wait()
    assert [number for side, number in seen if side == "asyncio"] == [0, 1, 2]
    assert [number for side, number in seen if side == "trio"] == [0, 1, 2]


async def test_a_cancelled_call_is_cancelled_there() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("there")

    async with open_home() as home:
        with anyio.move_on_after(0.05) as scope:
            await home.call(wait)
    assert scope.cancelled_caught
    assert ended == ["there"]


async def test_a_task_that_somebody_else_cancels_is_a_failure_and_no_cancellation() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    async with open_home() as home:
        with pytest.raises(ConsumerFailed, match="cancelled"):
            await home.call(cancelled)


async def test_an_error_that_nobody_retrieves_is_logged_and_ends_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def lose_an_error() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ConsumerFailed("lost"))
        del future
        gc.collect()

    async with open_home() as home:
        with caplog.at_level(logging.ERROR, "asyncio"):
            await home.call(lose_an_error)
            await trio.testing.wait_all_tasks_blocked(0.01)
    assert "lost" in caplog.text


async def test_other_peoples_errors_still_end_the_loop() -> None:
    async def lose_an_error() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ZeroDivisionError("mine"))
        del future
        gc.collect()

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with trio_asyncio.open_loop() as loop, open_home():
            await loop.run_aio_coroutine(lose_an_error())
            await trio.testing.wait_all_tasks_blocked(0.01)


async def test_asyncio_code_inside_is_asyncio_to_us() -> None:
    async def look() -> tuple[bool, bool]:
        async with open_home() as home:
            return on_trio(), home.is_running_loop

    assert on_trio()
    assert await trio_asyncio.aio_as_trio(look)() == (False, True)


async def test_after_the_loops_end_a_call_fails_clearly() -> None:
    async with trio_asyncio.open_loop():
        home_context = open_home()
        home = await home_context.__aenter__()
    with pytest.raises(ConsumerFailed, match="ended"):
        await home.call(library)
    await home_context.__aexit__(None, None, None)


async def test_a_call_that_waits_as_the_loop_ends_fails_too() -> None:
    raised: list[BaseException] = []

    async def call(home: Home) -> None:
        try:
            await home.call(asyncio.Event().wait)
        except ConsumerFailed as error:
            raised.append(error)

    async with anyio.create_task_group() as outside:
        async with trio_asyncio.open_loop():
            home_context = open_home()
            home = await home_context.__aenter__()
            outside.start_soon(call, home)
            await trio.testing.wait_all_tasks_blocked(0.01)
        await home_context.__aexit__(None, None, None)
    assert len(raised) == 1
