"""Coroutines driven step by step, each in a context of its own, inside of one long-lived task.

So a handler's context variables do not leak into the next request, which would have taken a task
for each; and who drives it learns whether it suspends at all.
"""

import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any


@types.coroutine
def resumed[T](
    context: Context, coroutine: Coroutine[Any, Any, T], wish: object
) -> Generator[Any, Any, T]:
    """Go on with a coroutine that has yielded `wish` to the event loop."""
    step: Callable[[Any], Any]
    argument: Any
    while True:
        try:
            argument = yield wish
            step = coroutine.send
        except BaseException as error:
            step, argument = coroutine.throw, error
        try:
            wish = context.run(step, argument)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a generator's is not typed
