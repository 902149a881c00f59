"""NestJS's `ClientKafka` asks our server."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, KafkaRPCServer, RemoteError
from sdml_kafka.testing import EmbeddedKafka
from tests.interop.harness.held import Held
from tests.interop.harness.service import Running
from tests.support.kafka_from_outside import unique
from tests.support.rpc_on_broker import server_on
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.interop,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("client"),
]

END = None
"""What Nest's client shows for an end that comes after the last value."""


async def answer(value: bytes, call: Call) -> bytes | None:
    assert call.dialect == "nestjs"
    match value:
        case b"missing":
            raise RemoteError("not_found", "no such thing")
        case b"broken":
            raise ValueError("a secret")
        case b"null":
            return None
        case _:
            return value.upper()


async def stream(value: bytes, call: Call) -> AsyncGenerator[bytes]:
    for number in range(3):
        if value == b"broken" and number:
            raise RemoteError("aborted", "in mid-stream")
        if value == b"slow":
            await anyio.sleep(0.05)
        yield b"%s-%d" % (value, number)
    if value == b"late":
        await anyio.sleep(0.2)


@asynccontextmanager
async def serving(
    kafka: EmbeddedKafka, nest: Running, handler: Any = answer, **options: Any
) -> AsyncGenerator[KafkaRPCServer]:
    """Run a server for both topics that Nest's clients ask."""
    server = server_on(kafka, nest.topic("one"), handler, **options)
    server.handler(nest.topic("stream"))(stream)
    async with server:
        yield server


async def ask(
    nest: Running, name: str, *values: object, client: int = 0, key: str | None = None
) -> list[dict[str, Any]]:
    """Have one of the clients make calls at once, and return what became of each."""
    found = await nest.service.ask_async(
        "call", topic=nest.topic(name), values=values, client=client, key=key, timeout_s=30
    )
    return found["outcomes"]  # type: ignore[no-any-return]  # json's


@pytest.mark.librdkafka_too
async def test_replies(embedded_kafka: EmbeddedKafka, nest_requester: Running) -> None:
    async with serving(embedded_kafka, nest_requester):
        for client in (0, 1):
            for key in (None, "k"):
                [reply] = await ask(nest_requester, "one", "hello", client=client, key=key)
                assert (reply["kind"], reply["values"]) == ("reply", ["HELLO"])


async def test_errors_and_null(embedded_kafka: EmbeddedKafka, nest_requester: Running) -> None:
    async with serving(embedded_kafka, nest_requester):
        missing, broken, null = await ask(nest_requester, "one", "missing", "broken", "null")
    assert missing["kind"] == broken["kind"] == "error"
    assert missing["error"] == {"status": "not_found", "message": "no such thing"}
    assert broken["error"]["status"] == "internal"
    assert "secret" not in str(broken)
    assert (null["kind"], null["values"]) == ("reply", [None])


@pytest.mark.librdkafka_too
async def test_streams(embedded_kafka: EmbeddedKafka, nest_requester: Running) -> None:
    async with serving(embedded_kafka, nest_requester):
        for client in (0, 1):
            values = ("three", "slow", "late", "broken")
            found = await ask(nest_requester, "stream", *values, client=client)
            three, slow, late, broken = found
            assert (three["kind"], three["values"]) == ("reply", ["three-0", "three-1", "three-2"])
            assert (slow["kind"], slow["values"]) == ("reply", ["slow-0", "slow-1", "slow-2"])
            assert late["kind"] == "reply"
            assert late["values"] == ["late-0", "late-1", "late-2", END]
            assert (broken["kind"], broken["values"]) == ("error", ["broken-0"])
            assert broken["error"] == {"status": "aborted", "message": "in mid-stream"}


async def test_a_hundred_calls_at_once(
    embedded_kafka: EmbeddedKafka, nest_requester: Running
) -> None:
    values = [f"value-{number}" for number in range(100)]
    found: dict[int, list[dict[str, Any]]] = {}

    async def call(client: int) -> None:
        found[client] = await ask(nest_requester, "one", *values, client=client)

    async with serving(embedded_kafka, nest_requester), anyio.create_task_group() as tasks:
        for client in (0, 1):
            tasks.start_soon(call, client)
        await until(lambda: len(found) == 2)
    for replies in found.values():
        assert [each["values"] for each in replies] == [[each.upper()] for each in values]


async def test_our_server_restarts_in_mid_call(
    embedded_kafka: EmbeddedKafka, nest_requester: Running
) -> None:
    group, held = unique("server"), Held()
    replies: list[dict[str, Any]] = []

    async def call() -> None:
        replies.extend(await ask(nest_requester, "one", "held"))

    async with anyio.create_task_group() as tasks:
        options = {"group_id": group, "drain_timeout": 0.1}
        async with serving(embedded_kafka, nest_requester, held, **options):
            tasks.start_soon(call)
            await held.has_begun.wait()
        async with serving(embedded_kafka, nest_requester, group_id=group):
            await until(lambda: replies)
    assert [each["values"] for each in replies] == [["HELD"]]


@pytest.mark.one_loop
async def test_nest_restarts_in_mid_call(
    embedded_kafka: EmbeddedKafka, nest_requester: Running
) -> None:
    held, nest = Held(), nest_requester.service

    async def lost() -> None:
        await ask(nest_requester, "one", "held")

    async with serving(embedded_kafka, nest_requester, held):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lost)
            await held.has_begun.wait()
            await anyio.to_thread.run_sync(nest.kill)
            tasks.cancel_scope.cancel()
        held.let_go.set()
        await anyio.to_thread.run_sync(nest.start)
        [reply] = await ask(nest_requester, "one", "again")
    assert reply["values"] == ["AGAIN"]
