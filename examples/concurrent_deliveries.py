"""Work on many orders at once; they finish in any order.

    uv run python examples/concurrent_deliveries.py [bootstrap]

A commit never runs ahead of the oldest order of its partition that is not finished.
"""

import sys
from contextlib import suppress
from random import uniform
from typing import Any

import anyio

from sdml_kafka import Delivery, KafkaListener, ParserSpec, parse_json

type Order = dict[str, Any]

ORDERS: ParserSpec[Order] = {"topics": ["orders"], "type": dict, "parser": parse_json}


async def ship(delivery: Delivery[Order], couriers: anyio.CapacityLimiter) -> None:
    # Leaving this block finishes the order. An exception in the block stops the listener, and a
    # cancellation gives the order back: either way the order is not committed, and comes again.
    async with delivery, couriers:
        await anyio.sleep(uniform(0.1, 1))
        print(f"shipped order {delivery.value['number']}", flush=True)


async def main(bootstrap: str) -> None:
    couriers = anyio.CapacityLimiter(10)
    async with (
        KafkaListener(
            [ORDERS],
            bootstrap_servers=bootstrap,
            group_id="concurrent-example",
            auto_offset_reset="earliest",
            max_in_flight=100,  # bounds the orders of a partition that are in hand
        ) as listener,
        anyio.create_task_group() as tasks,
    ):
        stream = await listener.subscribe(dict)
        async for delivery in stream.deliveries():
            tasks.start_soon(ship, delivery, couriers)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092")
