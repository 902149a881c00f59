"""A program that makes a call with the former client, as it was written: it runs unchanged.

    uv run python examples/rpc_quickstart_former_client.py

Its Kafka has to be at 127.0.0.1:9092, and a server has to answer the topic `request`. New
programs import `sdml_kafka`, and say `async with KafkaRPC(...)`.
"""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from sdml.kafka_client.clients import KafkaRPC


def parse_reply(record: ConsumerRecord) -> bytes:
    return record.value or b""


rpc = KafkaRPC(
    parsers=[{"topics": ["reply"], "type": bytes, "parser": parse_reply}],
    consumer_factory=lambda: AIOKafkaConsumer(
        bootstrap_servers="127.0.0.1:9092", group_id="rpc", auto_offset_reset="latest"
    ),
)


async def main() -> None:
    await rpc.start()
    reply = await rpc.request(req_topic="request", req_value=b"hello", res_expect_type=bytes)
    print("response:", reply)
    await rpc.stop()


if __name__ == "__main__":
    asyncio.run(main())
