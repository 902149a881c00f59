"""Measures how fast records are read, beside a hand-written `getmany` loop on bare aiokafka."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from attrs import frozen
from confluent_kafka import Consumer, Message

from benchmarks.contest import Children, Column, Comparison, Note, compare
from benchmarks.documents import documents
from benchmarks.event_loops import EVENT_LOOPS, LIBRDKAFKA, LIBRDKAFKA_LOOPS, run_on
from benchmarks.meter import ReadingMeter, ReadingSample, SampledReadingMeter
from benchmarks.observers import NAMES, NO_HOOKS, READERS, SPANS_BY_HAND, SpansByHand, options_of
from benchmarks.parsers import PARSERS
from sdml_kafka import Delivery, KafkaListener, TypeStream
from sdml_kafka.testing import EmbeddedKafka

COMMIT_EVERY = 1000
HANDLERS = 64
"""The number of handlers that run at once."""
KEYS = 4999
CONSUMED = 500
"""The number of messages that a loop by hand on librdkafka takes at once."""


@frozen
class Case:
    """One case of the benchmark: what the topic holds, and how it is parsed."""

    shape: str
    size: int
    partitions: int
    parser: str
    records: int
    codec: str | None = None
    filled: int = 0
    """The number of partitions that have records, if not all have."""
    traced: bool = False
    """True if each record has the context of a trace in its headers, and a key."""
    handled: bool = False
    """True if handlers of a processor take the records."""

    def __str__(self) -> str:
        size = f"1 to {self.size}" if self.shape == "mixed" else self.size
        partitions = f"{self.partitions} partition{'s' * (self.partitions > 1)}"
        if self.filled:
            partitions += f" of which {self.filled} filled"
        traced, handled = self.traced and "traced", self.handled and "handled"
        parts = self.shape, f"{size} bytes", partitions, self.parser, self.codec, traced, handled
        return ", ".join(part for part in parts if part)

    @property
    def topic(self) -> str:
        """The topic that holds the records; cases that differ in the parser alone share it."""
        what = self.traced + self.handled
        parts = self.shape, self.size, self.partitions, self.codec, self.filled, what, self.records
        return "-".join(map(str, ("reading", *parts)))


CASES = [
    Case("nested", 512, 12, "json", 300_000),
    Case("nested", 512, 12, "not parsed", 600_000),
    Case("nested", 512, 12, "msgspec", 300_000),
    Case("nested", 512, 12, "pydantic", 300_000),
    Case("nested", 512, 1, "json", 100_000),
    Case("nested", 512, 12, "json", 100_000, filled=1),
    Case("nested", 10240, 12, "json", 20_000),
    Case("flat", 512, 12, "json", 100_000),
    Case("flat", 10240, 12, "not parsed", 20_000),
    Case("nested", 512, 12, "json", 100_000, "lz4"),
    Case("mixed", 1_000_000, 12, "not parsed", 3_000),
]
TRACED = [
    Case("nested", 512, 12, "json", 300_000, traced=True),
    Case("nested", 512, 12, "not parsed", 300_000, traced=True),
]
"""What is read by those that hooks observe."""
HANDLED = [Case("nested", 512, 12, "json", 50_000, traced=True, handled=True)]
"""The cases whose handlers are observed by hooks."""
GOLDEN = 0x9E3779B97F4A7C15


def traceparent(number: int) -> bytes:
    """Return the context of the trace of this number; the ids are spread evenly."""
    return b"00-%032x-b7ad6b7169203331-01" % (number * GOLDEN % (1 << 64) or 1)


def consumer(bootstrap: str, group: str, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer that reads from the beginning, with aiokafka's own settings."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", **options
    )


async def by_hand(
    bootstrap: str,
    group: str,
    case: Case,
    new_meter: type[ReadingMeter],
    *,
    our_parser: bool = False,
) -> ReadingSample:
    """Read by `getmany`; aiokafka commits by itself, every five seconds."""
    parser = PARSERS[case.parser][1 if our_parser else 2]
    meter = new_meter()
    client = consumer(bootstrap, group)
    client.subscribe([case.topic])
    await client.start()
    seen = 0
    while seen < case.records:
        # What is decoded before the first record would not be measured.
        most = None if seen else 1
        for records in (await client.getmany(timeout_ms=200, max_records=most)).values():
            if not seen:
                meter.start()
            for record in records:
                parser(record)
                seen += 1
    sample = meter.stop(seen)
    await client.stop()
    return sample


async def by_consume(
    bootstrap: str, group: str, case: Case, new_meter: type[ReadingMeter]
) -> ReadingSample:
    """Read by librdkafka's `consume`, which blocks the loop; it commits every five seconds."""
    parse = Message.value if case.parser == "not parsed" else parsed
    meter = new_meter()
    client = Consumer(librdkafka_settings(bootstrap, group))
    client.subscribe([case.topic])
    while (first := client.poll(0.1)) is None:
        pass
    parse(first)
    meter.start()
    seen = 1
    while seen < case.records:
        for message in client.consume(min(CONSUMED, case.records - seen), 0.2):
            parse(message)
            seen += 1
    sample = meter.stop(seen)
    client.close()
    return sample


