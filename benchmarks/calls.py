"""Measures calls from one process to another, beside a client and a server by hand on aiokafka.

Each contestant is a pair of a client process and a server process. All pairs of a case run, and
take turns of a second, round after round. Either process reports what it has used itself.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from attrs import asdict, frozen

from benchmarks.contest import Children, Column, Comparison, Note, compare
from benchmarks.event_loops import EVENT_LOOPS, LIBRDKAFKA, LIBRDKAFKA_LOOPS, run_on
from benchmarks.meter import Usage
from benchmarks.observers import NAMES
from benchmarks.pairs import PAYLOADS, client_by_hand, our_client, our_server, server_by_hand
from benchmarks.sampling import allow_sampling
from sdml_kafka.testing import EmbeddedKafka

TURN_S = 1.0
WARM_UP_S = 2.0
PARTITIONS = 4
"""The partitions of the request topic and of the reply topic."""


@frozen
class Case:
    """One case of the benchmark: what calls carry, and how many are made at a time."""

    payload: str
    size: int
    in_flight: int

    def __str__(self) -> str:
        return f"{self.payload}, {self.size} bytes, {self.in_flight} in flight"


CASES = [
    Case(payload, size, in_flight)
    for payload, size in (("plain", 100), ("nested JSON", 512), ("nested JSON", 10240))
    for in_flight in (1, 100, 1000)
]

CONTESTANTS: dict[str, tuple[str, Callable[..., Any], Callable[..., Any]]] = {
    "pair by hand": ("asyncio", client_by_hand, server_by_hand),
    **{f"ours, {loop}": (loop, our_client, our_server) for loop in EVENT_LOOPS},
    **{
        f"ours, {loop}, {LIBRDKAFKA}": (
            loop,
            partial(our_client, client="librdkafka"),
            partial(our_server, client="librdkafka"),
        )
        for loop in LIBRDKAFKA_LOOPS
    },
}
OBSERVED: dict[str, tuple[str, Callable[..., Any], Callable[..., Any]]] = {
    f"{name}, {loop}": (
        loop,
        partial(our_client, observer=name),
        partial(our_server, observer=name),
    )
    for loop in ("asyncio", "trio")
    for name in NAMES
}
"""The same pair, observed by hooks."""
IN_DIALECTS: dict[str, tuple[str, Callable[..., Any], Callable[..., Any]]] = {
    dialect: ("asyncio", partial(our_client, dialect=dialect), our_server)
    for dialect in ("native", "spring", "nestjs")
}
"""The same pair, in the dialects of others as well."""


@frozen
class Sample:
    """One turn of one pair."""

    rate: float
    """Calls a second."""
    p50_ms: float
    p99_ms: float
    client_us: float
    """CPU time of the client's process for each call, in microseconds."""
    server_us: float
    client_collections: float
    """Collections of the youngest generation in the client's process, per 100,000 calls."""
    server_collections: float

    @property
    def cpu_us(self) -> float:
        """CPU time of both processes for each call, in microseconds."""
        return self.client_us + self.server_us


COLUMNS = [
    Column("p50", "p50_ms", ratio=True, spread=True),
    Column("p99", "p99_ms", ratio=True, spread=True),
    Column("CPU", "cpu_us", ratio=True),
    Column("calls/s", "rate", digits=0, spread=True),
    Column("p50 ms", "p50_ms"),
    Column("p99 ms", "p99_ms"),
    Column("client us", "client_us", digits=1),
    Column("server us", "server_us", digits=1),
    Column("collections, client", "client_collections", digits=0),
    Column("collections, server", "server_collections", digits=0),
]


def contestant(name: str) -> tuple[str, Callable[..., Any], Callable[..., Any]]:
    """Return the event loop, the client and the server of a contestant."""
    return {**OBSERVED, **IN_DIALECTS, **CONTESTANTS}[name]


# -- in the processes of the pair --------------------------------------------------------


async def run_server(name: str, bootstrap: str, topic: str, case: Case) -> None:
    """Serve, and answer each line on stdin with what the process has used."""
    async with contestant(name)[2](bootstrap, topic, PAYLOADS[case.payload]):
        report("ready")
        while await anyio.to_thread.run_sync(sys.stdin.readline):
            report(asdict(Usage.now()))


