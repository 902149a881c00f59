"""A program for the former client, as it was written: it runs unchanged.

    uv run python examples/quickstart_former_client.py [bootstrap]

New programs import `sdml_kafka`, and say `async with KafkaListener(...)`.
"""

import asyncio
import json
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from sdml.kafka_client.clients import KafkaListener
from sdml.kafka_client.types import ParserSpec

BOOTSTRAP = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"


def parse_event(record: ConsumerRecord) -> dict[str, Any]:
    return {"topic": record.topic, "value": json.loads(record.value)}


specs: list[ParserSpec[dict[str, Any]]] = [
    {"topics": ["events"], "type": dict, "parser": parse_event},
]

listener = KafkaListener(
    parsers=specs,
    auto_commit={"every": 100, "interval_s": 5.0},
    consumer_factory=lambda: AIOKafkaConsumer(
        bootstrap_servers=BOOTSTRAP, group_id="listener", auto_offset_reset="latest"
    ),
)


async def main() -> None:
    await listener.start()
    stream = await listener.subscribe(dict)
    async for item in stream:
        print("got", item, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
