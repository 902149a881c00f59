"""The loop that trio drives: what runs where, who waits for what, and how it ends."""

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable

import anyio
import anyio.lowlevel
import pytest
import sniffio
import trio

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.runtime.waiter import on_trio
from sdml_kafka.transport.asyncio_loop import Home, open_home
from sdml_kafka.transport.driven_loop import DrivenLoop
from tests.support.contracts.home import HomeContract

pytestmark = pytest.mark.anyio

PATIENCE_S = 10.0


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


class TestHome(HomeContract):
    pass


@pytest.fixture
async def home(anyio_backend: object) -> AsyncGenerator[Home]:
    async with open_home() as home:
        assert isinstance(home, DrivenLoop)
        yield home


async def test_a_client_with_heartbeats_lives_in_a_thread() -> None:
    async with open_home(has_heartbeats=True) as home:
        assert not home.shares_the_thread


@pytest.mark.timeout(20)
async def test_a_thread_that_gets_no_loop_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio.Runner, "get_loop", refuse)
    with pytest.raises(ConsumerFailed, match="Too many open files"):
        async with open_home(has_heartbeats=True):
            pass


async def test_calls_run_in_this_thread_and_are_asyncio_to_everybody(home: Home) -> None:
    async def look() -> tuple[object, ...]:
        await asyncio.sleep(0)
        return threading.current_thread(), sniffio.current_async_library(), on_trio()

    assert await home.call(look) == (threading.current_thread(), "asyncio", False)
    assert sniffio.current_async_library() == "trio"


async def test_timers_threads_and_sockets_wake_the_loop(home: Home) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def use_everything() -> bytes:
        await anyio.sleep(0.01)
        await asyncio.to_thread(lambda: None)
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        line = await reader.read()
        writer.close()
        server.close()
        return line

    with anyio.fail_after(PATIENCE_S):
        assert await home.call(use_everything) == b"hello\n"


async def test_an_earlier_timer_does_not_wait_for_a_later_one(home: Home) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(home.call, lambda: asyncio.sleep(60))
        with anyio.fail_after(PATIENCE_S):
            await home.call(lambda: asyncio.sleep(0.01))
            await home.call(lambda: asyncio.sleep(0.01))
        tasks.cancel_scope.cancel()


async def test_a_loop_that_is_always_busy_lets_the_program_go_on(home: Home) -> None:
    busy = True

    async def spin() -> None:
        while busy:  # noqa: ASYNC110  to be busy is what it is for
            await asyncio.sleep(0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(home.call, spin)
        with anyio.fail_after(PATIENCE_S):
            for _ in range(20):
                await anyio.sleep(0.001)
        busy = False


async def test_what_is_handed_back_does_not_wait_until_the_loop_is_idle(home: Home) -> None:
    turns = 0
    handed_back = anyio.Event()

    async def hand_back_and_spin() -> None:
        nonlocal turns
        home.call_back(handed_back.set)
        while not handed_back.is_set():
            turns += 1
            await asyncio.sleep(0)

    with anyio.fail_after(PATIENCE_S):
        await home.call(hand_back_and_spin)
    assert turns <= 2


async def test_a_call_of_a_cancelled_caller_that_is_shielded_ends(home: Home) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(PATIENCE_S):
            await home.call(lambda: asyncio.sleep(0.01))


async def test_errors_that_nobody_retrieves_end_nobody(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    async def lose_an_error() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ZeroDivisionError("lost"))
        del future
        gc.collect()

    def leave() -> None:
        raise SystemExit(3)

    with caplog.at_level(logging.ERROR):
        await home.call(lose_an_error)
        home.call_soon(leave)
        await home.call(lambda: asyncio.sleep(0.01))
    assert "lost" in caplog.text
    assert "wanted to end the program" in caplog.text


async def test_a_loop_that_somebody_stops_goes_on(home: Home) -> None:
    async def stop_and_go_on() -> None:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)

    with anyio.fail_after(PATIENCE_S):
        await home.call(stop_and_go_on)


