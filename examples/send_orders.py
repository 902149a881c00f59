"""Send orders for the other examples to read, three a second.

    uv run python examples/send_orders.py [bootstrap] [how many]

It does not use this package: any producer will do.
"""

import asyncio
import json
import sys
from contextlib import suppress
from random import choice

from aiokafka import AIOKafkaProducer

ITEMS = ["apples", "bread", "cheese", "dates"]


async def main(bootstrap: str = "127.0.0.1:9092", how_many: str = "1000") -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for number in range(int(how_many)):
            order = {"number": number, "item": choice(ITEMS)}
            await producer.send_and_wait("orders", json.dumps(order).encode())
            print(f"sent order {number}: {order['item']}", flush=True)
            await asyncio.sleep(0.3)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
