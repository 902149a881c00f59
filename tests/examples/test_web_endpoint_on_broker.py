"""The endpoint that makes a call, driven as a web server drives it."""

import anyio
import pytest

from examples.rpc_asyncio import PRICES
from examples.web_endpoint import make_app
from sdml_kafka import Call, KafkaRPCServer, RemoteError, parse_json
from sdml_kafka.testing import EmbeddedKafka
from tests.support.asgi import get, served
from tests.support.kafka_from_outside import unique

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(90)]


def price_server(bootstrap: str) -> KafkaRPCServer:
    server = KafkaRPCServer(bootstrap_servers=bootstrap, group_id=unique("prices"))

    @server.handler("prices", parser=parse_json)
    async def price(item: str, call: Call) -> bytes:
        if item == "dates":
            await anyio.sleep_forever()
        if item not in PRICES:
            raise RemoteError("not_found", f"no {item}")
        return b"%d" % PRICES[item]

    return server


async def test_a_page_asks_a_server(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    app = make_app(bootstrap)
    async with served(app) as state, price_server(bootstrap):
        assert await get(app, state, "/prices/bread") == (200, {"item": "bread", "price": 3})
        assert await get(app, state, "/prices/eggs") == (404, {"error": "not_found"})
        assert await get(app, state, "/prices/dates") == (504, {"error": "deadline_exceeded"})
    code, _ = await get(app, state, "/prices/bread")
    assert code == 503  # a load balancer may still ask
