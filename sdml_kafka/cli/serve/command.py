"""`sdml-kafka serve`: a program answers the requests of a topic."""

import logging
import os
import shutil
import signal
import sys
from typing import NoReturn

import anyio
import anyio.abc

from sdml_kafka import Call, KafkaRPCServer, RemoteError, SdmlKafkaError
from sdml_kafka.cli.arguments import ServeOptions
from sdml_kafka.cli.progress import Troubles
from sdml_kafka.cli.serve.call_env import call_env
from sdml_kafka.cli.serve.programs import MAX_OUTPUT_BYTES, Ended, Guard, Program
from sdml_kafka.cli.signals import on_signal
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
DRAIN_TIMEOUT_S = 8.0
STOP_TIMEOUT_S = 12.0
LOOK_EVERY_S = 0.02


def run_serve(options: ServeOptions) -> int:
    """Serve until something ends it; returns the exit code."""
    require_backend(options.backend)
    command = (_found(options.command[0]), *options.command[1:])
    # Until it has begun, the one line that says why it cannot is enough.
    set_up_logging(logging.CRITICAL)
    with Guard() as guard:
        serving = Serving(options, Program(command, guard), _server(options))
        return anyio.run(serving.run, backend=options.backend)


def _server(options: ServeOptions) -> KafkaRPCServer:
    most = options.concurrency
    return KafkaRPCServer(
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        concurrency=most if options.maximum is None else min(most, options.maximum),
        drain_timeout=DRAIN_TIMEOUT_S,
        stop_timeout=STOP_TIMEOUT_S,
        client_id="sdml-kafka-serve",
    )


def _found(program: str) -> str:
    """Where it is. Raises CannotRun."""
    found = shutil.which(program)
    if found is None:
        raise CannotRun(f"serve: there is no program {program!r} that can be run")
    return found


class Serving:
    def __init__(self, options: ServeOptions, program: Program, server: KafkaRPCServer) -> None:
        self._options = options
        self._program = program
        self._server = server
        server.handler(options.topic)(self._answer)
        self._has_begun = False
        self._begun = 0
        self._ended = 0
        self._beyond = 0
        """Requests that came after the last one that it answers."""
        self._leaving: anyio.Event

    async def run(self) -> int:
        """Until a signal comes or enough is answered; returns the exit code."""
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
            say(f"{self._ended:,} requests answered")
        return code

    async def _serve(self, tasks: anyio.abc.TaskGroup) -> int:
        failure = None
        try:
            async with self._server:
                self._has_begun = True
                set_up_logging()
                if sys.stderr.isatty():
                    say(f"serving {self._options.topic}; Ctrl-C ends it")
                tasks.start_soon(Troubles(self._server.status).run)
                await self._leaving.wait()
                if self._is_enough():
                    await self._acknowledged()
                    # Those that came beyond are given back: nobody has to wait for them.
                    tasks.cancel_scope.cancel()
        except* (SdmlKafkaError, RuntimeFailure, OSError) as failures:
            failure = first_of(failures)
        if failure is None:
            return DONE
        complain(f"serve: {failure}")
        return FAILED if self._has_begun else COULD_NOT_BEGIN

    def _is_enough(self) -> bool:
        return self._ended == self._options.maximum

    async def _acknowledged(self) -> None:
        """Until the replies that were given have arrived; bounded."""
        with anyio.move_on_after(DRAIN_TIMEOUT_S):
            while self._server.status().in_flight > self._beyond:  # noqa: ASYNC110  (nobody tells)
                await anyio.sleep(LOOK_EVERY_S)

    async def _answer(self, value: bytes, call: Call) -> bytes:
        if self._begun == self._options.maximum:
            await self._leave_to_the_next_server()
        self._begun += 1
        try:
            return await self._run(value, call)
        finally:
            self._ended += 1
            if self._is_enough():
                self._leaving.set()

    async def _leave_to_the_next_server(self) -> NoReturn:
        self._beyond += 1
        try:
            while True:
                await anyio.sleep_forever()
        finally:
            self._beyond -= 1

    async def _run(self, value: bytes, call: Call) -> bytes:
        env = call_env(os.environ, call.id, call.key, call.remaining_s, call.headers)
        ended = None
        with anyio.move_on_after(self._options.timeout_s):
            try:
                ended = await self._program.run(value, env)
            except OSError as error:
                complain(f"serve: the program cannot be started: {error}")
                raise RemoteError("internal", "the program cannot be started") from error
        if ended is None:
            limit = f"{self._options.timeout_s:g} s"
            raise RemoteError("deadline_exceeded", f"the program ran for more than {limit}")
        return _reply(ended)


def _reply(ended: Ended) -> bytes:
    """Raises RemoteError."""
    if ended.is_too_long:
        raise RemoteError("internal", f"the reply has more than {MAX_OUTPUT_BYTES:,} bytes")
    if ended.code < 0:
        raise RemoteError("internal", f"ended by signal {-ended.code}")
    if ended.code > 0:
        raise RemoteError("internal", f"exit code {ended.code}")
    return ended.output
