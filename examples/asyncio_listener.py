"""Read orders, on asyncio.

    uv run python examples/asyncio_listener.py [bootstrap]

Start it twice, and the two share the work.
"""

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass

from sdml_kafka import KafkaListener, ParserSpec, Record


@dataclass(frozen=True)
class Order:
    number: int
    item: str


def parse_order(record: Record) -> Order:
    return Order(**json.loads(record.value or b""))


ORDERS: ParserSpec[Order] = {"topics": ["orders"], "type": Order, "parser": parse_order}


async def main(bootstrap: str) -> None:
    async with KafkaListener(
        [ORDERS],
        bootstrap_servers=bootstrap,
        group_id="asyncio-example",
        auto_offset_reset="earliest",
    ) as listener:
        async for order in await listener.subscribe(Order):
            # Asking for the next order finishes this one. An order whose loop ends before that
            # is not committed: the next reader of this group gets it again.
            print(f"order {order.number}: {order.item}", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"))