async def test_leaving_ends_what_runs_and_closes_the_loop() -> None:
    ended: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            ended.append("task")
            raise

    async def leave_something() -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        tasks.append(loop.create_task(linger()))
        await asyncio.sleep(0)
        return loop

    tasks: list[object] = []
    async with open_home() as home:
        loop = await home.call(leave_something)
    assert ended == ["task"]
    assert loop.is_closed()
    with pytest.raises(ConsumerFailed, match="ended"):
        await home.call(linger)
    home.call_soon(lambda: None)


async def test_what_is_handed_back_at_the_end_and_after_it_is_run() -> None:
    handed_back: list[str] = []
    async with open_home() as home:
        home.call_back(lambda: handed_back.append("before"))
    home.call_back(lambda: handed_back.append("after"))
    with anyio.fail_after(PATIENCE_S):
        while len(handed_back) < 2:
            await anyio.lowlevel.checkpoint()
    assert handed_back == ["before", "after"]


async def test_leaving_under_a_cancelled_scope_closes_the_loop_as_well() -> None:
    with anyio.CancelScope() as scope:
        async with open_home() as home:
            loop = await home.call(_running_loop)
            scope.cancel()
    assert loop.is_closed()


async def test_loops_side_by_side_do_not_disturb_each_other() -> None:
    async def work(home: Home, rounds: int) -> None:
        for _ in range(rounds):
            await home.call(lambda: asyncio.sleep(0.001))

    async with open_home() as one, open_home() as other, anyio.create_task_group() as tasks:
        assert await one.call(_running_loop) is not await other.call(_running_loop)
        tasks.start_soon(work, one, 30)
        tasks.start_soon(work, other, 30)


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_an_interrupt_that_lands_there_is_the_programs() -> None:
    program = (
        "import os, signal, trio\n"
        "from sdml_kafka.transport.asyncio_loop import open_home\n"
        "async def interrupt():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "async def main():\n"
        "    async with open_home() as home:\n"
        "        try:\n"
        "            await home.call(interrupt)\n"
        "            await trio.sleep(60)\n"
        "        finally:\n"
        "            with trio.CancelScope(shield=True):\n"
        "                await home.call(lambda: __import__('asyncio').sleep(0.01))\n"
        "            print('cleaned up', flush=True)\n"
        "try:\n"
        "    trio.run(main)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.split("\n")[:2] == ["cleaned up", "interrupted"]


def test_a_program_may_import_trio_asyncio_meanwhile() -> None:
    program = (
        "import asyncio, trio\n"
        "from sdml_kafka.transport.asyncio_loop import open_home\n"
        "async def look():\n"
        "    await asyncio.sleep(0.01)\n"
        "    return asyncio.get_running_loop()\n"
        "async def main():\n"
        "    async with open_home() as home:\n"
        "        before = await home.call(look)\n"
        "        import trio_asyncio\n"
        "        assert await home.call(look) is before\n"
        "        assert trio_asyncio.current_loop.get() is None\n"
        "        async with trio_asyncio.open_loop() as theirs:\n"
        "            assert await home.call(look) is before\n"
        "            assert await trio_asyncio.aio_as_trio(look)() is theirs\n"
        "trio.run(main)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_in_a_trio_that_is_a_guest_of_asyncio_it_is_a_thread() -> None:
    outcomes: list[bool] = []

    async def guest() -> None:
        async with open_home() as home:
            outcomes.append(home.shares_the_thread)

    async def host() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def end(_: object) -> None:
            ended.set()

        run: Callable[..., object] = loop.call_soon_threadsafe
        trio.lowlevel.start_guest_run(guest, run_sync_soon_threadsafe=run, done_callback=end)
        await ended.wait()

    asyncio.run(host())
    assert outcomes == [False]
