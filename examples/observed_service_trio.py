"""A Starlette service on trio that is seen from outside: traces, metrics, health, a page.

    uv run python examples/price_server.py [bootstrap]     # another process, which is asked
    uv run python examples/observed_service_trio.py [bootstrap] [port]

POST an order, {"item": "bread"}, to /orders, and look at http://localhost:8000/ops/. The service
is ready when the topic exists. Spans go to stdout here; other exporters send them elsewhere.
"""

import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from sdml_kafka import Delivery, KafkaListener, KafkaProducer, KafkaRPC, observability, parse_json
from sdml_kafka.observability.opentelemetry import OpenTelemetry
from sdml_kafka.observability.prometheus import Prometheus


def make_app(bootstrap: str) -> Starlette:
    common: Any = {"bootstrap_servers": bootstrap, "hooks": [OpenTelemetry(), Prometheus()]}
    producer, rpc, bills = KafkaProducer(**common), KafkaRPC(**common), dict[str, int]()
    orders: Any = {"topics": ["sales"], "type": dict, "parser": parse_json}
    listener = KafkaListener([orders], group_id="observed-trio-example", **common)

    @listener.processor(dict, concurrency=10)
    async def bill(order: dict[str, str], delivery: Delivery[Any]) -> None:
        item = order["item"]
        bills[item] = int(await rpc.request("quotes", item.encode(), res_timeout=5.0))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with producer, rpc, listener:
            yield

    async def order(request: Request) -> JSONResponse:
        await producer.send("sales", await request.body())
        return JSONResponse(None, status_code=202)

    async def show(request: Request) -> JSONResponse:
        return JSONResponse(bills)

    looks = Mount("/ops", observability.app(listener, rpc, producer))
    routes = [Route("/orders", order, methods=["POST"]), Route("/bills", show), looks]
    return Starlette(routes=routes, lifespan=lifespan)


async def ctrl_c() -> None:
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        await anext(signals)


async def main(bootstrap: str = "127.0.0.1:9092", port: str = "8000") -> None:
    provider, config = TracerProvider(), Config()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)
    config.bind = [f"127.0.0.1:{port}"]
    app: Any = make_app(bootstrap)
    await serve(app, config, shutdown_trigger=ctrl_c)


if __name__ == "__main__":
    trio.run(lambda: main(*sys.argv[1:]))
