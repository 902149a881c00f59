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
from sdml_kafka.dead_letters.anew import NoTarget
from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.dead_letters.single_replay import NotSent, replay_one
from sdml_kafka.dead_letters.sources import START_TIMEOUT_S, Source
from sdml_kafka.runtime import RuntimeFailure
from sdml_kafka.transport.transactions import NoTransactions

DONE, FAILED, LEFT_OUT = 0, 1, 3
FAILURES = (SdmlKafkaError, RuntimeFailure, OSError, CannotRun, NotSent, NoTarget, NoTransactions)
MAX_ONE_S = 2 * START_TIMEOUT_S
"""The seconds that the replay of one letter may take."""


def run_dead_letters(options: DeadLettersOptions) -> int:
    """Do what is asked for, and return the exit code."""
    require_backend(options.backend)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write")
    set_up_logging(logging.CRITICAL)  # the one line that says why it cannot begin is enough
    runs = {"replay": _replay, "replay one": _replay_one}
    return anyio.run(runs.get(options.action, _list), options, backend=options.backend)


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


async def _replay_one(options: DeadLettersOptions) -> int:
    source = Source(options.topic, options.bootstrap, options.config)
    number: signal.Signals | None = None
    topic: str | None = None
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:

        def leave(caught: signal.Signals) -> None:
            nonlocal number
            number = number or caught
            tasks.cancel_scope.cancel("a signal")

        async def run(_: anyio.abc.TaskGroup) -> None:
            nonlocal topic
            with anyio.move_on_after(MAX_ONE_S):
                topic = await replay_one(source, *options.place, START_TIMEOUT_S)
                return
            raise CannotRun(f"the broker has not answered all within {MAX_ONE_S:.0f} s")

        await tasks.start(on_signal, leave)
        failure = await _failure_of(run, tasks)
        tasks.cancel_scope.cancel()
    if topic is not None:
        say(f"1 record sent ({topic}: 1)")
        return DONE
    if failure is not None:
        complain(f"dead-letters: {failure}")
    return FAILED if number is None else 128 + number


async def _failure_of(
    run: Callable[[anyio.abc.TaskGroup], Awaitable[None]], tasks: anyio.abc.TaskGroup
) -> Exception | None:
    """Run it, and return the error that ended it."""
    failure: Exception | None = None
    try:
        await run(tasks)
    except* FAILURES as failures:
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
