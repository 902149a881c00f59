"""Lists dead letters, shows one, or sends them anew."""

import logging
import signal
import sys
from collections.abc import Awaitable, Callable

import anyio
import anyio.abc

from sdml_kafka import SdmlKafkaError
from sdml_kafka.cli.dead_letters.arguments import DeadLettersOptions
from sdml_kafka.cli.dead_letters.listing import Listing
from sdml_kafka.cli.dead_letters.replaying import Replaying
from sdml_kafka.cli.output import Output
from sdml_kafka.cli.signals import cancel_on_signal, on_signal
from sdml_kafka.cli.terminal import (
    CannotRun,
    complain,
    first_of,
    require_backend,
    say,
    set_up_logging,
)
from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.runtime import RuntimeFailure

DONE, FAILED, LEFT_OUT = 0, 1, 3


def run_dead_letters(options: DeadLettersOptions) -> int:
    """Do what is asked for, and return the exit code."""
    require_backend(options.backend)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write")
    set_up_logging(logging.CRITICAL)  # the one line that says why it cannot begin is enough
    run = _replay if options.action == "replay" else _list
    return anyio.run(run, options, backend=options.backend)


async def _list(options: DeadLettersOptions) -> int:
    listing = Listing(options, _filters(options), Output(sys.stdout.fileno()))
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        await tasks.start(cancel_on_signal, tasks.cancel_scope)
        failure = await _failure_of(listing.run, tasks)
        tasks.cancel_scope.cancel()
    if failure is None:
        return DONE
    complain(f"dead-letters: {failure}")
    return FAILED


async def _replay(options: DeadLettersOptions) -> int:
    replaying = Replaying(options, _filters(options), Output(sys.stdout.fileno()))
    replay = replaying.replay
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:

        def leave(number: signal.Signals) -> None:
            replaying.leave(number, tasks.cancel_scope)

        await tasks.start(on_signal, leave)
        failure = await _failure_of(replaying.run, tasks)
        tasks.cancel_scope.cancel()
    if failure is not None:
        complain(f"dead-letters: {replay.failed}{failure}")
    if failure is None or replay.has_sent:
        say(replaying.summary())
    if replaying.signal is not None:
        return 128 + replaying.signal
    if failure is not None:
        return FAILED
    return LEFT_OUT if replay.left_out else DONE


async def _failure_of(
    run: Callable[[anyio.abc.TaskGroup], Awaitable[None]], tasks: anyio.abc.TaskGroup
) -> Exception | None:
    """Run it, and return the error that ended it."""
    failure: Exception | None = None
    try:
        await run(tasks)
    except* (SdmlKafkaError, RuntimeFailure, OSError, CannotRun) as failures:
        failure = first_of(failures)
    return failure


def _filters(options: DeadLettersOptions) -> Filters:
    return Filters(
        options.partitions,
        options.from_topics,
        options.exceptions,
        options.since_ms,
        options.until_ms,
    )
