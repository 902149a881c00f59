"""Coroutines that are driven step by step, each in its own context, inside one long-lived task.

The context variables of one item thus never leak into the next one, which would otherwise cost a
task for each item. Whoever drives a coroutine also learns whether it suspends at all.

A generator that lives on drives them one after another, and yields when one has ended. Python has
no cheaper way to run a coroutine in a context: the `StopIteration` that ends one costs as much as
all the rest.
"""

import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any

ENDED = object()
"""A step returns this when the coroutine has returned."""


class Steps[T]:
    """Drives one coroutine after another. After an error out of one nothing more can be driven."""

    __slots__ = ("_throw", "result", "send")

    def __init__(self) -> None:
        """Begin with no coroutine."""
        driver: Any = self._drive()  # a generator, which types call an Awaitable
        next(driver)
        self.result: T | None = None
        """The result of the coroutine that ended last. Whoever takes it sets it to None, since
        it would be kept alive until the next one ends."""
        self.send: Callable[[Any], object] = driver.send
        """Takes the first step of a coroutine, or a further one of that which has suspended.
        Returns what the coroutine yields, or `ENDED`."""
        self._throw: Callable[[Any], object] = driver.throw

    @types.coroutine
    def _drive(self) -> Generator[object, Any, None]:
        coroutine: Coroutine[Any, Any, T] | None = yield None
        while True:
            self.result = yield from coroutine  # type: ignore[misc]  # nobody sends None
            coroutine = None
            coroutine = yield ENDED

    @types.coroutine
    def run_to_end(self, context: Context, yielded: object) -> Generator[Any, Any, None]:
        """Drive a coroutine on that has suspended by yielding `yielded`."""
        step: Callable[[Any], object]
        argument: Any
        while yielded is not ENDED:
            try:
                argument = yield yielded
                step = self.send
            except BaseException as error:
                step, argument = self._throw, error
            try:
                yielded = context.run(step, argument)
            finally:
                # The traceback of an exception holds this frame and the item's: a cycle, by which a
                # large item would stay in memory until the garbage collector comes.
                argument = None


def without_steps[E: BaseException](error: E) -> E:
    """Return an error that a coroutine raised, without the frames of those who drive it.

    A program that keeps the error would keep what they have in hand.
    """
    trace = error.__traceback__
    assert trace is not None
    trace = trace.tb_next  # of the worker
    while trace is not None and trace.tb_frame.f_code in OWN_CODE:
        trace = trace.tb_next
    return error.with_traceback(trace)


_own: list[Any] = [Steps.run_to_end, Steps._drive]  # pyright: ignore  # its own file
OWN_CODE = [function.__code__ for function in _own]
