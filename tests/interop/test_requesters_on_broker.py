"""Spring's `ReplyingKafkaTemplate` and NestJS's `ClientKafka` ask our server."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any, Literal

import anyio
import pytest
from attrs import frozen

from sdml_kafka import Call, KafkaRPC, KafkaRPCServer, RemoteError
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

TIMEOUT_S = 30
PINNED = 1
"""The partition that Spring's template `pinned` reads."""
PRICE = {"item": "apple", "cents": 120}
END = None
"""The value that Nest's client shows for an end that comes after the last value."""

Outcome = dict[str, Any]


@frozen
class Requester:
    """A service that asks our server, with one of its clients."""

    running: Running
    dialect: Literal["spring", "nestjs"]
    topic: str
    clients: tuple[str | int, str | int]
    """Two of its clients, Spring's templates or the numbers of Nest's."""
    _kafka: EmbeddedKafka

    def serving(self, handler: Any = None, **options: Any) -> KafkaRPCServer:
        """Return a server of the topic."""
        return server_on(self._kafka, self.topic, handler or self.answer, **options)

    async def answer(self, value: bytes, call: Call) -> bytes | None:
        """Answer in upper case, or as the value says."""
        assert call.dialect == self.dialect
        match value:
            case b"missing":
                raise RemoteError("not_found", "no such thing")
            case b"broken":
                raise ValueError("a secret")
            case b"null":
                return None
            case _:
                return value.upper()

    async def ask(
        self, *values: object, client: str | int | None = None, topic: str = "", **more: Any
    ) -> list[Outcome]:
        """Have one of the clients make calls at once, and return what became of each."""
        which = {"spring": "template", "nestjs": "client"}[self.dialect]
        given = {which: self.clients[0] if client is None else client, "timeout_s": TIMEOUT_S}
        found = await self.running.service.ask_async(
            "call", topic=topic or self.topic, values=values, **given, **more
        )
        outcomes: list[Outcome] = found["outcomes"] if self.dialect == "nestjs" else found
        return outcomes

    async def replies(self, *values: object, client: str | int | None = None) -> list[object]:
        """Make calls at once, and return the value of each reply."""
        outcomes = await self.ask(*values, client=client)
        assert {each["kind"] for each in outcomes} == {"reply"}
        if self.dialect == "spring":
            return [each["value"] for each in outcomes]
        assert all(len(each["values"]) == 1 for each in outcomes)
        return [each["values"][0] for each in outcomes]


@pytest.fixture
def spring(embedded_kafka: EmbeddedKafka, spring_requester: Running) -> Requester:
    servers = embedded_kafka.bootstrap_servers
    topic = asyncio.run(create_topic(servers, unique("request"), 3))
    return Requester(spring_requester, "spring", topic, ("shared", "pinned"), embedded_kafka)


@pytest.fixture
def nest(embedded_kafka: EmbeddedKafka, nest_requester: Running) -> Requester:
    return Requester(nest_requester, "nestjs", nest_requester.topic("one"), (0, 1), embedded_kafka)


@pytest.fixture(params=["spring", "nest"])
def peer(request: pytest.FixtureRequest) -> Requester:
    requester: Requester = request.getfixturevalue(request.param)
    return requester


# -- both ----------------------------------------------------------------------------------------


async def test_a_hundred_calls_at_once(peer: Requester) -> None:
    values = [f"value-{number}" for number in range(100)]
    found: dict[object, list[object]] = {}

    async def call(client: str | int) -> None:
        found[client] = await peer.replies(*values, client=client)

    async with peer.serving(), anyio.create_task_group() as tasks:
        for client in peer.clients:
            tasks.start_soon(call, client)
        await until(lambda: len(found) == 2)
    assert list(found.values()) == [[each.upper() for each in values]] * 2


async def test_our_server_restarts_in_mid_call(peer: Requester) -> None:
    group, held, replies = unique("server"), Held(), list[object]()

    async def call() -> None:
        replies.extend(await peer.replies("held"))

    async with anyio.create_task_group() as tasks:
        async with peer.serving(held, group_id=group, drain_timeout=0.1):
            tasks.start_soon(call)
            await held.has_begun.wait()
        async with peer.serving(group_id=group):
            await until(lambda: replies)
    assert replies == ["HELD"]


@pytest.mark.one_loop
async def test_the_service_restarts_in_mid_call(peer: Requester) -> None:
    held, service = Held(), peer.running.service
    async with peer.serving(held):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.ask, "held")
            await held.has_begun.wait()
            await anyio.to_thread.run_sync(service.kill)
            tasks.cancel_scope.cancel()
        held.let_go.set()
        await anyio.to_thread.run_sync(service.start)
        assert await peer.replies("again") == ["AGAIN"]