async def run_client(name: str, bootstrap: str, topic: str, case: Case) -> None:
    """Make calls for each number of seconds on stdin, and answer it with what they took."""
    payload = PAYLOADS[case.payload]
    make, belongs = payload.make(case.size, 1000), payload.belongs
    clock, numbers = time.perf_counter, count()
    async with contestant(name)[1](bootstrap, topic, payload) as request:

        async def caller(until: float, times: list[float]) -> None:
            while clock() < until:
                value = make(next(numbers))
                began = clock()
                reply = await request(value)
                times.append(clock() - began)
                if not belongs(value, reply):
                    raise AssertionError(f"{reply!r} is no reply to {value!r}")

        report("ready")
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            times: list[float] = []
            used, began = Usage.now(), clock()
            async with anyio.create_task_group() as tasks:
                for _ in range(case.in_flight):
                    tasks.start_soon(caller, began + float(line), times)
            seconds = clock() - began
            used = Usage.now().since(used)
            p99 = sorted(times)[int(len(times) * 0.99)]
            took = [len(times), seconds, statistics.median(times) * 1000, p99 * 1000]
            report({"took": took, **asdict(used)})


def report(what: Any) -> None:
    """Write one line to the parent process."""
    print(json.dumps(what), flush=True)


# -- in the parent process ---------------------------------------------------------------


class Pair:
    """The two processes of a contestant."""

    def __init__(self, client: "subprocess.Popen[str]", server: "subprocess.Popen[str]") -> None:
        self._client = client
        self._server = server
        self.client_pid = client.pid
        self.server_pid = server.pid

    def turn(self, seconds: float) -> Sample:
        """Let the client make calls."""
        before = Usage(**ask(self._server, "usage"))
        answer = ask(self._client, seconds)
        served = Usage(**ask(self._server, "usage")).since(before)
        calls, took, p50, p99 = answer.pop("took")
        called = Usage(**answer)
        return Sample(
            calls / took,
            p50,
            p99,
            called.cpu_s / calls * 1e6,
            served.cpu_s / calls * 1e6,
            called.collections / calls * 1e5,
            served.collections / calls * 1e5,
        )


def ask(child: "subprocess.Popen[str]", what: object) -> Any:
    """Write a line to a child process, and return its answer."""
    assert child.stdin is not None
    print(what, file=child.stdin, flush=True)
    return hear(child)


def hear(child: "subprocess.Popen[str]") -> Any:
    """Return what a child process says next."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise ChildProcessError(f"{child.args!r} has ended")
    return json.loads(line)


@contextmanager
def running(
    children: Children, name: str, bootstrap: str, topic: str, case: Case
) -> Generator[Pair]:
    """Start the two processes; they leave when their stdin ends."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}

    def start(role: str) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            **children.command(name, role, bootstrap, topic, CASES.index(case)), **pipes
        )
        stack.callback(child.kill)
        stack.callback(child.communicate)
        hear(child)
        return child

    with ExitStack() as stack:
        server = start("server")
        yield Pair(start("client"), server)


async def create(bootstrap: str, topic: str) -> None:
    """Create the topics of a pair."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    topics = [NewTopic(name, PARTITIONS, 1) for name in (topic, f"{topic}-reply")]
    await admin.create_topics(topics)
    await admin.close()


def run(
    rounds: int,
    names: Sequence[str],
    cases: Sequence[Case],
    note: Note,
    beside: Path | None,
    columns: Sequence[Column] = COLUMNS,
) -> Iterator[list[Comparison]]:
    """Let the pairs take turns, and yield each case's comparison with the first pair."""
    children = Children("benchmarks.calls", beside)
    with EmbeddedKafka() as kafka:
        for case in cases:
            samples: dict[str, list[Sample]] = {name: [] for name in names}
            with ExitStack() as stack:
                pairs: dict[str, Pair] = {}
                for number, name in enumerate(names):
                    topic = f"calls-{CASES.index(case)}-{number}"
                    where = kafka.bootstrap_servers, topic
                    asyncio.run(create(*where))
                    pairs[name] = stack.enter_context(running(children, name, *where, case))
                for pair in pairs.values():
                    pair.turn(WARM_UP_S)
                for round_ in range(rounds):
                    # The order alternates, so that no pair always follows the same one.
                    for name in names if round_ % 2 else reversed(names):
                        samples[name].append(pairs[name].turn(TURN_S))
                    note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(str(case), samples, columns)


def run_one(role: str, bootstrap: str, topic: str, case: str, name: str) -> None:
    """Run one side of a pair in this process."""
    allow_sampling()
    side = run_server if role == "server" else run_client
    run_on(contestant(name)[0], side, name, bootstrap, topic, CASES[int(case)])


if __name__ == "__main__":
    run_one(*sys.argv[2:])