def parsed(message: Message) -> Any:
    """Return a message's value as the other loop by hand does."""
    return json.loads(message.value() or b"")


def librdkafka_settings(bootstrap: str, group: str) -> dict[str, Any]:
    """Return settings of a consumer that reads from the beginning, all others librdkafka's own."""
    return {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
    }


async def by_listener(
    bootstrap: str,
    group: str,
    case: Case,
    new_meter: type[ReadingMeter],
    fetching: Mapping[str, Any] = MappingProxyType({}),
    client: str = "aiokafka",
    observer: str = NO_HOOKS,
    **options: Any,
) -> ReadingSample:
    """Read by `async for`; a commit goes out every thousand records.

    `fetching` are options of aiokafka's consumer, `options` those of the listener.
    """
    options |= options_of(observer)
    if client == LIBRDKAFKA:
        where = {"bootstrap_servers": bootstrap, "group_id": group, "client": client}
        options |= {**where, "auto_offset_reset": "earliest"}
    else:
        options["consumer_factory"] = lambda: consumer(bootstrap, group, **fetching)
    type_, parser, _ = PARSERS[case.parser]
    meter = new_meter()
    async with KafkaListener(
        [{"topics": [case.topic], "type": type_, "parser": parser}],
        **{"auto_commit": {"every": COMMIT_EVERY}, **options},
    ) as listener:
        seen = 0
        stream: TypeStream[Any] = await listener.subscribe(type_)
        async for _ in stream:
            if not seen:
                meter.start()
            seen += 1
            if seen == case.records:
                break
        return meter.stop(seen)


async def by_processor(
    bootstrap: str,
    group: str,
    case: Case,
    new_meter: type[ReadingMeter],
    observer: str = NO_HOOKS,
) -> ReadingSample:
    """Handle records, in the order of their keys, in handlers that do nothing."""
    type_, parser, _ = PARSERS[case.parser]
    meter, ended, seen, spans = new_meter(), anyio.Event(), 0, SpansByHand(case.topic)

    async def handle(value: object, delivery: Delivery[object]) -> None:
        nonlocal seen
        if not seen:
            meter.start()
        seen += 1
        if seen == case.records:
            ended.set()

    async def traced(value: object, delivery: Delivery[object]) -> None:
        await spans.process(delivery, lambda: handle(value, delivery))

    async with (
        KafkaListener(
            [{"topics": [case.topic], "type": type_, "parser": parser}],
            consumer_factory=lambda: consumer(bootstrap, group),
            auto_commit={"every": COMMIT_EVERY},
            **options_of(observer),
        ) as listener,
        anyio.create_task_group() as tasks,
    ):
        handler = traced if observer == SPANS_BY_HAND else handle
        process = partial(listener.process, order="key", concurrency=HANDLERS)
        tasks.start_soon(process, type_, handler)
        await ended.wait()
        sample = meter.stop(seen)
        tasks.cancel_scope.cancel()
    return sample


Contestant = Callable[[str, str, Case, type[ReadingMeter]], Awaitable[ReadingSample]]
CONTESTANTS: dict[str, tuple[str, Contestant]] = {
    "getmany by hand": ("asyncio", by_hand),
    "by hand, our parser": ("asyncio", partial(by_hand, our_parser=True)),
    **{f"listener, {loop}": (loop, by_listener) for loop in EVENT_LOOPS},
    f"consume by hand, {LIBRDKAFKA}": ("asyncio", by_consume),
    **{
        f"listener, {loop}, {LIBRDKAFKA}": (loop, partial(by_listener, client=LIBRDKAFKA))
        for loop in LIBRDKAFKA_LOOPS
    },
}

