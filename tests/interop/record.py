"""Records what the real services send, for the tests that replay it without them.

uv run python -m tests.interop.record > tests/rpc/dialects/recordings.py
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
from aiokafka import AIOKafkaProducer

from sdml_kafka import Record
from sdml_kafka.testing import EmbeddedKafka
from tests.interop.harness.service import Service, nest, spring
from tests.support.kafka_from_outside import create_topic, on_asyncio
from tests.support.processing_on_broker import records_of

PREFIX = "interop"
PARTITIONS = 3
SPRING_ID = bytes.fromhex("00ff10b3aa5f4c0e9d2f6c1e7a8b9c0d")
NEST_ID = b"7c9e6679a42d40de944b0"
ASKED = 2
"""The partition that requests ask replies for."""

SPRING_VALUES = ("hello", "boom", "null", "list", "messages")
NEST_VALUES = ("hello", "boom", "boom-object", "boom-plain", "null")
NEST_STREAMS = ("three", "late", "boom")
HEAD = '''"""What real services have sent, byte for byte. Written by `tests/interop/record.py`.

Spring Boot 3.5.16 with spring-kafka 3.3.16, and @nestjs/microservices 11.2.6 with kafkajs 2.2.4.
"""

from attrs import frozen


@frozen
class Recorded:
    """A record as it stood in a topic."""

    topic: str
    partition: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None
'''


@contextmanager
def running(service: Service) -> Iterator[Service]:
    try:
        service.start()
        yield service
    finally:
        service.stop()


def prepare(kafka: EmbeddedKafka, names: Iterable[str]) -> None:
    async def create() -> None:
        for name in names:
            await create_topic(kafka.bootstrap_servers, f"{PREFIX}-{name}", PARTITIONS)

    anyio.run(create)


def read(kafka: EmbeddedKafka, topic: str) -> list[Record]:
    """Return the records of a topic, by partition and in order."""
    return anyio.run(records_of, kafka.bootstrap_servers, f"{PREFIX}-{topic}")


def spring_requests(kafka: EmbeddedKafka) -> dict[str, Sequence[Record]]:
    """Have each of Spring's templates ask something that nobody answers."""
    prepare(kafka, ("replies", "replies-json", "requests"))
    cases: dict[str, dict[str, Any]] = {
        "a shared reply topic": {"template": "shared"},
        "an id of text": {"template": "text"},
        "a pinned partition": {"template": "pinned"},
        "the caller's partition and key": {"template": "shared", "reply_partition": 2, "key": "k"},
        "JSON": {"template": "json", "values": [{"item": "apple", "cents": 120}]},
    }
    found: dict[str, Sequence[Record]] = {}
    seen: list[Record] = []
    with running(spring(kafka.bootstrap_servers, PREFIX, "requester")) as service:
        for name, case in cases.items():
            topic = f"{PREFIX}-requests"
            service.ask("call", **{"topic": topic, "timeout_s": 0.1, "values": ["hello"], **case})
            all_ = read(kafka, "requests")
            found[name] = [each for each in all_ if each not in seen]
            seen = all_
    return found


def spring_replies(kafka: EmbeddedKafka) -> dict[str, Sequence[Record]]:
    """Ask Spring's listeners, and return what each value was answered with."""
    prepare(kafka, ("plain", "errors"))
    found: dict[str, Sequence[Record]] = {}
    with running(spring(kafka.bootstrap_servers, PREFIX, "responder")):
        for topic, values in (("plain", SPRING_VALUES), ("errors", ("boom",))):
            for value in values:
                headers = [
                    ("kafka_replyTopic", f"{PREFIX}-{topic}-{value}".encode()),
                    ("kafka_replyPartition", ASKED.to_bytes(4, "big")),
                    ("kafka_correlationId", SPRING_ID),
                ]
                found[f"{topic}: {value}"] = answered(kafka, topic, value, headers)
    return found


def nest_requests(kafka: EmbeddedKafka) -> dict[str, Sequence[Record]]:
    """Have one of Nest's clients ask something that nobody answers."""
    prepare(kafka, ("one", "one.reply", "stream", "stream.reply"))
    cases: dict[str, dict[str, Any]] = {
        "text": {"values": ["hello"]},
        "an object": {"values": [{"item": "apple", "cents": 120}]},
        "a key": {"values": ["hello"], "key": "k"},
    }
    found: dict[str, Sequence[Record]] = {}
    seen: list[Record] = []
    with running(nest(kafka.bootstrap_servers, PREFIX, "requester")) as service:
        for name, case in cases.items():
            service.ask("call", **{"client": 0, "topic": f"{PREFIX}-one", "timeout_s": 0.1, **case})
            all_ = read(kafka, "one")
            found[name] = [each for each in all_ if each not in seen]
            seen = all_
    return found


def nest_replies(kafka: EmbeddedKafka) -> dict[str, Sequence[Record]]:
    """Ask Nest's controller, and return what each value was answered with."""
    found: dict[str, Sequence[Record]] = {}
    prepare(kafka, ("stream", "one"))
    with running(nest(kafka.bootstrap_servers, PREFIX, "responder")):
        for topic, values in (("one", NEST_VALUES), ("stream", NEST_STREAMS)):
            for value in values:
                headers = [
                    ("kafka_correlationId", NEST_ID),
                    ("kafka_replyTopic", f"{PREFIX}-{topic}-{value}".encode()),
                    ("kafka_replyPartition", b"%d" % ASKED),
                ]
                found[f"{topic}: {value}"] = answered(kafka, topic, value, headers)
    return found


def answered(
    kafka: EmbeddedKafka, topic: str, value: str, headers: list[tuple[str, bytes]]
) -> Sequence[Record]:
    """Send a request, and return what has come to its reply topic after a while."""
    prepare(kafka, (f"{topic}-{value}",))

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
            await producer.send_and_wait(
                f"{PREFIX}-{topic}", value.encode(), key=b"k", headers=headers
            )

    async def ask() -> None:
        await on_asyncio(send())
        await anyio.sleep(3.0)  # nothing says that no further record comes

    anyio.run(ask)
    return read(kafka, f"{topic}-{value}")


def written(name: str, about: str, found: dict[str, Sequence[Record]]) -> str:
    lines = [f"{name}: dict[str, tuple[Recorded, ...]] = {{"]
    for case, records in found.items():
        lines.append(f"    {case!r}: (")
        lines += [
            f"Recorded({each.topic!r}, {each.partition!r}, {each.key!r}, "
            f"{tuple(each.headers)!r}, {each.value!r}),"
            for each in records
        ]
        lines.append("),")
    return "\n".join([*lines, "}", f'"""{about}"""\n'])


def main() -> None:
    parts = [HEAD]
    for record, name, about in (
        (spring_requests, "SPRING_REQUESTS", "What a `ReplyingKafkaTemplate` sends."),
        (spring_replies, "SPRING_REPLIES", "What listeners send for a value of SPRING_ID."),
        (nest_requests, "NEST_REQUESTS", "What `ClientKafka.send` sends."),
        (nest_replies, "NEST_REPLIES", "What a controller sends for a value of NEST_ID."),
    ):
        with EmbeddedKafka() as kafka:
            parts.append(written(name, about, record(kafka)))
    text = "\n".join(parts)
    done = subprocess.run(
        ["ruff", "format", "-", "--line-length", "100"],
        input=text,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    sys.stdout.write(done.stdout)


main()
