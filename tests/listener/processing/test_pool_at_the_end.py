"""The pool of a processor is closed before its tasks have ended.

What is acknowledged meanwhile wakes the pool, and a task group that has ended takes no more
workers: the error would come out where the client reports what it has sent.
"""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka import Delivery
from sdml_kafka.workers.pool import Pool
from tests.support.listener_on_twin import broker_with
from tests.support.processing_on_twin import processing_on
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


async def test_no_worker_is_made_while_the_last_ones_end(monkeypatch: pytest.MonkeyPatch) -> None:
    closed, begun, seen = anyio.Event(), anyio.Event(), list[bool]()
    close = Pool.close

    def noted(pool: Pool[Any, Any]) -> None:
        closed.set()
        close(pool)

    monkeypatch.setattr(Pool, "close", noted)

    async def hang(value: str, delivery: Delivery[str]) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
            seen.append(closed.is_set())

    async with processing_on(broker_with("a")) as listener, anyio.create_task_group() as tasks:

        async def run() -> None:
            await listener.process(str, hang)

        tasks.start_soon(run)
        await begun.wait()
        tasks.cancel_scope.cancel()
    assert seen == [True]
