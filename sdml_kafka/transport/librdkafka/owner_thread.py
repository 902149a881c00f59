"""A thread that owns one librdkafka client, and the ways into it and out of it.

How this works
--------------
librdkafka has threads of its own, but its callbacks and records come in the thread that polls, and
a poll blocks. So one thread does that: it takes turns, each of which waits for the client for a
moment, and carries out commands between two turns. Results cross to the program's event loop,
asyncio's, uvloop's or trio's, as plain functions that are scheduled there.

Nobody else may call a consumer: since confluent-kafka 2.16 its calls wait for each other, by a look
every millisecond, and one that polls again at once lets nobody else in. Nothing ends a poll that
waits, so turns are short.

Rules for whoever edits this file:

- The client is closed by the thread itself, as the last thing that it does.
- No code of a user runs here.
- A caller that is cancelled leaves its command behind, which is carried out all the same.
- The thread is a daemon, so that a client that hangs cannot keep the program from ending.
"""

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from traceback import clear_frames
from typing import Any

import anyio

from sdml_kafka.runtime.waiter import Waiter, on_trio, waiter_maker, wake

Command = Callable[[], object]


class ThreadEnded(Exception):
    """The thread has ended, or will before it carries out what it was asked for."""


class ProgramLoop:
    """The event loop that a client was opened on, as other threads reach it."""

    def __init__(self) -> None:
        self.new_waiter: Callable[[], Waiter] = waiter_maker()
        self._schedule: Callable[[Command], object]
        self.call_next: Callable[[Command], object]
        """Runs a function once what is ready to run has run; for the program's own thread."""
        if on_trio():
            import trio

            self._schedule = trio.lowlevel.current_trio_token().run_sync_soon
            self.call_next = self._schedule
        else:
            loop, context = asyncio.get_running_loop(), _context_of_asyncio()
            self._schedule = partial(loop.call_soon_threadsafe, context=context)
            self.call_next = partial(loop.call_soon, context=context)

    def call_soon(self, function: Command) -> None:
        """Run a function on the loop, which is left out if the loop has ended."""
        with suppress(RuntimeError):  # trio's RunFinishedError is one as well
            self._schedule(function)


def _context_of_asyncio() -> Context:
    """Return a context in which functions outside of any task know that they run on asyncio."""
    context = copy_context()
    if (sniffio := sys.modules.get("sniffio")) is not None:  # which asks for a task otherwise
        context.run(sniffio.current_async_library_cvar.set, "asyncio")
    return context


class OwnerThread:
    """Takes turns of one client until it is stopped, and carries out commands in between."""

    def __init__(
        self,
        name: str,
        loop: ProgramLoop,
        turn: Command,
        end: Command,
        failed: Callable[[Exception], object],
    ) -> None:
        """Make a thread that is not started yet.

        Args:
            name: The name of the thread.
            loop: The program's loop.
            turn: Waits for the client, for a few hundredths of a second.
            end: Closes the client. It is called once, in the thread.
            failed: Called in the thread with what a turn or a command has raised. The thread ends
                then.
        """
        self._loop = loop
        self._turn = turn
        self._end = end
        self._failed = failed
        self._commands: deque[Command] = deque()
        self._bell = threading.Lock()
        """Free if the thread is not to rest. An Event would run some ten lines of Python."""
        self._bell.acquire()
        self._calls: set[_Call] = set()
        """The calls that have no outcome yet; the program's."""
        self._is_stopping = False
        self.is_over: bool = False
        """True if no command will be carried out any more; the program's."""
        self._ended = anyio.Event()
        self._starting = threading.Lock()
        """Held while the thread is started: its client may be closed as it is begun with."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread, unless it was started."""
        with self._starting:
            if self._thread.ident is None:
                self._thread.start()

    @property
    def is_stopping(self) -> bool:
        """True if the client is to be closed once the command in hand has been carried out."""
        return self._is_stopping

    def call_soon(self, command: Command) -> None:
        """Have a command carried out, in the order of the calls, unless the thread ends before."""
        self._commands.append(command)
        self.wake()

    def wake(self) -> None:
        """Let the thread rest no longer."""
        with suppress(RuntimeError):  # it is free already
            self._bell.release()

    def rest(self, timeout_s: float) -> None:
        """Let the thread wait until there is a command or it is woken; called in the thread."""
        self._bell.acquire(timeout=timeout_s)

    async def call[T](self, command: Callable[[], T]) -> T:
        """Have a command carried out, and return what it returns or raise what it raises.

        Raises:
            ThreadEnded: The thread has ended before that.
        """
        if self.is_over:
            raise ThreadEnded
        call = _Call(command, self._loop.new_waiter())
        self._calls.add(call)
        try:
            self.call_soon(partial(self._carry_out, call))
            await call.waiter
        finally:
            self._calls.discard(call)
        if call.error is not None:
            raise call.error
        result: T = call.result
        return result

    def _carry_out(self, call: "_Call") -> None:
        try:
            call.result = call.command()
        except Exception as error:
            # What its frames refer to would be kept as long as the error, and so would a client.
            clear_frames(error.__traceback__)
            call.error = error
        self._loop.call_soon(partial(wake, call.waiter))

    async def stop(self, timeout_s: float) -> bool:
        """Have the client closed, and return whether the thread has ended by then."""
        self._is_stopping = True
        self.start()  # to close the client, and nothing else, if it was not started
        self.wake()
        with anyio.move_on_after(timeout_s):
            await self._ended.wait()
            self._thread.join(timeout=0.1)
            return True
        return False

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:
            self._failed(error)
        finally:
            try:
                self._end()
            finally:
                self._loop.call_soon(self._note_end)

    def _serve(self) -> None:
        commands = self._commands
        while not self._is_stopping:
            self._turn()
            # First, so that a command that comes now ends the next rest.
            self._bell.acquire(blocking=False)
            while commands:
                commands.popleft()()

    def _note_end(self) -> None:
        self.is_over = True
        self._ended.set()
        for call in self._calls:
            if not call.waiter.done():
                call.error = ThreadEnded()
                wake(call.waiter)


class _Call:
    """A command whose caller waits for its outcome."""

    def __init__(self, command: Callable[[], object], waiter: Waiter) -> None:
        self.command = command
        self.waiter = waiter
        self.result: Any = None
        self.error: Exception | None = None
