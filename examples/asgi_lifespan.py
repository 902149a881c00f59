"""A listener that lives as long as a web app; http://127.0.0.1:8000 shows its status. It is plain
ASGI, so the same goes for any framework and server, on asyncio and on trio. With uvicorn:

    uv run --with uvicorn python examples/asgi_lifespan.py [bootstrap]
"""

import json
import sys
import traceback
from typing import Any

import anyio
import attrs

from sdml_kafka import KafkaListener, ParserSpec, TypeStream, parse_text

TEXTS: ParserSpec[str] = {"topics": ["orders"], "type": str, "parser": parse_text}


async def handle(stream: TypeStream[str]) -> None:
    async for text in stream:
        print("order", text, flush=True)


async def lifespan(listener: KafkaListener, state: dict[str, Any], receive: Any, send: Any) -> None:
    await receive()  # lifespan.startup
    phase = "startup"
    try:
        # The listener is left first, so that handle() ends by itself, after the order in hand.
        async with anyio.create_task_group() as tasks, listener:
            tasks.start_soon(handle, await listener.subscribe(str))
            state["listener"] = listener
            phase = "shutdown"
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
    except Exception:
        await send({"type": f"lifespan.{phase}.failed", "message": traceback.format_exc()})
    else:
        await send({"type": "lifespan.shutdown.complete"})


async def show(listener: KafkaListener, send: Any) -> None:
    status = attrs.asdict(listener.status())
    status["partitions"] = {f"{tp[0]}-{tp[1]}": one for tp, one in status["partitions"].items()}
    code = 200 if listener.status().tree.state == "running" else 503
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    body = json.dumps(status, indent=2, default=list).encode()
    await send({"type": "http.response.body", "body": body})


def make_app(bootstrap: str = "127.0.0.1:9092") -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            listener = KafkaListener([TEXTS], bootstrap_servers=bootstrap, group_id="asgi-example")
            await lifespan(listener, scope["state"], receive, send)
        elif scope["type"] == "http":
            await show(scope["state"]["listener"], send)

    return app


if __name__ == "__main__":
    import uvicorn  # type: ignore[import-not-found]

    uvicorn.run(make_app(*sys.argv[1:]))
