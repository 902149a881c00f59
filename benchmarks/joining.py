"""Measures for how long a member that joins a group keeps records from the member that is there.

Records are written all the time, some to each partition. Partitions that stay with the first member
should not notice that a second one joins.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from attrs import frozen

from benchmarks.contest import Children, Column, Comparison, Note, compare
from benchmarks.event_loops import LIBRDKAFKA, run_on
from sdml_kafka import Delivery, KafkaListener, parse_bytes
from sdml_kafka.testing import EmbeddedKafka

PARTITIONS = 6
INTERVAL_S = 0.02
"""Seconds between two records of a partition."""
QUIET_S = 3.0
"""Seconds that the first member reads alone, and that it reads on after the second one has begun.
"""
END_S = 2.0
"""Seconds for what was written last."""
AT_ONCE = 500


@frozen
class Case:
    """The time that each handler takes; what is read by hand takes none."""

    work_ms: int

    def __str__(self) -> str:
        return f"{self.work_ms} ms of work" if self.work_ms else "no work"


CASES = [Case(0), Case(500)]
COLUMNS = [
    Column("gap where nothing moves, ms", "gap_ms", digits=0, spread=True),
    Column("the same before, ms", "quiet_ms", digits=0, spread=True),
    Column("gap of what moves, ms", "moving_ms", digits=0, spread=True),
    Column("until the second one reads, s", "join_s", spread=True),
    Column("lost", "lost", digits=0, spread=True),
    Column("repeated", "repeated", digits=0, spread=True),
]


@frozen
class JoiningSample:
    """What a second member cost the first one."""

    gap_ms: float
    """The longest time without a record of a partition that has stayed with the first member."""
    quiet_ms: float
    """The same while the first member was alone."""
    moving_ms: float
    """The longest time without a record of a partition that has moved."""
    join_s: float
    """Seconds until the second member had read a record of each partition of its share."""
    lost: int
    repeated: int

    @property
    def rate(self) -> float:
        """Gaps of this length that fit into a second."""
        return 1000 / self.gap_ms


class Log:
    """The records that a member has seen, and when."""

    def __init__(self, wanted: int) -> None:
        """Begin with none.

        Args:
            wanted: The number of partitions that this member waits for.
        """
        self.seen: list[tuple[int, int, float]] = []
        self._missing = wanted
        self._partitions = set[int]()

    def note(self, partition: int, offset: int) -> None:
        """Note a record, and print a line when there was one of each partition."""
        self.seen.append((partition, offset, time.monotonic()))
        if partition not in self._partitions:
            self._partitions.add(partition)
            if len(self._partitions) == self._missing:
                print(time.monotonic(), flush=True)


Client = Callable[[str, str, str, float, Log], AbstractAsyncContextManager[None]]
"""Reads into a log until it is left. It takes servers, group, topic, and the seconds of work."""


@asynccontextmanager
async def by_hand(
    bootstrap: str, group: str, topic: str, _: float, log: Log
) -> AsyncGenerator[None]:
    """Read by `getmany`, with aiokafka's own settings."""

    async def read() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    log.note(record.partition, record.offset)

    async with (
        AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest"
        ) as consumer,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(read)
        yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def by_listener(
    bootstrap: str, group: str, topic: str, work_s: float, log: Log, **options: Any
) -> AsyncGenerator[None]:
    """Process, with the settings of this package."""

    async def handle(_: bytes, delivery: Delivery[bytes]) -> None:
        log.note(delivery.record.partition, delivery.record.offset)
        if work_s:
            await anyio.sleep(work_s)

    async with (
        KafkaListener(
            [{"topics": [topic], "type": bytes, "parser": parse_bytes}],
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            **options,
        ) as listener,
        anyio.create_task_group() as tasks,
    ):
        process = partial(listener.process, order="none", concurrency=AT_ONCE)
        tasks.start_soon(process, bytes, handle)
        yield
        tasks.cancel_scope.cancel()


LISTENERS: dict[str, dict[str, Any]] = {
    "": {},
    f", {LIBRDKAFKA}": {"client": LIBRDKAFKA},
    f", cooperative-sticky, {LIBRDKAFKA}": {
        "client": LIBRDKAFKA,
        "client_options": {"group.protocol": "classic"},
    },
}
"""The options of listeners, by the end of their names."""
CONTESTANTS: dict[str, tuple[str, Client]] = {
    "getmany by hand": ("asyncio", by_hand),
    **{
        f"listener, {loop}{end}": (loop, partial(by_listener, **options))
        for end, options in LISTENERS.items()
        for loop in ("asyncio", "trio")
    },
}

__all__ = ["CASES", "COLUMNS", "CONTESTANTS", "run"]


