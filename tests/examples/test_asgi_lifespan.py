"""The web app's lifespan and its page, driven as a server drives them."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from examples.asgi_lifespan import TEXTS, lifespan, make_app, show

from sdml_kafka import KafkaListener
from sdml_kafka.testing import EmbeddedKafka, MemoryBroker
from tests.listener.load import produce, unique

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

type Message = dict[str, Any]

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


class Server:
    """The server's end of one scope: what it sends to the app, and what the app answered."""

    def __init__(self) -> None:
        self._to_app, self.receive = anyio.create_memory_object_stream[Message](10)
        self.send, self._from_app = anyio.create_memory_object_stream[Message](10)

    async def tell(self, message: Message) -> None:
        await self._to_app.send(message)

    async def answer(self) -> Message:
        with anyio.fail_after(10):
            return await self._from_app.receive()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._to_app, self.receive, self.send, self._from_app):
            stream.close()


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[dict[str, Any]]:
    """The app from its startup to its shutdown; gives its state."""
    scope: dict[str, Any] = {"type": "lifespan", "state": {}}
    with Server() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, server.receive.receive, server.send.send)
            await server.tell(STARTUP)
            assert await server.answer() == {"type": "lifespan.startup.complete"}
            yield scope["state"]
            await server.tell(SHUTDOWN)
            assert await server.answer() == {"type": "lifespan.shutdown.complete"}


async def get(app: Any, state: dict[str, Any]) -> tuple[int, Any]:
    """The page's status code and its JSON."""
    with Server() as server:
        await app({"type": "http", "state": state}, server.receive.receive, server.send.send)
        start, body = await server.answer(), await server.answer()
    return start["status"], json.loads(body["body"])


@pytest.mark.broker
async def test_orders_are_handled_while_the_app_is_up(
    embedded_kafka: EmbeddedKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    early, *orders = [json.dumps({"number": 7, "item": unique("figs")}) for _ in range(4)]
    await produce(bootstrap, "orders", [early])  # makes the topic, if it is not there yet
    app, waiting = make_app(bootstrap), {f"order {order}" for order in orders}
    async with served(app) as state:
        await produce(bootstrap, "orders", orders)
        with anyio.fail_after(10):
            while waiting:
                await anyio.sleep(0.02)
                waiting -= set(capsys.readouterr().out.splitlines())
        code, shown = await get(app, state)
        assert (code, shown["connected"]) == (200, True)
        assert shown["lag"].keys() == {f"orders-{number}" for number in range(4)}
    code, shown = await get(app, state)
    assert code == 503  # for a load balancer that still asks
    assert shown["finished"] >= 3


async def test_a_broker_out_of_reach_fails_the_startup() -> None:
    listener = KafkaListener(
        [TEXTS], bootstrap_servers="127.0.0.1:1", group_id="group", start_timeout=0.5
    )
    with Server() as server:
        await server.tell(STARTUP)
        await lifespan(listener, {}, server.receive.receive, server.send.send)
        answer = await server.answer()
    assert answer["type"] == "lifespan.startup.failed"
    assert "BrokerUnreachable" in answer["message"]


async def test_a_listener_that_fails_is_told_to_the_server_and_shown() -> None:
    broker, state = MemoryBroker({"orders": 1}), dict[str, Any]()
    listener = KafkaListener([TEXTS], transport=broker.connect("group"), on_parse_error="raise")
    with Server() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lifespan, listener, state, server.receive.receive, server.send.send)
            await server.tell(STARTUP)
            assert await server.answer() == {"type": "lifespan.startup.complete"}
            broker.produce("orders", b"\xff")  # is no text
            answer = await server.answer()
        await show(listener, server.send.send)
        page = await server.answer()
    assert answer["type"] == "lifespan.shutdown.failed"
    assert "ParseFailed" in answer["message"]
    assert page["status"] == 503
