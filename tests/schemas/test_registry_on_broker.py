"""Avro records through a real Kafka and a registry over HTTP that is away for a while."""

from functools import partial
from typing import Any

import anyio
import msgspec
import pytest

from sdml_kafka import KafkaListener, KafkaProducer, SchemaRegistry
from sdml_kafka.schemas import answers
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.client_choice import Client
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.registry_server import registry_server
from tests.support.schemas import ORDER_AVRO
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.librdkafka_too]


class Order(msgspec.Struct):
    id: int
    item: str


async def test_records_wait_for_a_registry_that_is_away(
    embedded_kafka: EmbeddedKafka, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LONGEST_PAUSE_S", 0.1)
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("orders"), 2)
    options: dict[str, Any] = {"bootstrap_servers": bootstrap, "client": client}
    with registry_server() as server, SchemaRegistry(server.url) as registry:
        server.add(7, ORDER_AVRO, "AVRO")
        server.schemas[f"/subjects/{topic}-value/versions/latest"] = {
            "subject": f"{topic}-value",
            "version": 1,
            "id": 7,
            "schema": ORDER_AVRO,
        }
        to_order = registry.serializer(f"{topic}-value")
        async with KafkaProducer(serializers={Order: to_order}, **options) as producer:
            for number in range(20):
                await producer.send(topic, Order(number, "figs"), partition=number % 2)
        server.status = 503
        listener = KafkaListener(
            [{"topics": [topic], "type": Order, "parser": registry.parser(Order)}],
            group_id=unique("group"),
            start_from="earliest",
            **options,
        )
        seen: list[Order] = []

        async def handle(order: Order, delivery: Any) -> None:
            seen.append(order)

        with anyio.fail_after(60):
            async with listener, anyio.create_task_group() as tasks:
                tasks.start_soon(partial(listener.process, Order, handle, order="partition"))
                await until(lambda: listener.health(away_after_s=0.5).state == "held")
                reason = listener.health(away_after_s=0.5).reason
                assert "schema registry away: it answers HTTP 503" in reason
                assert not seen
                server.status = 200
                await until(lambda: len(seen) == 20)
                assert listener.status().counters.parse_errors == 0
                tasks.cancel_scope.cancel()
        for partition in range(2):
            ids = [order.id for order in seen if order.id % 2 == partition]
            assert ids == sorted(ids)
