"""Handles Ctrl-C and SIGTERM."""

import signal
from collections.abc import Callable

import anyio
import anyio.abc


async def on_signal(
    act: Callable[[signal.Signals], object],
    *,
    task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Call `act` for each SIGINT and SIGTERM, until cancelled."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            act(number)


async def cancel_on_signal(
    scope: anyio.CancelScope, *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    """Cancel `scope` on the first SIGINT or SIGTERM; further signals change nothing."""
    await on_signal(lambda _: scope.cancel("a signal"), task_status=task_status)
