"""Run a listener inside a web app's lifespan, and show its status as a page on port 8000.

    uv run --with uvicorn python examples/asgi_lifespan.py [bootstrap]

The app is plain ASGI, so it fits any framework and server, on asyncio and on trio.
"""

import json
import sys
from typing import Any

import anyio

from sdml_kafka import KafkaListener, ParserSpec, TypeStream, parse_text

TEXTS: ParserSpec[str] = {"topics": ["orders"], "type": str, "parser": parse_text}


async def handle(stream: TypeStream[str]) -> None:
    async for text in stream:
        print("order", text, flush=True)


async def lifespan(listener: KafkaListener, state: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()  # lifespan.startup
    try:
        # The listener is left first, so that handle() ends when the order in hand is finished.
        async with anyio.create_task_group() as tasks, listener:
            tasks.start_soon(handle, await listener.subscribe(str))
            state["listener"] = listener
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})
    except Exception as error:
        phase = "shutdown" if "listener" in state else "startup"
        await send({"type": f"lifespan.{phase}.failed", "message": repr(error)})


async def show(listener: KafkaListener, send: Any) -> None:
    status = listener.status()
    lag = {f"{topic}-{n}": each.lag for (topic, n), each in status.partitions.items()}
    shown = {"connected": status.connected, "finished": status.counters.finished, "lag": lag}
    code = 200 if status.tree.state == "running" else 503
    await send({"type": "http.response.start", "status": code})
    await send({"type": "http.response.body", "body": json.dumps(shown).encode()})


def make_app(bootstrap: str = "127.0.0.1:9092") -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            listener = KafkaListener([TEXTS], bootstrap_servers=bootstrap, group_id="asgi-example")
            await lifespan(listener, scope["state"], receive, send)
        elif scope["type"] == "http":
            await show(scope["state"]["listener"], send)

    return app


if __name__ == "__main__":
    import uvicorn  # type: ignore[import-not-found]  # any ASGI server will do: none is required

    uvicorn.run(make_app(*sys.argv[1:]))
