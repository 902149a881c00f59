"""Answers the requests of a topic by running a program for each."""

import logging
import os
import shutil
import signal
import sys
from typing import NoReturn

import anyio
import anyio.abc

from sdml_kafka import Call, ConfigurationError, KafkaRPCServer, RemoteError, SdmlKafkaError
from sdml_kafka.cli.progress import TroubleReport
from sdml_kafka.cli.serve.arguments import ServeOptions
from sdml_kafka.cli.serve.call_env import call_env
from sdml_kafka.cli.serve.guard_process import GuardProcess
from sdml_kafka.cli.serve.programs import MAX_OUTPUT_BYTES, Program, ProgramResult
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

DONE, FAILED, COULD_NOT_BEGIN = 0, 1, 2
DRAIN_TIMEOUT_S = 8.0
STOP_TIMEOUT_S = 12.0
CHECK_EVERY_S = 0.02


def run_serve(options: ServeOptions) -> int:
    """Serve until something ends that, and return the exit code."""
    require_backend(options.backend)
    command = (_path_of(options.command[0]), *options.command[1:])
    set_up_logging(logging.CRITICAL)  # the one line that says why it cannot begin is enough
    try:
        server = _server(options)
    except ConfigurationError as error:
        raise CannotRun(f"serve: {error}") from None
    with GuardProcess() as guard:
        serving = ServeRun(options, Program(command, guard), server)
        return anyio.run(serving.run, backend=options.backend)


def _server(options: ServeOptions) -> KafkaRPCServer:
    return KafkaRPCServer(
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        concurrency=min(options.concurrency, options.maximum or options.concurrency),
        drain_timeout=DRAIN_TIMEOUT_S,
        stop_timeout=STOP_TIMEOUT_S,
        **options.config.options("sdml-kafka-serve"),
    )


def _path_of(program: str) -> str:
    """Return the path of the program. Raises CannotRun when there is none."""
    found = shutil.which(program)
    if found is None:
        raise CannotRun(f"serve: there is no program {program!r} that can be run")
    return found


class ServeRun:
    """One run of the command: from joining the group to the exit code."""

    def __init__(self, options: ServeOptions, program: Program, server: KafkaRPCServer) -> None:
        self._options = options
        self._program = program
        self._server = server
        server.handler(options.topic)(self._answer)
        self._has_begun = False
        self._begun = 0
        self._ended = 0
        self._surplus = 0
        """The number of requests in hand beyond the last one that is answered."""
        self._leaving: anyio.Event

    async def run(self) -> int:
        """Serve until a signal comes or `--max` is reached, and return the exit code."""
        self._leaving = anyio.Event()
        code = DONE
        async with anyio.create_task_group() as tasks:

            def leave(_: signal.Signals) -> None:
                self._leaving.set()
                if not self._has_begun:
                    tasks.cancel_scope.cancel("a signal")

            await tasks.start(on_signal, leave)
            code = await self._serve(tasks)
            tasks.cancel_scope.cancel()
        if sys.stderr.isatty():
            say(f"{counted(self._ended, 'request')} answered")
        return code

    async def _serve(self, tasks: anyio.abc.TaskGroup) -> int:
        failure = None
        try:
            async with self._server:
                self._has_begun = True
                set_up_logging()
                if sys.stderr.isatty():
                    say(f"serving {self._options.topic}; Ctrl-C ends it")
                tasks.start_soon(TroubleReport(self._server.status).run)
                await self._leaving.wait()
                if self._has_reached_maximum():
                    await self._replies_acknowledged()
                    # Requests beyond the last one go back to the group, so nothing waits for them.
                    tasks.cancel_scope.cancel()
        except* (SdmlKafkaError, RuntimeFailure, OSError) as failures:
            failure = first_of(failures)
        if failure is None:
            return DONE
        complain(f"serve: {failure}")
        return FAILED if self._has_begun else COULD_NOT_BEGIN

    def _has_reached_maximum(self) -> bool:
        return self._ended == self._options.maximum

    async def _replies_acknowledged(self) -> None:
        """Wait until the broker has all replies, but no longer than `DRAIN_TIMEOUT_S`."""
        with anyio.move_on_after(DRAIN_TIMEOUT_S):
            while self._server.status().in_flight > self._surplus:  # noqa: ASYNC110  (it has no event)
                await anyio.sleep(CHECK_EVERY_S)

    async def _answer(self, value: bytes, call: Call) -> bytes:
        if self._begun == self._options.maximum:
            await self._hold_for_the_next_server()
        self._begun += 1
        try:
            return await self._run(value, call)
        finally:
            self._ended += 1
            if self._has_reached_maximum():
                self._leaving.set()

    async def _hold_for_the_next_server(self) -> NoReturn:
        """Keep a request unanswered; leaving gives it back to the group."""
        self._surplus += 1
        try:
            while True:
                await anyio.sleep_forever()
        finally:
            self._surplus -= 1

    async def _run(self, value: bytes, call: Call) -> bytes:
        env = call_env(os.environ, call.id, call.key, call.remaining_s, call.headers)
        result = None
        with anyio.move_on_after(self._options.timeout_s):
            try:
                result = await self._program.run(value, env)
            except OSError as error:
                complain(f"serve: the program cannot be started: {error}")
                raise RemoteError("internal", "the program cannot be started") from error
        if result is None:
            limit = f"{self._options.timeout_s:g} s"
            raise RemoteError("deadline_exceeded", f"the program ran for more than {limit}")
        return _reply(result)


def _reply(result: ProgramResult) -> bytes:
    """Return what the program wrote. Raises RemoteError when that is no reply."""
    if result.is_too_long:
        raise RemoteError("internal", f"the reply has more than {MAX_OUTPUT_BYTES:,} bytes")
    if result.code < 0:
        raise RemoteError("internal", f"ended by signal {-result.code}")
    if result.code > 0:
        raise RemoteError("internal", f"exit code {result.code}")
    return result.output
