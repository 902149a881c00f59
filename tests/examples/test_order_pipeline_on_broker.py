"""The order pipeline: what is charged is shipped, and what is not is a dead letter, until later."""

import json

import anyio
import pytest

from examples.order_pipeline import Bank, pipeline, place_orders, replay
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


async def test_each_order_is_shipped_or_a_dead_letter_that_is_charged_later(
    embedded_kafka: EmbeddedKafka, anyio_backend_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap, bank = embedded_kafka.bootstrap_servers, Bank()
    if "payments-dlt" not in await topics_of(bootstrap):
        await create_topic(bootstrap, "payments-dlt")
    # The topics are the same for each backend, so the orders are others.
    orders = range(COUNT) if anyio_backend_name == "asyncio" else range(1000, 1000 + COUNT)
    frozen = {number for number in orders if number % 10 == 7}
    shipped, letters = set[int](), set[int]()

    def read_output() -> set[int]:
        for line in capsys.readouterr().out.splitlines():
            if line.startswith("shipped"):
                shipped.update(json.loads(line.split(": ")[1]))
        return shipped

    async with (
        anyio.create_task_group() as tasks,
        pipeline(bootstrap, bank, unique("pipeline")),
    ):
        tasks.start_soon(read_dead_letters, bootstrap, letters)
        await place_orders(bootstrap, orders)
        await until(lambda: read_output() | letters >= set(orders), within_s=60.0)
        assert frozen <= letters
        assert not frozen & shipped
        # By chance, one in a thousand payments is not answered three times, and is a letter again.
        bank.has_frozen_accounts, bank.silence = False, 0.0
        await replay(bootstrap)
        await until(lambda: read_output() >= set(orders), within_s=60.0)
        tasks.cancel_scope.cancel()
