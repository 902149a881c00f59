"""Waiting for what nobody reports: a condition that is looked at again and again."""

import os
from collections.abc import Awaitable, Callable

import anyio

BUSY_S = float(os.environ.get("SDML_KAFKA_TEST_BUSY_S", "5"))
"""Seconds that a busy machine may take on top of what is promised.

Less of them, as 0.5, makes the limits of tests sharp on a machine that does nothing else.
"""


async def until(condition: Callable[[], object], within_s: float = 60.0) -> None:
    """Return once the condition holds, and fail if that takes longer than `within_s`.

    In virtual time the waiting takes no time of the machine.
    """
    with anyio.fail_after(within_s):
        while not condition():  # noqa: ASYNC110  no event is set when the condition comes true
            await anyio.sleep(0.01)


async def least_of(measure: Callable[[], Awaitable[float]], limit: float) -> float:
    """Return the least of up to four figures; the first one below the limit will do.

    A machine that is busy with something else spoils one of them, a fault spoils all.
    """
    figures = [await measure()]
    while figures[-1] >= limit and len(figures) < 4:
        figures.append(await measure())
    return min(figures)
