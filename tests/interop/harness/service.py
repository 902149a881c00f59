"""A service that runs: a child process that reads commands and writes events, as lines of JSON."""

import json
import os
import queue
import subprocess
import threading
from base64 import b64decode
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

import anyio.to_thread
from attrs import frozen

from sdml_kafka.testing.embedded.java import find_java
from tests.interop.harness.building import built

READY_TIMEOUT_S = 180.0
ANSWER_TIMEOUT_S = 60.0
EXIT_TIMEOUT_S = 20.0
MAX_LOG_LINES = 40
"""The last lines of what a service has printed that a failed test shows."""

Event = dict[str, Any]


class Service:
    """One process of a service. All but `ask_async` and `until` block."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Remember what to run; `start` runs it."""
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._changed = threading.Condition()
        self._answers: dict[int, queue.SimpleQueue[Event]] = {}
        self.events: list[Event] = []
        """What it has reported, of all its runs."""
        self._log: list[str] = []

    def start(self, **environment: str) -> None:
        """Run it, with these variables changed, until it is ready for commands and records."""
        ready = self._count("ready")
        self._process = subprocess.Popen(
            self._command,
            env={**self._environment, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()
        self.wait_for(lambda: self._count("ready") > ready, READY_TIMEOUT_S)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._end()

    def stop(self) -> None:
        """Let it leave in good order; kill it if it does not."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Run a command of the service, and return its result."""
        answer: queue.SimpleQueue[Event] = queue.SimpleQueue()
        with self._changed:
            number = len(self._answers)
            self._answers[number] = answer
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        try:
            found = answer.get(timeout=ANSWER_TIMEOUT_S)
        except queue.Empty:
            raise AssertionError(f"no answer to {do!r}:\n{self.log_tail()}") from None
        assert "error" not in found, found["error"]
        return found["result"]

    async def ask_async(self, do: str, **arguments: Any) -> Any:
        """Run a command in a thread; a cancelled test does not wait for its result."""
        return await anyio.to_thread.run_sync(
            lambda: self.ask(do, **arguments), abandon_on_cancel=True
        )

    def wait_for(self, condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        """Return once a condition about the events holds; fail if the process ends before."""

        def is_over() -> bool:
            return bool(condition()) or self._process is None or self._process.poll() is not None

        with self._changed:
            self._changed.wait_for(is_over, timeout_s)
        assert condition(), f"it did not come:\n{self.log_tail()}"

    async def until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        """Wait in a thread until a condition about the events holds."""
        await anyio.to_thread.run_sync(lambda: self.wait_for(condition, timeout_s))

    def having(self, **fields: Any) -> list[Event]:
        """Return the events that have these fields."""
        return [each for each in list(self.events) if fields.items() <= each.items()]

    def log_tail(self) -> str:
        """Return the end of what it has printed."""
        return "\n".join(self._log[-MAX_LOG_LINES:])

    def _count(self, event: str) -> int:
        return len(self.having(event=event))

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self._log.append(line.rstrip("\n"))
            found = json.loads(line) if line.startswith("{") else None
            with self._changed:
                if found is not None and "event" in found:
                    self.events.append(found)
                elif found is not None:
                    self._answers[found["id"]].put(found)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _end(self) -> None:
        assert self._process is not None
        assert self._reader is not None
        self._process.wait()
        self._reader.join(EXIT_TIMEOUT_S)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):  # what was not written yet is of no use
                stream.close()
        self._process = None


@frozen
class Running:
    """A service that runs, and how the names of its topics begin."""

    service: Service
    prefix: str

    def topic(self, name: str) -> str:
        """Return the whole name of a topic of the service."""
        return f"{self.prefix}-{name}"


def running(service: Service, prefix: str) -> Generator[Running]:
    """Run a service during a fixture."""
    try:
        service.start()
        yield Running(service, prefix)
    finally:
        service.stop()


def spring(bootstrap: str, prefix: str, role: str) -> Service:
    """Return a Spring service in the role responder, requester or retries."""
    java = str(find_java().executable)
    # Two cores are shared with the broker: the quick compiler alone starts in half the time.
    flags = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    command = [java, *flags, "-jar", str(built("spring") / "target" / "interop-spring.jar")]
    return Service(
        command,
        {
            **_without_java_options(),
            "SPRING_PROFILES_ACTIVE": role,
            "SPRING_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "INTEROP_PREFIX": prefix,
        },
    )


def nest(bootstrap: str, prefix: str, role: str) -> Service:
    """Return a NestJS service in the role responder or requester."""
    return Service(
        ["node", str(built("nest") / "dist" / f"{role}.js")],
        {
            **_without_java_options(),
            "BOOTSTRAP": bootstrap,
            "PREFIX": prefix,
            "KAFKAJS_NO_PARTITIONER_WARNING": "1",
        },
    )


def _without_java_options() -> dict[str, str]:
    # The archive of Kafka's classes is not that of the service's.
    return {name: each for name, each in os.environ.items() if name != "JDK_JAVA_OPTIONS"}


def headers_of(event: Event) -> list[tuple[str, bytes]]:
    """Return the headers that an event holds."""
    return [(name, b64decode(value)) for name, value in event["headers"]]
