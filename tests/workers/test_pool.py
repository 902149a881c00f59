"""The pool of workers by itself, with items that are nobody's requests."""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar, copy_context
from math import inf

import anyio
import anyio.lowlevel
import pytest

from sdml_kafka.workers.pool import Pool
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]

MAX_WORKERS = 10

NAME: ContextVar[str] = ContextVar("NAME", default="unset")


class Item:
    running_scope: anyio.CancelScope | None = None

    def __init__(self, work: Callable[[], Awaitable[str]], due: float = inf) -> None:
        self.work = work
        self.due = due


class Jobs:
    """Items in the order in which they come, and what became of each."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue: deque[Item] = deque()
        self.outcomes: list[str] = []

    def take(self) -> Item | None:
        self.now = anyio.current_time()
        return self.queue.popleft() if self.queue else None

    def waiting(self, most: int) -> int:
        return min(most, len(self.queue))

    def context(self, item: Item) -> Context:
        return copy_context()

    async def handle(self, item: Item) -> str:
        return await item.work()

    def ended(self, item: Item, result: str) -> None:
        self._settle(item, result)

    def failed(self, item: Item, error: BaseException) -> None:
        self._settle(item, "failed")

    def cut_off(self, item: Item) -> None:
        self._settle(item, "cut off")

    def abandon(self, item: Item) -> None:
        self._settle(item, "abandoned")

    def _settle(self, item: Item, outcome: str) -> None:
        item.running_scope = None
        self.outcomes.append(outcome)


class Stage:
    def __init__(self, pool: Pool[Item, str], jobs: Jobs) -> None:
        self.pool = pool
        self.jobs = jobs

    def put(self, *items: Item) -> None:
        self.jobs.queue.extend(items)
        self.pool.wake()

    async def outcomes(self, count: int) -> list[str]:
        with anyio.fail_after(60):
            while len(self.jobs.outcomes) < count:  # noqa: ASYNC110  nobody reports outcomes
                await anyio.sleep(0.01)
        return self.jobs.outcomes


@asynccontextmanager
async def open_pool() -> AsyncGenerator[Stage]:
    pool, jobs = Pool[Item, str](MAX_WORKERS), Jobs()
    async with anyio.create_task_group() as tasks:
        pool.open(tasks, jobs)
        await anyio.sleep(0.01)
        yield Stage(pool, jobs)
        pool.close()
        tasks.cancel_scope.cancel()


async def at_once() -> str:
    return "done"


async def for_ever() -> str:
    await anyio.sleep_forever()
    return "done"


async def slowly() -> str:
    await anyio.sleep(1.0)
    return "done"


async def test_items_that_never_suspend_are_handled_by_one_worker() -> None:
    async with open_pool() as stage:
        stage.put(*(Item(at_once) for _ in range(1000)))
        assert await stage.outcomes(1000) == ["done"] * 1000
        assert len(stage.pool.workers) == 1


async def test_a_burst_of_items_that_suspend_spreads_over_all_workers() -> None:
    async with open_pool() as stage:
        began = anyio.current_time()
        stage.put(*(Item(slowly) for _ in range(3 * MAX_WORKERS)))
        await stage.outcomes(3 * MAX_WORKERS)
        assert len(stage.pool.workers) == MAX_WORKERS
        assert anyio.current_time() - began == pytest.approx(3.0, abs=0.1)


async def test_the_worker_that_went_idle_last_is_woken_first() -> None:
    tasks: list[int] = []

    async def who() -> str:
        tasks.append(anyio.get_current_task().id)
        return "done"

    async with open_pool() as stage:
        stage.put(*(Item(slowly) for _ in range(5)))
        await stage.outcomes(5)
        for number in range(6, 10):
            stage.put(Item(who))
            await stage.outcomes(number)
        assert len(set(tasks)) == 1


async def test_an_item_that_is_due_is_cut_off_and_the_worker_goes_on() -> None:
    async with open_pool() as stage:
        stage.put(Item(for_ever, anyio.current_time() + 5.0))
        began = anyio.current_time()
        assert await stage.outcomes(1) == ["cut off"]
        assert anyio.current_time() - began == pytest.approx(5.0, abs=0.1)
        stage.put(Item(at_once))
        assert await stage.outcomes(2) == ["cut off", "done"]
        assert len(stage.pool.workers) == 1


async def test_each_item_has_the_context_variables_of_its_own() -> None:
    async def name() -> str:
        before = NAME.get()
        NAME.set("mine")
        await anyio.lowlevel.checkpoint()
        return f"{before} {NAME.get()}"

    async with open_pool() as stage:
        stage.put(*(Item(name) for _ in range(20)))
        assert await stage.outcomes(20) == ["unset mine"] * 20


async def test_after_an_error_no_worker_starts() -> None:
    error = SystemExit(3)

    async def fail() -> str:
        raise error

    async with open_pool() as stage:
        stage.put(Item(fail), Item(at_once))
        assert await stage.pool.wait_failed() is error
        stage.pool.wake()
        await anyio.sleep(1.0)
        assert stage.jobs.outcomes == ["abandoned"]
        assert not stage.pool.workers


async def test_a_pool_goes_on_after_an_idle_worker_was_cancelled_and_woken_at_once() -> None:
    """A handler may keep its scope, and cancel it after it has ended."""
    scopes: list[anyio.CancelScope | None] = []
    async with open_pool() as stage:
        item = Item(at_once)

        async def keep_the_scope() -> str:
            scopes.append(item.running_scope)
            return "done"

        item.work = keep_the_scope
        stage.put(item)
        await stage.outcomes(1)
        await anyio.sleep(0.01)
        (scope,) = scopes
        assert scope is not None
        scope.cancel()
        stage.put(Item(at_once))
        assert await stage.outcomes(2) == ["done"] * 2
        await anyio.sleep(0.01)
        stage.put(Item(at_once))
        assert await stage.outcomes(3) == ["done"] * 3


async def test_items_in_hand_are_abandoned_when_the_pool_ends() -> None:
    async with open_pool() as stage:
        stage.put(Item(slowly), Item(slowly))
        await anyio.sleep(0.1)
    assert stage.jobs.outcomes == ["abandoned"] * 2


async def test_a_pool_that_was_closed_may_be_opened_again() -> None:
    async with open_pool() as stage:
        stage.put(*(Item(slowly) for _ in range(5)))
        await anyio.sleep(0.1)
    stage.jobs.queue.append(Item(at_once))
    async with anyio.create_task_group() as tasks:
        stage.pool.open(tasks, stage.jobs)
        assert (await stage.outcomes(6))[5] == "done"
        tasks.cancel_scope.cancel()


async def test_what_the_tasks_of_an_item_raise_as_it_is_cut_off_fails_that_item_alone() -> None:
    async def fail_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        except BaseException:
            raise ValueError("while cleaning up") from None

    async def with_tasks() -> str:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail_when_cancelled)
            await anyio.sleep_forever()
        return "done"

    async with open_pool() as stage:
        stage.put(Item(with_tasks, anyio.current_time() + 5.0))
        assert await stage.outcomes(1) == ["failed"]
        stage.put(Item(at_once))
        assert await stage.outcomes(2) == ["failed", "done"]
