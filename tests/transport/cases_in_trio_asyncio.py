"""What the home on a loop of trio-asyncio does; run by `test_trio_asyncio_loop.py`."""

import asyncio
import gc
import logging

import anyio
import pytest
import sniffio
import trio
import trio.testing
import trio_asyncio

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.runtime.waiter import on_trio
from sdml_kafka.transport.asyncio_loop import Home, open_home
from tests.support.contracts.home import HomeContract

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", [("trio", {})])]


async def library() -> str:
    await asyncio.sleep(0)
    return sniffio.current_async_library()


class TestHome(HomeContract):
    pass


async def test_what_it_calls_runs_on_that_loop(enclosing_loop: object) -> None:
    async def loop_there() -> object:
        return asyncio.get_running_loop()

    async with open_home() as home:
        assert home.shares_the_thread
        assert not home.is_running_loop
        assert await home.call(loop_there) is enclosing_loop
        assert await home.call(library) == "asyncio"


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
