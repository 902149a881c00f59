"""Read orders, on trio: two loops share them, and a third task watches how many are left.

    uv run python examples/trio_listener.py [bootstrap]

A stream ends when its listener is left, and a listener that fails cancels the nursery.
"""

import sys
from contextlib import suppress

import trio

from sdml_kafka import KafkaListener, ParserSpec, TypeStream, parse_text

TEXTS: ParserSpec[str] = {"topics": ["orders"], "type": str, "parser": parse_text}


async def work(name: str, stream: TypeStream[str]) -> None:
    async for text in stream:
        print(f"{name} has {text}", flush=True)
        await trio.sleep(0.1)


async def watch(listener: KafkaListener) -> None:
    while True:
        status = listener.status()
        lags = [partition.lag for partition in status.partitions.values()]
        to_go = "?" if None in lags else sum(lag or 0 for lag in lags)
        print(f"{status.counters.finished} finished, {to_go} to go", flush=True)
        await trio.sleep(1)


async def main(bootstrap: str) -> None:
    async with (
        KafkaListener(
            [TEXTS],
            bootstrap_servers=bootstrap,
            group_id="trio-example",
            auto_offset_reset="earliest",
        ) as listener,
        trio.open_nursery() as nursery,
    ):
        stream = await listener.subscribe(str)
        nursery.start_soon(work, "Ann", stream)
        nursery.start_soon(work, "Bob", stream)
        nursery.start_soon(watch, listener)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092")
