"""A supervisor around the body of an `async with`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NoReturn

import anyio

from sdml_kafka.runtime.actor import Life
from sdml_kafka.runtime.errors import StartTimeout, UnexpectedExit, describe
from sdml_kafka.runtime.incarnation import Incarnation, without_cancellation
from sdml_kafka.runtime.restarts import check_seconds
from sdml_kafka.runtime.snapshot import still_starting
from sdml_kafka.runtime.supervisor import Supervisor


@asynccontextmanager
async def supervise(
    supervisor: Supervisor, *, start_timeout_s: float = 10.0, stop_timeout_s: float = 10.0
) -> AsyncGenerator[Supervisor]:
    """Run a supervisor while the body of the `async with` runs.

    Entering returns when every child is ready. If the supervisor fails, the body is cancelled, and
    when the body has been left, the children are stopped and the failure is raised. The children
    are stopped as well when the body is left in any other way, cancellation from outside included:
    in reverse order, each within its own time.

    An exception of the body is raised as itself, with a note if the supervisor failed as well.

    Args:
        supervisor: The supervisor, which has not run before.
        start_timeout_s: Seconds for all children to be ready.
        stop_timeout_s: Seconds for all children to stop; those that still run are cancelled.

    Raises:
        StartTimeout: The children were not ready in time.
        RestartsExhausted: A child failed more often than the supervisor may restart.
        Exception: What a child failed with before it was ready, or what no restart can mend.
        ValueError: A timeout is not a finite number of seconds.
    """
    check_seconds("start_timeout_s", start_timeout_s)
    check_seconds("stop_timeout_s", stop_timeout_s)
    body = anyio.CancelScope()
    root = _make_root(supervisor, body)
    raised: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(root.live, name=supervisor.name)
            try:
                await _wait_ready(root, supervisor, start_timeout_s)
                with body:
                    yield supervisor
            except BaseException as exc:
                raised = exc  # kept, since the task group would wrap it in a group
            try:
                await root.stop(stop_timeout_s, shield=True)
            finally:
                root.cancel("leaving was cut short")
    except BaseException as exc:  # the leaving itself was cancelled or interrupted
        interrupt = without_cancellation(exc)
        if raised is None or interrupt is not None:
            raised = interrupt or exc
    final = _outcome(raised, root.error, supervisor.name)
    del raised
    if final is not None:
        _raise_as_it_is(final)


def _make_root(supervisor: Supervisor, body: anyio.CancelScope) -> Incarnation:
    """Return the life of the supervisor, which cancels the body when it fails."""

    async def wait_dispensable() -> None:
        body.cancel("the supervisor failed")
        await life.wait_stopping()

    def on_end() -> None:
        if root.error is None and not life.stopping:
            root.error = UnexpectedExit(supervisor.name)
        body.cancel("the supervisor ended")

    life = Life((supervisor.name,), wait_dispensable=wait_dispensable)
    # Shielded, so that cancellation from outside reaches the body first; `supervise` bounds it.
    root = Incarnation(lambda: supervisor, life, on_end, shield=True)
    return root


async def _wait_ready(root: Incarnation, supervisor: Supervisor, timeout_s: float) -> None:
    if not await root.wait_settled(timeout_s):
        raise StartTimeout(still_starting(supervisor.snapshot()), timeout_s)
    if root.ended and root.error is not None:
        _raise_as_it_is(root.error)


def _outcome(
    raised: BaseException | None, failure: BaseException | None, name: str
) -> BaseException | None:
    """Return what is raised in the end: the body's exception, else the supervisor's failure."""
    if raised is None or failure is None or raised is failure:
        return failure if raised is None else raised
    if without_cancellation(raised) is None:
        return failure
    raised.add_note(f"Supervisor {name!r} failed as well: {describe(failure)}")
    return raised


def _raise_as_it_is(error: BaseException) -> NoReturn:
    """Raise the error without overwriting the context that it has."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context
        del error, context
