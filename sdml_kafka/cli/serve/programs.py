"""Runs a program for each request: its value on stdin, the reply from stdout, never by a shell."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from secrets import token_hex
from types import TracebackType
from typing import Self

import anyio
import anyio.abc
from attrs import frozen

from sdml_kafka.cli.serve import guard as _guard
from sdml_kafka.cli.terminal import say

MAX_OUTPUT_BYTES = 1_000_000
"""What a Kafka takes by default, less some for key and headers."""
MAX_STDERR_BYTES = 64 * 1024
MAX_LINE_BYTES = 1000
TERMINATED_WITHIN_S = 1.0
"""Between SIGTERM and SIGKILL."""
STDERR_AFTERWARDS_S = 0.5
MARK = "SDML_KAFKA_SERVE"

Pipes = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)


@frozen
class Ended:
    output: bytes
    code: int
    """As for subprocess: negative for a signal."""
    is_too_long: bool
    """It wrote more than `MAX_OUTPUT_BYTES`, and was ended."""


class Guard:
    """The process that ends what runs when this one is killed."""

    def __init__(self) -> None:
        self.mark: dict[str, str] = {MARK: token_hex(16)}
        """What has to be in the environment of what it guards."""
        mark = f"{MARK}={self.mark[MARK]}"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _guard.__file__, mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C in a terminal reaches its process group, and this one has to outlive us.
            start_new_session=True,
        )

    def began(self, pid: int) -> None:
        self._tell(b"+%d\n" % pid)

    def ended(self, pid: int) -> None:
        self._tell(b"-%d\n" % pid)

    def _tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # somebody killed it: then there is no guard
            os.write(self._process.stdin.fileno(), line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Program:
    def __init__(self, command: Sequence[str], guard: Guard) -> None:
        self._command = list(command)
        self._name = os.path.basename(command[0])
        self._guard = guard

    async def run(self, value: bytes, env: Mapping[str, str]) -> Ended:
        """Cancelled, it terminates the program, and kills it when it does not end in time.

        Raises OSError when the program cannot be started.
        """
        process = await self._start(env)
        try:
            return await self._converse(process, value)
        finally:
            with anyio.CancelScope(shield=True):
                await _end(process)
            self._guard.ended(process.pid)

    async def _start(self, env: Mapping[str, str]) -> anyio.abc.Process:
        with anyio.CancelScope(shield=True):  # cancelled under way, nobody would know its number
            # A session of its own: signals reach what it starts, too, and Ctrl-C is ours alone.
            started = await anyio.open_process(
                self._command, env={**env, **self._guard.mark}, start_new_session=True
            )
            self._guard.began(started.pid)
            return started
        raise AssertionError("a shield was broken")

    async def _converse(self, process: anyio.abc.Process, value: bytes) -> Ended:
        output, code, is_whole = bytearray(), 0, False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_feed, process, value)
            stderr_ended = anyio.Event()
            tasks.start_soon(self._relay, process, stderr_ended)
            is_whole = await _collect(process, output)
            if is_whole:
                code = await process.wait()
                with anyio.move_on_after(STDERR_AFTERWARDS_S):
                    await stderr_ended.wait()
            tasks.cancel_scope.cancel()
        return Ended(bytes(output), code, is_too_long=not is_whole)

    async def _relay(self, process: anyio.abc.Process, ended: anyio.Event) -> None:
        """Its stderr, line by line, to ours."""
        assert process.stderr is not None
        lines = Lines()
        with suppress(*Pipes):
            async for data in process.stderr:
                self._say(process.pid, lines.feed(data))
        self._say(process.pid, lines.rest())
        ended.set()

    def _say(self, pid: int, lines: Iterable[str]) -> None:
        for line in lines:
            with suppress(OSError):  # nobody hears it; the program is not to wait for that
                say(f"{self._name}[{pid}]: {line}")


class Lines:
    """Bounded lines out of what a program writes to stderr, of any length and never ending."""

    def __init__(self) -> None:
        self._left = MAX_STDERR_BYTES
        self._line = b""

    def feed(self, data: bytes) -> Iterator[str]:
        if not self._left:
            return
        kept, self._left = data[: self._left], max(0, self._left - len(data))
        *lines, self._line = (self._line + kept).split(b"\n")
        for line in lines:
            yield from _pieces(line)
        if len(self._line) >= MAX_LINE_BYTES:
            yield from self.rest()
        if not self._left:
            yield from self.rest()
            yield "(more is not shown)"

    def rest(self) -> Iterator[str]:
        """When it has ended."""
        if self._line:
            yield from _pieces(self._line)
            self._line = b""


def _pieces(line: bytes) -> Iterator[str]:
    for at in range(0, max(1, len(line)), MAX_LINE_BYTES):
        yield line[at : at + MAX_LINE_BYTES].decode("utf-8", "backslashreplace")


async def _feed(process: anyio.abc.Process, value: bytes) -> None:
    assert process.stdin is not None
    with suppress(*Pipes):  # it need not read
        await process.stdin.send(value)
    with suppress(*Pipes):
        await process.stdin.aclose()


async def _collect(process: anyio.abc.Process, output: bytearray) -> bool:
    """Until it has written all; False: that is too much."""
    assert process.stdout is not None
    with suppress(*Pipes):
        async for data in process.stdout:
            output += data
            if len(output) > MAX_OUTPUT_BYTES:
                return False
    return True


async def _end(process: anyio.abc.Process) -> None:
    """Whatever runs of it is terminated, then killed; its pipes are closed."""
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with anyio.move_on_after(TERMINATED_WITHIN_S):
            await process.wait()
        _signal(process, signal.SIGKILL)
    with anyio.move_on_after(TERMINATED_WITHIN_S):
        await process.aclose()


def _signal(process: anyio.abc.Process, number: signal.Signals) -> None:
    """To all of its group: to it and to what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
