"""Records that other programs write to request and reply topics."""

import random
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaProducer

from sdml_kafka import Call, KafkaRPC
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, on_asyncio, unique
from tests.support.rpc_on_broker import all_of, client_on, pair_on, reversed_, values
from tests.support.undecodable_batch import produce_poison

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.usefixtures("client")]


class Garbage:
    """Writes random records that no client or server of this package would write."""

    def __init__(self, topics: Sequence[str], ids: Sequence[bytes]) -> None:
        self._topics, self._ids = topics, ids
        self._chance = random.Random(7)
        self.written = 0

    def _bytes(self) -> bytes:
        return self._chance.randbytes(self._chance.choice([0, 1, 8, 300]))

    def _headers(self) -> list[tuple[str, bytes | None]]:
        chance, names = self._chance, [
            "request_id", "REQUEST_ID", "correlation_id", "x-status", "x-error", "x-sequence",
            "x-end", "x-cancel", "x-cancel-partition", "x-timeout-ms", "x-reply-topic",
            "x-reply-partition", "", "\N{SNOWMAN}" * 50,
        ]  # fmt: skip
        values_: list[bytes | None] = [None, b"", b"ok", b"-1", b"9" * 400, b"\xff\xfe", *self._ids]
        return [
            (chance.choice(names), chance.choice([*values_, self._bytes()]))
            for _ in range(chance.randrange(8))
        ]

    def record(self) -> dict[str, Any]:
        chance = self._chance
        kind = chance.randrange(100)
        return {
            "topic": chance.choice(self._topics),
            "key": chance.choice([None, b"", self._bytes(), *self._ids]),
            "value": b"x" * 900_000 if kind == 0 else chance.choice([b"", self._bytes()]),
            "headers": [("x", b"y")] * 10_000 if kind == 1 else self._headers(),
        }

    async def write(self, bootstrap: str, count: int) -> None:
        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
                for _ in range(count):
                    record = self.record()
                    if record["value"] is record["key"] is None:
                        continue
                    await producer.send(**record)
                    self.written += 1
                await producer.flush()

        await on_asyncio(send())


@pytest.mark.one_loop
async def test_garbage_in_both_topics_loses_and_swaps_nothing(strict_kafka: EmbeddedKafka) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    reply = await create_topic(bootstrap, unique("reply"), 2)
    requests = [b"own-%d" % number for number in range(2000)]

    async def only_ours(value: bytes, call: Call) -> bytes:
        await anyio.sleep(0.001)
        return value[::-1] if value.startswith(b"own-") else b"garbage"

    with anyio.fail_after(90):
        async with (
            pair_on(strict_kafka, only_ours, reply_topic=reply) as (rpc, topic),
            client_on(strict_kafka, reply_topic=reply) as other,
        ):
            for own in (rpc, other):  # its first id is not in use any more after that
                await own.request(topic, b"own-")
            prefixes = [each._actors.id_prefix for each in (rpc, other)]
            ids = [prefix + number for prefix in prefixes for number in (b"1", b"0", b"987654321")]
            garbage = Garbage([reply, topic], ids)
            outcomes: dict[KafkaRPC, list[Any]] = {}

            async def make_calls(own: KafkaRPC) -> None:
                outcomes[own] = []
                while garbage.written < 1500 or len(outcomes[own]) < 500:
                    outcomes[own] += await all_of(
                        100, lambda number: own.request(topic, requests[number])
                    )

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(make_calls, rpc)
                tasks.start_soon(make_calls, other)
                await garbage.write(bootstrap, 1500)
            restarts = [each.status().counters.restarts for each in (rpc, other)]
    expected = reversed_(requests[:100])
    for replies in outcomes.values():
        assert replies == expected * (len(replies) // 100)
    assert restarts == [0, 0]


async def test_a_reply_that_cannot_be_decoded_costs_none_that_come_after(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, requests = embedded_kafka.bootstrap_servers, values(100)
    reply = await create_topic(bootstrap, unique("reply"), 1)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, reply_topic=reply) as (rpc, topic):
            assert await rpc.request(topic, b"abc") == b"cba"
            await produce_poison(bootstrap, reply, 0)
            replies = await all_of(100, lambda number: rpc.request(topic, requests[number]))
            restarts = rpc.status().counters.restarts
    assert replies == reversed_(requests)
    assert restarts == 0
