"""The web app's lifespan and its page, driven as a server drives them."""

import json
from typing import Any

import anyio
import pytest

from examples.asgi_lifespan import TEXTS, lifespan, make_app, show
from sdml_kafka import KafkaListener
from sdml_kafka.testing import EmbeddedKafka, MemoryBroker
from tests.support.asgi import STARTUP, Server, get, served
from tests.support.kafka_from_outside import produce, unique

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


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
