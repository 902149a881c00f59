"""Coroutines that are driven step by step, each in its own context, inside one long-lived task.

The context variables of one item thus never leak into the next one, which would otherwise cost a
task for each item. Whoever drives a coroutine also learns whether it suspends at all.
"""

import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any


@types.coroutine
def run_to_end[T](
    context: Context, coroutine: Coroutine[Any, Any, T], yielded: object
) -> Generator[Any, Any, T]:
    """Drive a coroutine on that has suspended by yielding `yielded`, and return its result."""
    step: Callable[[Any], Any]
    argument: Any
    while True:
        try:
            argument = yield yielded
            step = coroutine.send
        except BaseException as error:
            step, argument = coroutine.throw, error
        try:
            yielded = context.run(step, argument)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # the value of a generator has no type
        finally:
            # The traceback of an exception holds this frame and the item's: a cycle, by which a
            # large item would stay in memory until the garbage collector comes.
            argument = None


def without_steps(error: Exception) -> Exception:
    """Return an error that the coroutine raised, without the frames of those who drive it.

    A program that keeps the error would keep what they have in hand.
    """
    trace = error.__traceback__
    assert trace is not None
    trace = trace.tb_next  # of the worker
    if trace is not None and trace.tb_frame.f_code is run_to_end.__code__:
        trace = trace.tb_next
    return error.with_traceback(trace)
