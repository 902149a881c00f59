"""Lists dead letters, or shows one, without a group: nothing is committed."""

import sys

import anyio
import anyio.abc

from sdml_kafka import SKIP, KafkaListener, Record
from sdml_kafka.cli.dead_letters.arguments import DeadLettersOptions
from sdml_kafka.cli.listen.arguments import Offset
from sdml_kafka.cli.listen.delivery_writer import DeliveryWriter
from sdml_kafka.cli.output import Output
from sdml_kafka.cli.progress import TroubleReport
from sdml_kafka.cli.terminal import CannotRun, say, set_up_logging
from sdml_kafka.consuming.without_group import Reading, WithoutGroup, connect_without_group
from sdml_kafka.dead_letters.filters import Filters
from sdml_kafka.dead_letters.letter import Letter, as_json, as_text, read_letter
from sdml_kafka.listener.end_watch import EndWatch, check_topics

CLIENT_ID = "sdml-kafka-dead-letters"


class Listing:
    """One run of the list, or of `show`."""

    def __init__(self, options: DeadLettersOptions, filters: Filters, output: Output) -> None:
        self._options = options
        self._filters = filters
        self._shows_one = options.action == "show"
        self._seen = self._letters = 0
        """The number of records that were read, and of those with headers of a dead letter."""
        self._writer = DeliveryWriter(output, 1 if self._shows_one else None)

    async def run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Write the dead letters that are there now."""
        async with self._listener() as listener:
            check_topics(listener)
            set_up_logging()
            tasks.start_soon(TroubleReport(listener.status).run)
            stream = await listener.subscribe(bytes)
            tasks.start_soon(EndWatch().run, listener.status, self._writer.stop)
            await self._writer.run(stream.deliveries())
        if self._seen and not self._letters:
            say(f"{self._options.topic!r}: none of its records has headers of a dead letter")
        if self._shows_one and not self._writer.written and not self._is_pipe_closed():
            partition, offset = self._options.place
            raise CannotRun(
                f"partition {partition} of {self._options.topic!r} has no record at offset {offset}"
            )

    def _is_pipe_closed(self) -> bool:
        return Output(sys.stdout.fileno()).is_broken()

    def _listener(self) -> KafkaListener:
        options = self._options
        connect = connect_without_group(options.config, options.bootstrap, CLIENT_ID)
        offset: Offset = "earliest"
        partitions = options.partitions
        if self._shows_one:
            partition, offset = options.place
            partitions = frozenset((partition,))
        reading = Reading(partitions, offset, option_prefix="" if self._shows_one else "--")
        parser = self._as_text if self._shows_one else self._as_line
        return KafkaListener(
            [{"topics": [options.topic], "type": bytes, "parser": parser}],
            transport=WithoutGroup(connect, reading),
            stop_timeout=8.0,
        )

    def _as_line(self, record: Record) -> bytes:
        letter = self._read(record)
        if not self._filters.admit(letter):
            raise SKIP
        return as_json(letter)

    def _as_text(self, record: Record) -> bytes:
        if (record.partition, record.offset) != self._options.place:
            raise SKIP
        return as_text(self._read(record))

    def _read(self, record: Record) -> Letter:
        letter = read_letter(record)
        self._seen += 1
        self._letters += letter.origin is not None or letter.exception is not None
        return letter
