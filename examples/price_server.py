"""Answer with prices, traced: the other process that the observed services ask.

uv run python examples/price_server.py [bootstrap]
"""

import sys
from contextlib import suppress

import anyio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from sdml_kafka import Call, KafkaRPCServer, RemoteError
from sdml_kafka.observability.opentelemetry import OpenTelemetry

PRICES = {b"apples": 2, b"bread": 3, b"cheese": 7}


async def price(item: bytes, call: Call) -> bytes:
    if item not in PRICES:
        raise RemoteError("not_found", f"no {item.decode()} today")
    return b"%d" % PRICES[item]


async def main(bootstrap: str = "127.0.0.1:9092") -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)
    server = KafkaRPCServer(
        bootstrap_servers=bootstrap, group_id="price-example", hooks=[OpenTelemetry()]
    )
    server.handler("quotes")(price)
    async with server:
        print("answers", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        anyio.run(lambda: main(*sys.argv[1:]))
