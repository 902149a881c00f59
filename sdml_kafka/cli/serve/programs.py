"""Runs a program, without a shell: writes its stdin, reads its stdout, relays its stderr."""

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import anyio
import anyio.abc
from attrs import frozen

from sdml_kafka.cli.serve.guard_process import GuardProcess
from sdml_kafka.cli.serve.stderr_lines import StderrLines
from sdml_kafka.cli.terminal import say

MAX_OUTPUT_BYTES = 1_000_000
"""About the largest record that Kafka takes by default, less some room for key and headers."""
TERMINATION_TIMEOUT_S = 1.0
"""Seconds between SIGTERM and SIGKILL."""
STDERR_TIMEOUT_S = 0.5
"""Seconds that stderr is read on after the program has ended."""

PIPE_ERRORS = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)


@frozen
class ProgramResult:
    """The output of a program, and how it ended."""

    output: bytes
    code: int
    """The exit code; the negative number of the signal that ended the program."""
    is_too_long: bool
    """True if the program wrote more than `MAX_OUTPUT_BYTES`, and was ended for that."""


class Program:
    """A command that can be run many times, also at the same time."""

    def __init__(self, command: Sequence[str], guard: GuardProcess) -> None:
        self._command = list(command)
        self._name = os.path.basename(command[0])
        self._guard = guard

    async def run(self, value: bytes, env: Mapping[str, str]) -> ProgramResult:
        """Run the command once and return its result.

        When the call is cancelled, the program is terminated, and killed if it does not end in
        time.

        Args:
            value: What the program reads from stdin.
            env: The program's environment.

        Raises:
            OSError: The program cannot be started.
        """
        process = await self._start(env)
        try:
            return await self._exchange(process, value)
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)
            self._guard.ended(process.pid)

    async def _start(self, env: Mapping[str, str]) -> anyio.abc.Process:
        # Without the shield, a cancellation could leave a process whose number nobody knows.
        with anyio.CancelScope(shield=True):
            # In a session of its own the program shares signals with what it starts, and it does
            # not get the Ctrl-C that is meant for `serve`.
            started = await anyio.open_process(
                self._command, env={**env, **self._guard.mark}, start_new_session=True
            )
            self._guard.began(started.pid)
            return started
        raise AssertionError("a shield was broken")

    async def _exchange(self, process: anyio.abc.Process, value: bytes) -> ProgramResult:
        output, code, is_whole = bytearray(), 0, False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_feed, process, value)
            stderr_ended = anyio.Event()
            tasks.start_soon(self._relay, process, stderr_ended)
            is_whole = await _collect(process, output)
            if is_whole:
                code = await process.wait()
                with anyio.move_on_after(STDERR_TIMEOUT_S):
                    await stderr_ended.wait()
            tasks.cancel_scope.cancel()
        return ProgramResult(bytes(output), code, is_too_long=not is_whole)

    async def _relay(self, process: anyio.abc.Process, ended: anyio.Event) -> None:
        """Write the program's stderr to ours, line by line."""
        assert process.stderr is not None
        lines = StderrLines()
        with suppress(*PIPE_ERRORS):
            async for data in process.stderr:
                self._say(process.pid, lines.feed(data))
        self._say(process.pid, lines.rest())
        ended.set()

    def _say(self, pid: int, lines: Iterable[str]) -> None:
        for line in lines:
            with suppress(OSError):  # a closed stderr must not hold up the program
                say(f"{self._name}[{pid}]: {line}")


async def _feed(process: anyio.abc.Process, value: bytes) -> None:
    assert process.stdin is not None
    with suppress(*PIPE_ERRORS):  # a program need not read its stdin
        await process.stdin.send(value)
    with suppress(*PIPE_ERRORS):
        await process.stdin.aclose()


async def _collect(process: anyio.abc.Process, output: bytearray) -> bool:
    """Read stdout to its end; return False when the program writes more than is allowed."""
    assert process.stdout is not None
    with suppress(*PIPE_ERRORS):
        async for data in process.stdout:
            output += data
            if len(output) > MAX_OUTPUT_BYTES:
                return False
    return True


async def _end(process: anyio.abc.Process) -> None:
    """Terminate, then kill what still runs of the program, and close its pipes."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with anyio.move_on_after(TERMINATION_TIMEOUT_S):
            await process.wait()
        _signal(process, signal.SIGKILL)
    with anyio.move_on_after(TERMINATION_TIMEOUT_S):
        await process.aclose()


def _signal(process: anyio.abc.Process, number: signal.Signals) -> None:
    """Send a signal to the program's process group: to itself and to what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
