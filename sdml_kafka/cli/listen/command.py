"""`sdml-kafka listen`: the records of topics as lines of JSON."""

import logging
import sys
from collections import deque
from collections.abc import AsyncIterator

import anyio
import anyio.abc
import anyio.lowlevel

from sdml_kafka import AutoCommit, Delivery, KafkaListener, SdmlKafkaError
from sdml_kafka.cli.arguments import ListenOptions
from sdml_kafka.cli.listen.json_lines import as_line
from sdml_kafka.cli.output import PIPE_BUF, Output
from sdml_kafka.cli.progress import Progress
from sdml_kafka.cli.signals import cancel_on_signal
from sdml_kafka.cli.terminal import (
    CannotRun,
    complain,
    first_of,
    require_backend,
    say,
    set_up_logging,
)
from sdml_kafka.runtime import RuntimeFailure

DONE, FAILED, COULD_NOT_BEGIN = 0, 1, 2
LOOK_EVERY_S = 0.5
"""How often an idle listener looks whether its pipe is still open."""


def run_listen(options: ListenOptions) -> int:
    """Run until something ends it; returns the exit code."""
    require_backend(options.backend)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write the records")
    # Until it has begun, the one line that says why it cannot is enough.
    set_up_logging(logging.CRITICAL)
    return anyio.run(_Listen(options).run, backend=options.backend)


class _Listen:
    def __init__(self, options: ListenOptions) -> None:
        self._options = options
        self._copy = Copy(Output(sys.stdout.fileno()), options.maximum)
        self._shows_progress = options.progress or sys.stderr.isatty()

    async def run(self) -> int:
        code = DONE
        async with anyio.create_task_group() as tasks:
            await tasks.start(cancel_on_signal, tasks.cancel_scope)
            code = await self._listen(tasks)
            tasks.cancel_scope.cancel()
        if self._shows_progress:
            say(f"{self._copy.written:,} records written")
        return code

    async def _listen(self, tasks: anyio.abc.TaskGroup) -> int:
        has_begun, failure = False, None
        try:
            async with self._listener() as listener:
                has_begun = True
                set_up_logging()
                progress = Progress(listener.status, lambda: self._copy.written)
                tasks.start_soon(progress.run, self._shows_progress)
                stream = await listener.subscribe(bytes)
                await self._copy.run(stream.deliveries())
        except* (SdmlKafkaError, RuntimeFailure, OSError) as failures:
            failure = first_of(failures)
        if failure is None:
            return DONE
        complain(f"listen: {failure}")
        return FAILED if has_begun else COULD_NOT_BEGIN

    def _listener(self) -> KafkaListener:
        options = self._options
        return KafkaListener(
            [{"topics": options.topics, "type": bytes, "parser": as_line}],
            bootstrap_servers=options.bootstrap,
            group_id=options.group,
            auto_commit=AutoCommit(every=10_000, interval_s=1.0),
            stop_timeout=8.0,
            auto_offset_reset=options.start,
            client_id="sdml-kafka-listen",
        )


class Copy:
    """Lines from deliveries to an output. A delivery is done when its line is written.

    One task takes what there is, another writes what was taken meanwhile: so batches are as
    large as the records come fast, and the last line never waits.
    """

    def __init__(self, output: Output, maximum: int | None) -> None:
        self.written: int = 0
        self._output = output
        self._left = maximum
        self._taken: deque[Delivery[bytes]] = deque()
        self._news = anyio.Event()
        self._ended = False

    async def run(self, deliveries: AsyncIterator[Delivery[bytes]]) -> None:
        """Until `maximum` lines are written, the pipe is closed, or there is no more to take."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._take, deliveries)
                await self._write()
                tasks.cancel_scope.cancel()
        finally:
            self._taken.clear()  # what is dropped unsettled is given back

    async def _take(self, deliveries: AsyncIterator[Delivery[bytes]]) -> None:
        async for delivery in deliveries:
            self._taken.append(delivery)
            self._news.set()
            if self._left is not None:
                self._left -= 1
                if self._left == 0:
                    break
        self._ended = True
        self._news.set()

    async def _write(self) -> None:
        while not (self._ended and not self._taken):
            with anyio.move_on_after(LOOK_EVERY_S):
                await self._news.wait()
            if self._output.is_broken():
                return
            self._news = anyio.Event()
            while self._taken:
                try:
                    await self._write_some(self._next_lines())
                except BrokenPipeError:
                    return

    def _next_lines(self) -> list[Delivery[bytes]]:
        """As many as the pipe takes in one piece, at least one."""
        lines = [self._taken.popleft()]
        size = len(lines[0].value)
        while self._taken and size + len(self._taken[0].value) <= PIPE_BUF:
            lines.append(self._taken.popleft())
            size += len(lines[-1].value)
        return lines

    async def _write_some(self, deliveries: list[Delivery[bytes]]) -> None:
        await self._output.write(b"".join(delivery.value for delivery in deliveries))
        for delivery in deliveries:
            delivery.done()
        self.written += len(deliveries)
        await anyio.lowlevel.checkpoint()