async def test_all_dialects_in_one_topic_at_once(
    embedded_kafka: EmbeddedKafka, spring: Requester, nest: Requester
) -> None:
    dialects: Counter[str] = Counter()

    async def count(value: bytes, call: Call) -> bytes:
        dialects[call.dialect] += 1
        return value.upper()

    values = [f"value-{number}" for number in range(50)]
    wanted = [value.upper() for value in values]
    replies: dict[str, list[Any]] = {}

    async def by_spring() -> None:
        found = await spring.ask(*values, topic=nest.topic)
        replies["spring"] = [each["value"] for each in found]

    async def by_nest() -> None:
        replies["nestjs"] = await nest.replies(*values)

    async def by_us(rpc: KafkaRPC) -> None:
        found = await all_of(50, lambda number: rpc.request(nest.topic, values[number].encode()))
        replies["native"] = [each.decode() for each in found]

    async with (
        nest.serving(count, auto_offset_reset="latest"),
        client_on(embedded_kafka) as rpc,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(by_spring)
        tasks.start_soon(by_nest)
        tasks.start_soon(by_us, rpc)
    assert replies == {"spring": wanted, "nestjs": wanted, "native": wanted}
    assert dialects == {"spring": 50, "nestjs": 50, "native": 50}


# -- Spring --------------------------------------------------------------------------------------


@pytest.mark.librdkafka_too
async def test_replies_to_spring(spring: Requester) -> None:
    async with spring.serving():
        for template in ("shared", "text", "pinned"):
            [reply] = await spring.ask("hello", client=template)
            assert (reply["kind"], reply["value"], reply["key"]) == ("reply", "HELLO", None)
            assert template != "pinned" or reply["partition"] == PINNED
        for partition in range(3):
            [reply] = await spring.ask("hello", reply_partition=partition, key="k")
            assert (reply["value"], reply["key"]) == ("HELLO", "k")
            assert reply["partition"] == partition


async def test_errors_and_null_to_spring(spring: Requester) -> None:
    async with spring.serving():
        missing, broken, null = await spring.ask("missing", "broken", "null")
    assert (missing["kind"], missing["text"]) == ("error", "no such thing")
    assert (broken["kind"], broken["text"]) == ("error", "internal")
    assert (null["kind"], null["value"]) == ("reply", None)


async def test_an_object_whose_class_a_handler_names(spring: Requester) -> None:
    async def double(value: bytes, call: Call) -> bytes:
        price = json.loads(value)
        call.reply_headers = [("__TypeId__", dict(call.headers)["__TypeId__"])]
        return json.dumps({**price, "cents": 2 * price["cents"]}).encode()

    async with spring.serving(double):
        [reply] = await spring.ask(PRICE, client="json")
    assert (reply["class"], reply["value"]) == ("interop.Price", {**PRICE, "cents": 240})


# -- NestJS --------------------------------------------------------------------------------------


@pytest.mark.librdkafka_too
async def test_replies_to_nest(nest: Requester) -> None:
    async with nest.serving():
        for client in nest.clients:
            for key in (None, "k"):
                [reply] = await nest.ask("hello", client=client, key=key)
                assert (reply["kind"], reply["values"]) == ("reply", ["HELLO"])


async def test_errors_and_null_to_nest(nest: Requester) -> None:
    async with nest.serving():
        missing, broken, null = await nest.ask("missing", "broken", "null")
    assert missing["kind"] == broken["kind"] == "error"
    assert missing["error"] == {"status": "not_found", "message": "no such thing"}
    assert broken["error"]["status"] == "internal"
    assert "secret" not in str(broken)
    assert (null["kind"], null["values"]) == ("reply", [None])


@pytest.mark.librdkafka_too
async def test_streams_to_nest(nest: Requester) -> None:
    async def stream(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        for number in range(3):
            if value == b"broken" and number:
                raise RemoteError("aborted", "in mid-stream")
            if value == b"slow":
                await anyio.sleep(0.05)
            yield b"%s-%d" % (value, number)
        if value == b"late":
            await anyio.sleep(0.2)

    server, topic = nest.serving(), nest.running.topic("stream")
    server.handler(topic)(stream)
    async with server:
        for client in nest.clients:
            values = ("three", "slow", "late", "broken")
            three, slow, late, broken = await nest.ask(*values, client=client, topic=topic)
            assert (three["kind"], three["values"]) == ("reply", ["three-0", "three-1", "three-2"])
            assert (slow["kind"], slow["values"]) == ("reply", ["slow-0", "slow-1", "slow-2"])
            assert late["kind"] == "reply"
            assert late["values"] == ["late-0", "late-1", "late-2", END]
            assert (broken["kind"], broken["values"]) == ("error", ["broken-0"])
            assert broken["error"] == {"status": "aborted", "message": "in mid-stream"}
