"""Writes the records of topics to stdout as lines of JSON."""

import logging
import sys
from typing import Any

import anyio
import anyio.abc

from sdml_kafka import AutoCommit, KafkaListener, SdmlKafkaError
from sdml_kafka.cli.listen.arguments import ListenOptions
from sdml_kafka.cli.listen.delivery_writer import DeliveryWriter
from sdml_kafka.cli.listen.json_lines import as_line
from sdml_kafka.cli.output import Output
from sdml_kafka.cli.progress import ProgressReport
from sdml_kafka.cli.signals import cancel_on_signal
from sdml_kafka.cli.terminal import (
    CannotRun,
    complain,
    first_of,
    require_backend,
    say,
    set_up_logging,
)
from sdml_kafka.consuming.without_group import Reading, WithoutGroup, connect_without_group
from sdml_kafka.listener.end_watch import EndWatch, check_topics
from sdml_kafka.plurals import counted
from sdml_kafka.runtime import RuntimeFailure

CLIENT_ID = "sdml-kafka-listen"
DONE, FAILED, COULD_NOT_BEGIN = 0, 1, 2


def run_listen(options: ListenOptions) -> int:
    """Write records until something ends that, and return the exit code."""
    require_backend(options.backend)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write the records")
    set_up_logging(logging.CRITICAL)  # the one line that says why it cannot begin is enough
    return anyio.run(ListenRun(options).run, backend=options.backend)


class ListenRun:
    """One run of the command: from joining the group to the exit code."""

    def __init__(self, options: ListenOptions) -> None:
        self._options = options
        self._writer = DeliveryWriter(Output(sys.stdout.fileno()), options.maximum)
        self._shows_progress = options.progress or sys.stderr.isatty()

    async def run(self) -> int:
        """Listen until the stream, the pipe or a signal ends it, and return the exit code."""
        code = DONE
        async with anyio.create_task_group() as tasks:
            await tasks.start(cancel_on_signal, tasks.cancel_scope)
            code = await self._listen(tasks)
            tasks.cancel_scope.cancel()
        if self._shows_progress:
            say(f"{counted(self._writer.written, 'record')} written")
        return code

    async def _listen(self, tasks: anyio.abc.TaskGroup) -> int:
        has_begun, failure = False, None
        try:
            async with self._listener() as listener:
                check_topics(listener)
                has_begun = True
                set_up_logging()
                progress = ProgressReport(listener.status, lambda: self._writer.written)
                tasks.start_soon(progress.run, self._shows_progress)
                stream = await listener.subscribe(bytes)
                if self._options.exits_at_end:
                    tasks.start_soon(EndWatch().run, listener.status, self._writer.stop)
                await self._writer.run(stream.deliveries())
        except* (SdmlKafkaError, RuntimeFailure, OSError) as failures:
            failure = first_of(failures)
        if failure is None:
            return DONE
        complain(f"listen: {failure}")
        return FAILED if has_begun else COULD_NOT_BEGIN

    def _listener(self) -> KafkaListener:
        options = self._options
        if options.group is None:
            reading = Reading(options.partitions, options.offset)
            connect = connect_without_group(options.config, options.bootstrap, CLIENT_ID)
            where: dict[str, Any] = {"transport": WithoutGroup(connect, reading)}
        else:
            client = options.config.consumer_options(CLIENT_ID, options.start)
            where = {"bootstrap_servers": options.bootstrap, "group_id": options.group, **client}
        return KafkaListener(
            [{"topics": options.topics, "type": bytes, "parser": as_line}],
            **where,
            auto_commit=AutoCommit(every=10_000, interval_s=1.0),
            stop_timeout=8.0,
        )