async def member(
    client: Client, bootstrap: str, group: str, topic: str, work_s: float, wanted: int
) -> None:
    """Join when a line comes, and print what was read when another one does."""
    log = Log(wanted)
    print("up", flush=True)
    await anyio.to_thread.run_sync(sys.stdin.readline)
    async with client(bootstrap, group, topic, work_s, log):
        await anyio.to_thread.run_sync(sys.stdin.readline)
        print(json.dumps(log.seen), flush=True)


class Child:
    """A member in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Mapping[str, Any]) -> "Child":
        """Start the process, which joins nothing yet."""
        pipe, limit = asyncio.subprocess.PIPE, 1 << 26
        child = cls(
            await asyncio.create_subprocess_exec(
                *command["args"], env=command["env"], stdin=pipe, stdout=pipe, limit=limit
            )
        )
        await child.line()
        return child

    def go_on(self) -> None:
        """Let the member do the next thing."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def line(self) -> Any:
        """Return the next line that the member has printed."""
        assert self._process.stdout is not None
        text = (await self._process.stdout.readline()).decode()
        return text.strip() if text.startswith("up") else json.loads(text)

    async def end(self) -> list[tuple[int, int, float]]:
        """Let the member leave, and return what it has read."""
        self.go_on()
        seen: list[tuple[int, int, float]] = await self.line()
        await self._process.wait()
        return seen


async def join(bootstrap: str, topic: str, commands: Sequence[Mapping[str, Any]]) -> JoiningSample:
    """Let a second member join while records are written all the time."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    sent = [0] * PARTITIONS

    async def write(producer: AIOKafkaProducer) -> None:
        while True:
            for partition in range(PARTITIONS):
                await producer.send(topic, b"0", partition=partition)
                sent[partition] += 1
            await asyncio.sleep(INTERVAL_S)

    first, second = [await Child.start(command) for command in commands]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=0) as producer:
        writing = asyncio.create_task(write(producer))
        first.go_on()
        await first.line()
        await asyncio.sleep(QUIET_S)
        joined_at = time.monotonic()
        second.go_on()
        reads_at = await second.line()
        await asyncio.sleep(QUIET_S)
        writing.cancel()
        await producer.flush()
        ended_at = time.monotonic()
        await asyncio.sleep(END_S)
    old, new = await first.end(), await second.end()
    return sample(old, new, sum(sent), (joined_at, reads_at, ended_at))


def sample(
    old: Sequence[tuple[int, int, float]],
    new: Sequence[tuple[int, int, float]],
    sent: int,
    moments: tuple[float, float, float],
) -> JoiningSample:
    """Return what the two members' records show."""
    joined_at, reads_at, ended_at = moments
    moved = {partition for partition, _, _ in new}
    times: dict[int, list[float]] = {number: [] for number in range(PARTITIONS)}
    for partition, _, at in sorted([*old, *new], key=lambda each: each[2]):
        times[partition].append(at)

    def gap_ms(partitions: set[int], begin: float, end: float) -> float:
        gaps = [
            min(later, end) - max(earlier, begin)
            for partition in partitions
            for earlier, later in pairwise([*times[partition], ended_at])
            if later > begin and earlier < end
        ]
        return 1000 * max(gaps, default=0.0)

    stayed = times.keys() - moved
    distinct = {(partition, offset) for partition, offset, _ in [*old, *new]}
    return JoiningSample(
        gap_ms(stayed, joined_at, ended_at),
        gap_ms(stayed, joined_at - QUIET_S, joined_at),
        gap_ms(moved, joined_at, ended_at),
        reads_at - joined_at,
        sent - len(distinct),
        len(old) + len(new) - len(distinct),
    )


def run(
    rounds: int, names: Sequence[str], cases: Sequence[Case], note: Note, beside: Path | None
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield each case's comparison with the loop by hand."""
    children = Children("benchmarks.joining", beside)
    with EmbeddedKafka() as kafka:
        bootstrap = kafka.bootstrap_servers
        for case in cases:
            samples: dict[str, list[JoiningSample]] = {name: [] for name in names}
            for round_ in range(rounds):
                for name in names if round_ % 2 else reversed(names):
                    topic = f"joining-{time.time_ns()}"
                    where = bootstrap, topic, topic, case.work_ms / 1000
                    wanted = PARTITIONS, PARTITIONS // 2
                    commands = [children.command(name, *where, each) for each in wanted]
                    samples[name].append(asyncio.run(join(bootstrap, topic, commands)))
                note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(str(case), samples, COLUMNS)


def run_one(bootstrap: str, group: str, topic: str, work_s: str, wanted: str, name: str) -> None:
    """Run one member in this process."""
    loop, client = CONTESTANTS[name]
    run_on(loop, member, client, bootstrap, group, topic, float(work_s), int(wanted))


if __name__ == "__main__":
    run_one(*sys.argv[2:])
