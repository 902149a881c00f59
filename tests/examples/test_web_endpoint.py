"""What the endpoint that makes a call does when that fails."""

import pytest

from examples.web_endpoint import ask, lifespan
from sdml_kafka import KafkaRPC, RemoteError
from tests.support.asgi import STARTUP, Server

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


async def test_a_broker_out_of_reach_fails_the_startup() -> None:
    rpc = KafkaRPC(bootstrap_servers="127.0.0.1:1", start_timeout=0.5)
    with Server() as server:
        await server.send_to_app(STARTUP)
        await lifespan(rpc, {}, server.receive.receive, server.send.send)
        answer = await server.answer()
    assert answer["type"] == "lifespan.startup.failed"
    assert "BrokerUnreachable" in answer["message"]


async def test_an_error_of_a_kind_that_nobody_planned_for() -> None:
    class Rpc:
        async def request(self, *_: object, **__: object) -> bytes:
            raise RemoteError("internal", "secret")

    assert await ask(Rpc(), "bread") == (502, {"error": "internal"})  # type: ignore[arg-type]
