"""Waiting for what nobody reports: a condition that is looked at again and again."""

from collections.abc import Callable

import anyio


async def until(condition: Callable[[], object], within_s: float = 60.0) -> None:
    """Return once the condition holds, and fail if that takes longer than `within_s`.

    In virtual time the waiting takes no time of the machine.
    """
    with anyio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110  no event is set when the condition comes true
            await anyio.sleep(0.01)
