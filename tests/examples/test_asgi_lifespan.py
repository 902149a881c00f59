"""What the web app's lifespan does when its listener fails."""

from typing import Any

import anyio
import pytest

from examples.asgi_lifespan import TEXTS, lifespan, show
from sdml_kafka import KafkaListener
from sdml_kafka.testing import MemoryBroker
from tests.support.asgi import STARTUP, Server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


async def test_a_broker_out_of_reach_fails_the_startup() -> None:
    listener = KafkaListener(
        [TEXTS], bootstrap_servers="127.0.0.1:1", group_id="group", start_timeout=0.5
    )
    with Server() as server:
        await server.send_to_app(STARTUP)
        await lifespan(listener, {}, server.receive.receive, server.send.send)
        answer = await server.answer()
    assert answer["type"] == "lifespan.startup.failed"
    assert "BrokerUnreachable" in answer["message"]


async def test_a_listener_that_fails_is_reported_to_the_server_and_shown() -> None:
    broker, state = MemoryBroker({"orders": 1}), dict[str, Any]()
    listener = KafkaListener([TEXTS], transport=broker.connect("group"), on_parse_error="raise")
    with Server() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lifespan, listener, state, server.receive.receive, server.send.send)
            await server.send_to_app(STARTUP)
            assert await server.answer() == {"type": "lifespan.startup.complete"}
            broker.produce("orders", b"\xff")  # not UTF-8
            answer = await server.answer()
        await show(listener, server.send.send)
        page = await server.answer()
    assert answer["type"] == "lifespan.shutdown.failed"
    assert "ParseFailed" in answer["message"]
    assert page["status"] == 503
