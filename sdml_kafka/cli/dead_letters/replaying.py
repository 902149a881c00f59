"""Runs a replay for a terminal: reports, progress, signals, and what would be sent."""

import signal
import sys
from collections.abc import Callable

import anyio
import anyio.abc

from sdml_kafka import SKIP, ListenerStatus, Record
from sdml_kafka.cli.dead_letters.arguments import DeadLettersOptions
from sdml_kafka.cli.listen.delivery_writer import DeliveryWriter
from sdml_kafka.cli.output import Output
from sdml_kafka.cli.progress import ProgressReport
from sdml_kafka.cli.terminal import CannotRun, say, set_up_logging
from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.dead_letters.letter import as_json
from sdml_kafka.dead_letters.replay import Replay, Sending
from sdml_kafka.dead_letters.sources import Source, committed, reader
from sdml_kafka.listener.end_watch import EndWatch, check_topics
from sdml_kafka.plurals import counted

MAX_SHOWN = 20
"""The number of topics that are reported one by one."""


class Replaying:
    """One replay, or what it would send."""

    def __init__(self, options: DeadLettersOptions, filters: Filters, output: Output) -> None:
        self.signal: signal.Signals | None = None
        self._options = options
        self._output = output
        self._source = Source(options.topic, options.bootstrap, options.config, options.partitions)
        sending = Sending(options.to, options.same_partition, options.new_time)
        self.replay: Replay = Replay(
            self._source, filters, sending, say, only_tries=options.dry_run
        )
        self._shows_progress = options.progress or sys.stderr.isatty()

    def leave(self, number: signal.Signals, scope: anyio.CancelScope) -> None:
        """End because of a signal: finish what is on its way, if there may be something."""
        self.signal = self.signal or number
        if self.replay.has_begun:
            self.replay.end()
        else:
            scope.cancel("a signal")

    async def run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Send the dead letters that are there now and were not sent before."""
        replay = self.replay
        say(f"the group {replay.group} remembers what was sent")
        if self._options.dry_run:
            await self._list(tasks)
            return

        def begin(status: Callable[[], ListenerStatus]) -> None:
            set_up_logging()
            progress = ProgressReport(status, lambda: sum(replay.targets.values()))
            tasks.start_soon(progress.run, self._shows_progress)

        await replay.run(begin)
        if replay.is_partial:
            raise CannotRun("another run has the other partitions: see what it sends")

    def summary(self) -> str:
        """Return what was sent, and where."""
        replay = self.replay
        what = "would be sent" if self._options.dry_run else "sent"
        count = sum(replay.targets.values())
        targets = replay.targets.most_common(MAX_SHOWN)
        where = ", ".join(f"{topic}: {each:,}" for topic, each in targets)
        text = f"{counted(count, 'record')} {what}" + (f" ({where})" if count else "")
        if replay.left_out:
            text += f", {replay.left_out:,} left out, whose headers name no topic to send to"
        return text

    async def _list(self, tasks: anyio.abc.TaskGroup) -> None:
        """Write what would be sent, without committing."""
        writer = DeliveryWriter(self._output, None)
        commits = await committed(self._source, self.replay.group)
        self.replay.sent.remember(commits)
        async with reader(self._source, commits, bytes, self._as_line) as listener:
            check_topics(listener)
            set_up_logging()
            stream = await listener.subscribe(bytes)
            tasks.start_soon(EndWatch().run, listener.status, writer.stop)
            await writer.run(stream.deliveries())

    def _as_line(self, record: Record) -> bytes:
        letter = self.replay.read(record)
        topic = self.replay.target(letter)
        if topic is None:
            raise SKIP
        self.replay.targets[topic] += 1
        return as_json(letter, to=topic)
