"""Cancelling a coroutine at each of its checkpoints in turn."""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import anyio


@types.coroutine
def watched(
    work: Coroutine[Any, Any, None], at_checkpoint: Callable[[], None]
) -> Generator[Any, Any, None]:
    """Run `work`, and call `at_checkpoint` each time it lets go of the event loop."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            wish = work.send(answer) if error is None else work.throw(error)
        except StopIteration:
            return
        at_checkpoint()
        answer, error = None, None
        try:
            answer = yield wish
        except BaseException as exc:
            error = exc


async def cancelled_at(checkpoint: int, work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` and cancel it at that checkpoint. Return whether it came so far."""
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == checkpoint:
            scope.cancel()

    with anyio.CancelScope() as scope:
        await watched(work, count)
    return seen >= checkpoint


async def cancelled_at_each_checkpoint(scenario: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run the scenario cancelled at its 1st, then at its 2nd, ... checkpoint, until it ends before.

    Return how often it was cancelled.
    """
    times = 0
    while await cancelled_at(times + 1, scenario()):
        times += 1
    return times
