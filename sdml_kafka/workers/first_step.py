"""The first step of an async generator's next item, taken ahead of the wait for the rest.

Whoever takes it learns whether the generator has ended without waiting for anything.
"""

import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any


class FirstStep:
    """The first step to a generator's next item, which was taken when this is made."""

    __slots__ = ("_awaitable", "_outcome", "_waits_for", "has_ended")

    def __init__(self, items: AsyncGenerator[Any, None]) -> None:
        """Let the generator run until it yields an item, waits for something, or ends."""
        self._awaitable: Any = items.__anext__()
        self._outcome: Any = None
        self._waits_for: Any = None
        self.has_ended: bool = False
        """True if the generator has returned without waiting."""
        try:
            self._waits_for = self._awaitable.send(None)
        except StopAsyncIteration:
            self.has_ended = True
        except BaseException as error:  # an item comes as a StopIteration
            self._outcome = error

    async def item(self) -> Any:
        """Return the item.

        Raises:
            StopAsyncIteration: The generator has returned after it had waited.
            BaseException: What the generator raises.
        """
        outcome, self._outcome = self._outcome, None
        try:
            if isinstance(outcome, StopIteration):
                return outcome.value
            if outcome is not None:
                raise outcome
            return await _rest(self._awaitable, self._waits_for)
        finally:
            del outcome  # its traceback holds this frame


@types.coroutine
def _rest(awaitable: Any, waits_for: Any) -> Generator[Any, Any, Any]:
    """Take the other steps, in whatever way the event loop drives this."""
    step: Callable[[Any], Any]
    argument: Any
    while True:
        try:
            argument = yield waits_for
            step = awaitable.send
        except BaseException as error:
            step, argument = awaitable.throw, error
        try:
            waits_for = step(argument)
        except StopIteration as done:
            return done.value
        finally:
            argument = None  # the traceback of an exception holds this frame
