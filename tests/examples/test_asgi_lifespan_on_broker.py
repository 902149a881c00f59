"""The web app's lifespan and its page, driven as a server drives them."""

import json

import anyio
import pytest

from examples.asgi_lifespan import make_app
from sdml_kafka.testing import EmbeddedKafka
from tests.support.asgi import get, served
from tests.support.kafka_from_outside import produce, unique

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(90)]


async def test_orders_are_handled_while_the_app_is_up(
    embedded_kafka: EmbeddedKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    early, *orders = [json.dumps({"number": 7, "item": unique("figs")}) for _ in range(4)]
    await produce(bootstrap, "orders", [early])  # the broker creates the topic, if need be
    app, waiting = make_app(bootstrap), {f"order {order}" for order in orders}
    async with served(app) as state:
        await produce(bootstrap, "orders", orders)
        with anyio.fail_after(60):
            while waiting:
                await anyio.sleep(0.02)
                waiting -= set(capsys.readouterr().out.splitlines())
        code, shown = await get(app, state)
        assert (code, shown["connected"]) == (200, True)
        assert shown["lag"].keys() == {f"orders-{number}" for number in range(4)}
    code, shown = await get(app, state)
    assert code == 503  # a load balancer may still ask
    assert shown["finished"] >= 3
