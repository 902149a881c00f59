"""Where a client lives in a trio program that has opened a loop of trio-asyncio, or has not."""

import subprocess
import sys
import threading

import anyio
import pytest

from sdml_kafka.transport.asyncio_loop import open_home
from sdml_kafka.transport.trio_asyncio_loop import enclosing_loop
from tests.support.run_in_trio_asyncio import run_in_trio_asyncio


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_without_a_loop_of_trio_asyncio_a_member_lives_in_a_thread() -> None:
    assert enclosing_loop() is None
    async with open_home(has_heartbeats=True) as home:
        assert not home.shares_the_thread
        assert await home.call(_thread) is not threading.current_thread()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_on_asyncio_it_is_the_loop_that_runs() -> None:
    async with open_home() as home:
        assert home.is_running_loop
        assert await home.call(_thread) is threading.current_thread()


async def _thread() -> threading.Thread:
    return threading.current_thread()


def test_nothing_of_ours_imports_trio_asyncio() -> None:
    program = (
        "import sys, trio, anyio, sdml_kafka\n"
        "from sdml_kafka import *\n"
        "from sdml_kafka.transport.asyncio_loop import open_home\n"
        "async def main():\n"
        "    async with open_home() as home:\n"
        "        await home.call(lambda: anyio.sleep(0))\n"
        "trio.run(main)\n"
        "assert 'trio_asyncio' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_in_its_loop_the_client_lives_there_and_its_errors_end_nobody() -> None:
    run_in_trio_asyncio("tests/transport/cases_in_trio_asyncio.py", timeout_s=120)


def test_a_loop_that_is_not_trios_is_not_taken_for_one() -> None:
    assert anyio.run(_enclosing) is None


async def _enclosing() -> object:
    return enclosing_loop()
