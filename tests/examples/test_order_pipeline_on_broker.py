"""The order pipeline: what is charged is shipped, and what is not is a dead letter."""

import json

import anyio
import pytest

from examples.order_pipeline import pipeline, place_orders
from sdml_kafka import KafkaListener, parse_json
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, topics_of, unique
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(120)]

COUNT = 200


async def read_dead_letters(bootstrap: str, numbers: set[int]) -> None:
    async with KafkaListener(
        [{"topics": ["payments-dlt"], "type": dict, "parser": parse_json}],
        bootstrap_servers=bootstrap,
        group_id=unique("group"),
        auto_offset_reset="earliest",
    ) as listener:
        async for document in await listener.subscribe(dict):
            numbers.add(document["number"])


async def test_each_order_is_shipped_or_a_dead_letter(
    embedded_kafka: EmbeddedKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    if "payments-dlt" not in await topics_of(bootstrap):
        await create_topic(bootstrap, "payments-dlt")
    shipped, letters = set[int](), set[int]()

    def are_all_through() -> bool:
        for line in capsys.readouterr().out.splitlines():
            if line.startswith("shipped"):
                shipped.update(json.loads(line.split(": ")[1]))
        return shipped | letters >= set(range(COUNT))

    async with anyio.create_task_group() as tasks, pipeline(bootstrap, unique("pipeline")):
        tasks.start_soon(read_dead_letters, bootstrap, letters)
        await place_orders(bootstrap, COUNT)
        await until(are_all_through, within_s=60.0)
        tasks.cancel_scope.cancel()
    assert {number for number in range(COUNT) if number % 10 == 7} <= letters
