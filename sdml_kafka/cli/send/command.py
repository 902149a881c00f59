"""Sends each line of stdin as a record."""

import logging
import signal
import sys
from functools import partial

import anyio
import anyio.abc

from sdml_kafka import ConfigurationError, KafkaProducer, SdmlKafkaError
from sdml_kafka.cli.input import Input
from sdml_kafka.cli.send.arguments import SendOptions
from sdml_kafka.cli.send.json_lines import Outgoing, read_line
from sdml_kafka.cli.send.line_sender import LineSender, NotSent, WrongLine
from sdml_kafka.cli.signals import on_signal
from sdml_kafka.cli.terminal import (
    CannotRun,
    complain,
    first_of,
    require_backend,
    say,
    set_up_logging,
)
from sdml_kafka.plurals import counted
from sdml_kafka.runtime import RuntimeFailure

SENT, FAILED, WRONG = 0, 1, 2
CHECK_EVERY_S = 0.5
REPORT_EVERY_S = 3.0


def run_send(options: SendOptions) -> int:
    """Send the lines and return the exit code."""
    require_backend(options.backend)
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdin is closed, so there is nothing to send")
    set_up_logging(logging.CRITICAL)  # the one line that names the failure is enough
    try:
        producer = _producer(options)
    except ConfigurationError as error:
        raise CannotRun(f"send: {error}") from None
    sending = SendRun(options, Input(sys.stdin.fileno()), producer)
    return anyio.run(sending.run, backend=options.backend)


def _producer(options: SendOptions) -> KafkaProducer:
    return KafkaProducer(
        bootstrap_servers=options.bootstrap,
        stop_timeout=8.0,
        **options.config.producer_options("sdml-kafka-send"),
    )


class SendRun:
    """One run of the command: from connecting to the exit code."""

    def __init__(self, options: SendOptions, source: Input, producer: KafkaProducer) -> None:
        self._options = options
        self._source = source
        self._producer = producer
        self._shows_progress = options.progress or sys.stderr.isatty()
        self._signal: signal.Signals | None = None

    async def run(self) -> int:
        """Send all lines and return the exit code."""
        code = SENT
        async with anyio.create_task_group() as tasks:

            def leave(number: signal.Signals) -> None:
                self._signal = self._signal or number
                tasks.cancel_scope.cancel("a signal")

            await tasks.start(on_signal, leave)
            code = await self._send(tasks)
            tasks.cancel_scope.cancel()
        sent = self._producer.status().sent
        if self._shows_progress or (sent and (code or self._signal)):
            say(f"{counted(sent, 'record')} sent")
        return code if self._signal is None else 128 + self._signal

    async def _send(self, tasks: anyio.abc.TaskGroup) -> int:
        failure = None
        try:
            async with self._producer as producer:
                tasks.start_soon(self._report, producer)
                topic, reads_json = self._options.topic, self._options.reads_json
                sender = LineSender(producer, topic, self._make(), skips_empty=reads_json)
                await sender.run(self._source.lines())
        except* (SdmlKafkaError, RuntimeFailure, OSError, WrongLine, NotSent) as failures:
            failure = first_of(failures)
        if failure is None:
            return SENT
        complain(f"send: {failure}")
        is_wrong = isinstance(failure, WrongLine | ConfigurationError) or isinstance(
            failure.__cause__, ConfigurationError
        )
        return WRONG if is_wrong else FAILED

    def _make(self) -> partial[Outgoing]:
        options = self._options
        if options.reads_json:
            return partial(read_line, key=options.key, headers=options.headers)
        return partial(Outgoing, key=options.key, headers=options.headers)

    async def _report(self, producer: KafkaProducer) -> None:
        """Report troubles when they begin, and the progress where somebody looks."""
        was_connected, last, report_at = True, 0, anyio.current_time() + REPORT_EVERY_S
        while True:
            await anyio.sleep(CHECK_EVERY_S)
            status = producer.status()
            if was_connected and not status.connected:
                say("no broker answers; still trying")
            was_connected = status.connected
            if self._shows_progress and anyio.current_time() >= report_at:
                report_at += REPORT_EVERY_S
                rate = (status.sent - last) / REPORT_EVERY_S
                last = status.sent
                say(
                    f"{counted(status.sent, 'record')} sent, {rate:,.0f}/s, {status.waiting:,} "
                    "not acknowledged yet"
                )
