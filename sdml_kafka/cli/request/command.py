"""Makes one call and writes its reply to stdout."""

import logging
import signal
import sys

import anyio
import anyio.abc

from sdml_kafka import (
    CallTimeout,
    ConfigurationError,
    KafkaRPC,
    RemoteError,
    SdmlKafkaError,
)
from sdml_kafka.cli.output import Output
from sdml_kafka.cli.request.arguments import MIN_TIMEOUT_S, RequestOptions
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
from sdml_kafka.printable import printable
from sdml_kafka.rpc.client.request_options import RequestOptions as RPCOptions
from sdml_kafka.runtime import RuntimeFailure

REPLIED, FAILED, WRONG_ARGUMENTS, TIMED_OUT, REMOTE_ERROR = 0, 1, 2, 3, 4
MAX_STDIN_BYTES = 64 << 20
"""Far more than any broker takes; bounds the memory that an endless stdin could fill."""
MAX_START_S = 10.0
STOP_TIMEOUT_S = 3.0
CHECK_EVERY_S = 0.5
REPORT_EVERY_S = 3.0


def run_request(options: RequestOptions) -> int:
    """Make the call and return the exit code."""
    require_backend(options.backend)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdout is closed, so there is nowhere to write the reply")
    value = _read_stdin() if options.value is None else options.value
    set_up_logging(logging.CRITICAL)  # the one line that names the failure is enough
    call = RequestCall(options, value, Output(sys.stdout.fileno()))
    return anyio.run(call.run, backend=options.backend)


def _read_stdin() -> bytes:
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise CannotRun("stdin is closed, so there is no request to read")
    value = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(value) > MAX_STDIN_BYTES:
        raise CannotRun(f"stdin holds more than {MAX_STDIN_BYTES >> 20} MB")
    return value


class RequestCall:
    """One call: from connecting to the exit code."""

    def __init__(self, options: RequestOptions, value: bytes, output: Output) -> None:
        self._options = options
        self._value = value
        self._output = output
        self._shows_text = sys.stdout.isatty()
        self._signal: signal.Signals | None = None
        self._written = 0
        """The number of replies that were written."""
        self._deadline: float

    async def run(self) -> int:
        """Make the call and return the exit code."""
        code = REPLIED  # a reader that closes the pipe is no failure, here as with `listen`
        self._deadline = anyio.current_time() + self._options.timeout_s
        async with anyio.create_task_group() as tasks:

            def leave(number: signal.Signals) -> None:
                self._signal = self._signal or number
                tasks.cancel_scope.cancel("a signal")

            await tasks.start(on_signal, leave)
            tasks.start_soon(self._watch_pipe, tasks.cancel_scope)
            code = await self._call_and_report(tasks)
            tasks.cancel_scope.cancel()
        return code if self._signal is None else 128 + self._signal

    async def _call_and_report(self, tasks: anyio.abc.TaskGroup) -> int:
        """Make the call and return the exit code; a failure is reported as one line on stderr."""
        code, failure = REPLIED, None
        try:
            async with self._client() as rpc:
                if sys.stderr.isatty():
                    tasks.start_soon(self._report_progress, rpc)
                await self._call(rpc)
        except* (SdmlKafkaError, RuntimeFailure, OSError) as failures:
            failure = first_of(failures)
        match failure:
            case None | BrokenPipeError():
                return REPLIED
            case RemoteError():
                # Whether the client or the server notices first that the deadline has passed is
                # chance, so both give the same exit code.
                code = TIMED_OUT if failure.status == "deadline_exceeded" else REMOTE_ERROR
                own = self._options.server_group and failure.status == "unavailable"
                complain(f"request: {'' if own else 'the server answered '}{failure}")
            case CallTimeout():
                code, why = TIMED_OUT, failure.__cause__
                within = f"within {self._options.timeout_s:g} s"
                if self._written and self._options.streams:
                    replies = counted(self._written, "reply", "replies")
                    text = f"the stream did not end {within}; {replies} came"
                    hint = f". {why}" if why else ""
                else:
                    text = f"no reply {within}"
                    hint = f". {why or f'Does a server answer the topic {self._options.topic}?'}"
                complain(f"request: {text}{hint}")
            case _:
                code = WRONG_ARGUMENTS if isinstance(failure, ConfigurationError) else FAILED
                complain(f"request: {failure}")
        return code

    def _client(self) -> KafkaRPC:
        options = self._options
        return KafkaRPC(
            bootstrap_servers=options.bootstrap,
            reply_topic=options.reply_topic,
            dialect=options.dialect,
            start_timeout=min(MAX_START_S, options.timeout_s),
            stop_timeout=STOP_TIMEOUT_S,
            **options.config.options("sdml-kafka-request"),
        )

    async def _call(self, rpc: KafkaRPC) -> None:
        options = self._options
        how: RPCOptions = {
            "req_key": options.key,
            "req_headers": options.headers,
            "res_timeout": max(MIN_TIMEOUT_S, self._deadline - anyio.current_time()),
            "server_group": options.server_group,
        }
        topic, value = options.topic, self._value
        if not options.streams:
            await self._write(await rpc.request(topic, value, res_expect_type=bytes, **how))
            return
        async with rpc.stream(topic, value, res_expect_type=bytes, **how) as replies:
            async for reply in replies:
                await self._write(reply)

    async def _write(self, reply: bytes) -> None:
        if self._shows_text:
            reply = printable(reply).encode()
        if self._shows_text or self._options.streams:
            reply += b"\n"
        await self._output.write(reply)
        self._written += 1

    async def _watch_pipe(self, scope: anyio.CancelScope) -> None:
        while not self._output.is_broken():  # noqa: ASYNC110  (a pipe has no event for it)
            await anyio.sleep(CHECK_EVERY_S)
        scope.cancel("the pipe is closed")

    async def _report_progress(self, rpc: KafkaRPC) -> None:
        while True:
            await anyio.sleep(REPORT_EVERY_S)
            left_s = max(0.0, self._deadline - anyio.current_time())
            trouble = "" if rpc.status().connected else "no broker answers; "
            say(f"{trouble}waiting for the reply, {left_s:.0f} s more")
