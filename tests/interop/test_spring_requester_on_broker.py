"""Spring's `ReplyingKafkaTemplate` asks our server."""

import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, KafkaRPC, RemoteError
from sdml_kafka.testing import EmbeddedKafka
from tests.interop.harness.held import Held
from tests.interop.harness.service import Running
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import all_of, client_on, server_on
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("client"),
]

PINNED = 1
"""The partition that the template `pinned` reads."""
PRICE = {"item": "apple", "cents": 120}


async def answer(value: bytes, call: Call) -> bytes | None:
    assert call.dialect == "spring"
    match value:
        case b"missing":
            raise RemoteError("not_found", "no such thing")
        case b"broken":
            raise ValueError("a secret")
        case b"null":
            return None
        case _:
            return value.upper()


@asynccontextmanager
async def serving(kafka: EmbeddedKafka, handler: Any = answer) -> AsyncGenerator[str]:
    """Run a server, and yield its topic."""
    topic = await create_topic(kafka.bootstrap_servers, unique("request"), 3)
    async with server_on(kafka, topic, handler):
        yield topic


async def ask(
    spring: Running, topic: str, *values: object, template: str = "shared", **more: Any
) -> list[dict[str, Any]]:
    """Have a template make calls at once, and return what became of each."""
    options = {"topic": topic, "template": template, "timeout_s": 30, **more}
    return await spring.service.ask_async("call", values=values, **options)  # type: ignore[no-any-return]  # json's


@pytest.mark.librdkafka_too
async def test_replies(embedded_kafka: EmbeddedKafka, spring_requester: Running) -> None:
    async with serving(embedded_kafka) as topic:
        for template in ("shared", "text", "pinned"):
            [reply] = await ask(spring_requester, topic, "hello", template=template)
            assert (reply["kind"], reply["value"], reply["key"]) == ("reply", "HELLO", None)
            assert template != "pinned" or reply["partition"] == PINNED
        for partition in range(3):
            where: dict[str, Any] = {"reply_partition": partition, "key": "k"}
            [reply] = await ask(spring_requester, topic, "hello", **where)
            assert (reply["value"], reply["key"]) == ("HELLO", "k")
            assert reply["partition"] == partition


async def test_errors_and_null(embedded_kafka: EmbeddedKafka, spring_requester: Running) -> None:
    async with serving(embedded_kafka) as topic:
        missing, broken, null = await ask(spring_requester, topic, "missing", "broken", "null")
    assert (missing["kind"], missing["text"]) == ("error", "no such thing")
    assert (broken["kind"], broken["text"]) == ("error", "internal")
    assert (null["kind"], null["value"]) == ("reply", None)


async def test_an_object_whose_class_a_handler_names(
    embedded_kafka: EmbeddedKafka, spring_requester: Running
) -> None:
    async def double(value: bytes, call: Call) -> bytes:
        price = json.loads(value)
        call.reply_headers = [("__TypeId__", dict(call.headers)["__TypeId__"])]
        return json.dumps({**price, "cents": 2 * price["cents"]}).encode()

    async with serving(embedded_kafka, double) as topic:
        [reply] = await ask(spring_requester, topic, PRICE, template="json")
    assert (reply["class"], reply["value"]) == ("interop.Price", {**PRICE, "cents": 240})


async def test_a_hundred_calls_at_once(
    embedded_kafka: EmbeddedKafka, spring_requester: Running
) -> None:
    values = [f"value-{number}" for number in range(100)]
    async with serving(embedded_kafka) as topic:
        for template in ("shared", "pinned"):
            replies = await ask(spring_requester, topic, *values, template=template)
            assert [each.get("value") for each in replies] == [each.upper() for each in values]


async def test_all_dialects_in_one_topic_at_once(
    embedded_kafka: EmbeddedKafka, spring_requester: Running, nest_requester: Running
) -> None:
    dialects: Counter[str] = Counter()

    async def count(value: bytes, call: Call) -> bytes:
        dialects[call.dialect] += 1
        return value.upper()

    topic, values = nest_requester.topic("one"), [f"value-{number}" for number in range(50)]
    wanted = [value.upper() for value in values]
    replies: dict[str, list[Any]] = {}

    async def by_spring() -> None:
        found = await ask(spring_requester, topic, *values)
        replies["spring"] = [each["value"] for each in found]

    async def by_nest() -> None:
        options = {"topic": topic, "values": values, "client": 0, "timeout_s": 30}
        found = await nest_requester.service.ask_async("call", **options)
        replies["nestjs"] = [each["values"][0] for each in found["outcomes"]]

    async def by_us(rpc: KafkaRPC) -> None:
        found = await all_of(50, lambda number: rpc.request(topic, values[number].encode()))
        replies["native"] = [each.decode() for each in found]

    async with (
        server_on(embedded_kafka, topic, count, auto_offset_reset="latest"),
        client_on(embedded_kafka) as rpc,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(by_spring)
        tasks.start_soon(by_nest)
        tasks.start_soon(by_us, rpc)
    assert replies == {"spring": wanted, "nestjs": wanted, "native": wanted}
    assert dialects == {"spring": 50, "nestjs": 50, "native": 50}


async def test_our_server_restarts_in_mid_call(
    embedded_kafka: EmbeddedKafka, spring_requester: Running
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("request"), 3)
    group, held = unique("server"), Held()
    replies: list[dict[str, Any]] = []

    async def call() -> None:
        replies.extend(await ask(spring_requester, topic, "held"))

    async with anyio.create_task_group() as tasks:
        async with server_on(embedded_kafka, topic, held, group_id=group, drain_timeout=0.1):
            tasks.start_soon(call)
            await held.has_begun.wait()
        async with server_on(embedded_kafka, topic, answer, group_id=group):
            await until(lambda: replies)
    assert [each.get("value") for each in replies] == ["HELD"]


@pytest.mark.one_loop
async def test_spring_restarts_in_mid_call(
    embedded_kafka: EmbeddedKafka, spring_requester: Running
) -> None:
    held, spring = Held(), spring_requester.service

    async def lost() -> None:
        await ask(spring_requester, topic, "held")

    async with serving(embedded_kafka, held) as topic:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lost)
            await held.has_begun.wait()
            await anyio.to_thread.run_sync(spring.kill)
            tasks.cancel_scope.cancel()
        held.let_go.set()
        await anyio.to_thread.run_sync(spring.start)
        [reply] = await ask(spring_requester, topic, "again")
    assert reply["value"] == "AGAIN"
