"""The contract of every home on trio whose loop is in the program's own thread."""

import asyncio
from functools import partial

import anyio
import pytest
import sniffio

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.transport.asyncio_loop import open_home

PATIENCE_S = 10.0


class HomeContract:
    async def test_functions_cross_in_order_and_see_their_own_side(self) -> None:
        seen: list[tuple[str, int]] = []
        done = anyio.Event()

        def here(number: int) -> None:
            seen.append((sniffio.current_async_library(), number))

        async with open_home() as home:

            def there(number: int) -> None:
                here(number)
                home.call_back(partial(here, number))

            for number in range(3):
                home.call_soon(partial(there, number))
            home.call_soon(lambda: home.call_back(done.set))
            with anyio.fail_after(PATIENCE_S):
                await done.wait()
        assert [number for side, number in seen if side == "asyncio"] == [0, 1, 2]
        assert [number for side, number in seen if side == "trio"] == [0, 1, 2]

    async def test_a_cancelled_call_is_cancelled_there(self) -> None:
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

    async def test_a_task_that_somebody_else_cancels_is_a_failure_and_no_cancellation(self) -> None:
        async def cancelled() -> None:
            raise asyncio.CancelledError

        async with open_home() as home:
            with pytest.raises(ConsumerFailed, match="cancelled"):
                await home.call(cancelled)
