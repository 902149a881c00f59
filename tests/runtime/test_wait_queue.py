"""No wake-up is lost and none counts twice, whoever is cancelled before, at or after it."""

import asyncio
from collections.abc import Callable
from itertools import product

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from sdml_kafka.runtime.wait_queue import WaitQueue

pytestmark = pytest.mark.anyio

WAITERS = 3
ACTS = ("cancel 0", "cancel 1", "cancel 2", "wake one", "wake 2", "wake all", "let run")


async def let_run() -> None:
    for _ in range(2 * WAITERS + 1):  # a wake-up may have to be passed on by each
        await anyio.lowlevel.checkpoint()


class Line:
    """Tasks that wait once each, and what became of them."""

    def __init__(self, *, newest_first: bool = False, cancels_tasks: bool = False) -> None:
        self.queue = WaitQueue(newest_first=newest_first, on_lost=self._on_lost)
        self.given = 0
        self.lost = 0
        self.woken: list[int] = []
        self.cancelled: list[int] = []
        self._cancels_tasks = cancels_tasks
        self._cancels: list[Callable[[], object]] = []

    def _on_lost(self) -> None:
        assert not len(self.queue), "lost, although a task waits"
        self.lost += 1

    async def join(self, tasks: anyio.abc.TaskGroup) -> None:
        """Let one more task wait."""
        tasks.start_soon(self._wait, len(self._cancels))
        await let_run()

    async def _wait(self, number: int) -> None:
        with anyio.CancelScope() as scope:
            task = asyncio.current_task() if self._cancels_tasks else None
            self._cancels.append(scope.cancel if task is None else task.cancel)
            try:
                await self.queue.wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled.append(number)
                if not self._cancels_tasks:
                    raise
            else:
                self.woken.append(number)

    async def do(self, act: str) -> None:
        match act.split():
            case ["cancel", number]:
                self._cancels[int(number)]()
            case ["wake", "one"]:
                waits = len(self.queue) > 0
                self.given += waits
                assert self.queue.wake_one() is waits
            case ["wake", "all"]:
                self.given += len(self.queue)
                self.queue.wake_all()
                assert not len(self.queue)
            case ["wake", count]:
                self.given += min(int(count), len(self.queue))
                self.queue.wake(int(count))
            case _:
                await let_run()

    def check(self) -> None:
        """Check what holds whenever every task had time to run."""
        assert len(self.woken) + self.lost == self.given
        assert sorted(self.woken) == sorted(set(self.woken))
        assert not set(self.woken) & set(self.cancelled)
        assert len(self.queue) == WAITERS - len(self.woken) - len(self.cancelled)


async def try_all(*, newest_first: bool, cancels_tasks: bool = False) -> None:
    for acts in product(ACTS, repeat=4):
        line = Line(newest_first=newest_first, cancels_tasks=cancels_tasks)
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(WAITERS):
                    await line.join(tasks)
                for act in acts:
                    await line.do(act)
                await let_run()
                line.check()
                line.queue.wake_all()
        except BaseException as error:
            error.add_note(" > ".join(acts))
            raise


@pytest.mark.parametrize("newest_first", [False, True])
async def test_every_order_of_cancelling_and_waking(newest_first: bool) -> None:
    await try_all(newest_first=newest_first)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_order_of_cancelling_tasks_of_asyncio_and_waking(newest_first: bool) -> None:
    """`Task.cancel` ends a task that was woken and has not run; a scope of anyio does not."""
    await try_all(newest_first=newest_first, cancels_tasks=True)


@pytest.mark.parametrize(("newest_first", "order"), [(False, [0, 1, 2]), (True, [2, 1, 0])])
async def test_who_came_first_or_last_is_woken_first(newest_first: bool, order: list[int]) -> None:
    line = Line(newest_first=newest_first)
    async with anyio.create_task_group() as tasks:
        for _ in range(WAITERS):
            await line.join(tasks)
        for count in range(1, WAITERS + 1):
            line.queue.wake_one()
            await let_run()
            assert line.woken == order[:count]
    assert not line.queue.wake_one()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_wake_up_that_is_passed_on_is_not_lost() -> None:
    line = Line(cancels_tasks=True)
    async with anyio.create_task_group() as tasks:
        await line.join(tasks)
        await line.join(tasks)
        await line.do("wake one")
        await line.do("cancel 0")
        await let_run()
        assert (line.cancelled, line.woken, line.lost) == ([0], [1], 0)
        await line.join(tasks)
        await line.do("wake one")
        await line.do("cancel 2")
    assert (line.cancelled, line.woken, line.lost) == ([0, 2], [1], 1)


async def test_a_wake_up_without_a_task_is_not_kept() -> None:
    queue = WaitQueue()
    assert not queue.wake_one()
    queue.wake(3)
    queue.wake_all()
    with anyio.move_on_after(0.01) as scope:
        await queue.wait()
    assert scope.cancelled_caught
    assert len(queue) == 0


def test_waking_needs_no_event_loop() -> None:
    assert not WaitQueue().wake_one()
