"""Lists dead letters, shows one, or sends them anew."""

import logging
import sys

import anyio
import anyio.abc

from sdml_kafka import SdmlKafkaError
from sdml_kafka.cli.dead_letters.arguments import DeadLettersOptions
from sdml_kafka.cli.dead_letters.filters import Filters
from sdml_kafka.cli.dead_letters.listing import Listing
from sdml_kafka.cli.output import Output
from sdml_kafka.cli.signals import cancel_on_signal
from sdml_kafka.cli.terminal import (
    CannotRun,
    complain,
    first_of,
    require_backend,
    set_up_logging,
)
from sdml_kafka.runtime import RuntimeFailure

DONE, FAILED = 0, 1


def run_dead_letters(options: DeadLettersOptions) -> int:
    """Do what is asked for, and return the exit code."""
    require_backend(options.backend)
    if options.action == "replay":
        raise CannotRun("replay is not there yet")
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write")
    set_up_logging(logging.CRITICAL)  # the one line that says why it cannot begin is enough
    return anyio.run(_run, options, Output(sys.stdout.fileno()), backend=options.backend)


async def _run(options: DeadLettersOptions, output: Output) -> int:
    filters = Filters(
        options.partitions,
        options.from_topics,
        options.exceptions,
        options.since_ms,
        options.until_ms,
    )
    return await _list(Listing(options, filters, output))


async def _list(listing: Listing) -> int:
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        await tasks.start(cancel_on_signal, tasks.cancel_scope)
        try:
            await listing.run(tasks)
        except* (SdmlKafkaError, RuntimeFailure, OSError, CannotRun) as failures:
            failure = first_of(failures)
        tasks.cancel_scope.cancel()
    if failure is None:
        return DONE
    complain(f"dead-letters: {failure}")
    return FAILED
