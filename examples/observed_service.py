"""A FastAPI service on uvloop that is seen from outside: traces, metrics, health, a page.

    uv run python examples/price_server.py [bootstrap]     # another process, which is asked
    uv run python examples/observed_service.py [bootstrap] [port]

POST an order, {"item": "bread"}, to /orders, and look at http://localhost:8000/ops/. The service
is ready when the topic exists. Spans go to stdout here; other exporters send them elsewhere.
"""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from fastapi import FastAPI
from hypercorn.asyncio import serve
from hypercorn.config import Config
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from pydantic import BaseModel

from sdml_kafka import (
    Delivery,
    KafkaListener,
    KafkaProducer,
    KafkaRPC,
    observability,
    parse_pydantic,
)
from sdml_kafka.observability.opentelemetry import OpenTelemetry
from sdml_kafka.observability.prometheus import Prometheus


class Order(BaseModel):
    item: str


def make_app(bootstrap: str) -> FastAPI:
    common: Any = {"bootstrap_servers": bootstrap, "hooks": [OpenTelemetry(), Prometheus()]}
    producer, rpc = KafkaProducer(**common), KafkaRPC(**common)
    orders: Any = {"topics": ["sales"], "type": Order, "parser": parse_pydantic(Order)}
    listener = KafkaListener([orders], group_id="observed-example", **common)
    bills: dict[str, int] = {}

    @listener.processor(Order, concurrency=10)
    async def bill(order: Order, delivery: Delivery[Order]) -> None:
        bills[order.item] = int(await rpc.request("quotes", order.item.encode(), res_timeout=5.0))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with producer, rpc, listener:
            yield

    app = FastAPI(lifespan=lifespan)
    app.get("/bills")(lambda: bills)

    @app.post("/orders", status_code=202)
    async def order(order: Order) -> None:
        await producer.send("sales", order.model_dump_json().encode())

    app.mount("/ops", observability.app(listener, rpc, producer))
    return app


async def main(bootstrap: str = "127.0.0.1:9092", port: str = "8000") -> None:
    provider, config = TracerProvider(), Config()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)
    config.bind = [f"127.0.0.1:{port}"]
    app: Any = make_app(bootstrap)
    await serve(app, config)  # until Ctrl-C


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