MIB = 1 << 20
SETTINGS: dict[str, dict[str, Any]] = {
    "listener, asyncio": {},
    "max_in_flight=100": {"max_in_flight": 100},
    "max_in_flight=10,000": {"max_in_flight": 10_000},
    "max_bytes_in_flight=4 MiB": {"max_bytes_in_flight": 4 * MIB},
    "a commit every record": {"auto_commit": {"every": 1}},
    "a commit every 100 records": {"auto_commit": {"every": 100}},
    "a commit every 5 s": {"auto_commit": {"interval_s": 5.0}},
    "max_partition_fetch_bytes=64 KiB": {"fetching": {"max_partition_fetch_bytes": MIB // 16}},
    "max_partition_fetch_bytes=4 MiB": {"fetching": {"max_partition_fetch_bytes": 4 * MIB}},
}
CHOICES: dict[str, tuple[str, Contestant]] = {
    name: ("asyncio", partial(by_listener, **settings)) for name, settings in SETTINGS.items()
}
"""The same listener with other settings, beside those of the benchmark."""
OBSERVED: dict[str, tuple[str, Contestant]] = {
    f"{name}, {loop}": (loop, partial(by_listener, observer=name))
    for loop in ("asyncio", "trio")
    for name in READERS
}
"""The same listener, observed by hooks."""
HANDLING: dict[str, tuple[str, Contestant]] = {
    f"{name}, {loop}": (loop, partial(by_processor, observer=name))
    for loop in ("asyncio", "trio")
    for name in NAMES
}
"""A processor, observed by hooks."""

METERS: dict[str, type[ReadingMeter]] = {"alone": ReadingMeter, "sampled": SampledReadingMeter}

COLUMNS = [
    Column("CPU", "cpu_us", ratio=True),
    Column("memory", "max_rss_mb", ratio=True),
    Column("CPU us", "cpu_us", digits=1),
    Column("collections", "collections", digits=0),
]


def run_one(bootstrap: str, group: str, case: str, meter: str, name: str) -> None:
    """Run one contestant in this process, and print its sample."""
    chosen = next(each for each in [*CASES, *TRACED, *HANDLED] if str(each) == case)
    readers = {**CHOICES, **OBSERVED, **CONTESTANTS}
    loop, contestant = (HANDLING if chosen.handled else readers)[name]
    run_on(loop, contestant, bootstrap, group, chosen, METERS[meter]).print()


async def fill(bootstrap: str, case: Case) -> None:
    """Write the documents of a case, in turn to all partitions that get some."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if case.topic in await admin.list_topics():
            return
        await admin.create_topics([NewTopic(case.topic, case.partitions, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_batch_size=1 << 16, compression_type=case.codec
    ) as producer:
        for number, value in enumerate(documents(case.shape, case.size, case.records)):
            partition = number % (case.filled or case.partitions)
            headers = [("traceparent", traceparent(number))] if case.traced else []
            key = b"%d" % (number % KEYS) if case.traced else None
            await producer.send(case.topic, value, key, partition, headers=headers)
        await producer.flush()


async def check_commits(bootstrap: str, group: str, case: Case) -> None:
    """Check that all records are committed; a loop breaks off with the last."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        commits = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    committed = sum(each.offset for each in commits.values())
    if committed != case.records - (not case.handled):
        raise AssertionError(f"{committed} of {case.records} records are committed")


def run(
    rounds: int,
    names: Sequence[str],
    cases: Sequence[Case],
    note: Note,
    beside: Path | None,
    columns: Sequence[Column] = COLUMNS,
) -> Iterator[list[Comparison]]:
    """Let the contestants take turns, and yield each case's comparison with the loop by hand."""
    children = Children("benchmarks.reading", beside)
    with EmbeddedKafka() as kafka:
        bootstrap = kafka.bootstrap_servers
        for case in cases:
            asyncio.run(fill(bootstrap, case))
            samples: dict[str, list[ReadingSample]] = {name: [] for name in names}
            for round_ in range(rounds):
                for name in names if round_ % 2 else reversed(names):
                    group = f"reading-{time.time_ns()}"
                    child = children.command(name, bootstrap, group, case, "alone")
                    output = subprocess.run(**child, check=True, stdout=subprocess.PIPE).stdout
                    samples[name].append(ReadingSample(**json.loads(output)))
                    if case.handled or "by hand" not in name:
                        asyncio.run(check_commits(bootstrap, group, case))
                note(f"{case}: round {round_ + 1} of {rounds}")
            yield compare(str(case), samples, columns)


if __name__ == "__main__":
    run_one(*sys.argv[2:])
