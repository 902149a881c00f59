"""Make a call from a web endpoint on port 8000: GET /prices/apples asks the servers of `prices`.

    uv run --with uvicorn python examples/web_endpoint.py [bootstrap]

examples/rpc_asyncio.py has such a server. The app is plain ASGI, so it fits any framework and
server, on asyncio and on trio.
"""

import json
import sys
from typing import Any

from sdml_kafka import CallTimeout, KafkaRPC, RemoteError, SdmlKafkaError

STATUS_CODES = {
    "invalid_argument": 400,
    "not_found": 404,
    "unavailable": 503,
}


async def lifespan(rpc: KafkaRPC, state: dict[str, Any], receive: Any, send: Any) -> None:
    """Keep one client for all requests of the app."""
    await receive()  # lifespan.startup
    try:
        async with rpc:
            state["rpc"] = rpc
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})
    except Exception as error:
        phase = "shutdown" if "rpc" in state else "startup"
        await send({"type": f"lifespan.{phase}.failed", "message": repr(error)})


async def ask(rpc: KafkaRPC, item: str) -> tuple[int, Any]:
    """Return the status code and the JSON to answer with; details of a failure stay inside."""
    try:
        reply = await rpc.request(
            "prices", json.dumps(item).encode(), res_timeout=2.0, res_expect_type=bytes
        )
        return 200, {"item": item, "price": json.loads(reply)}
    except CallTimeout:
        return 504, {"error": "deadline_exceeded"}
    except RemoteError as error:
        return STATUS_CODES.get(error.status, 502), {"error": error.status}
    except SdmlKafkaError:
        return 503, {"error": "cannot ask right now"}


def make_app(bootstrap: str = "127.0.0.1:9092") -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(KafkaRPC(bootstrap_servers=bootstrap), scope["state"], receive, send)
        elif scope["type"] == "http":
            code, shown = await ask(scope["state"]["rpc"], scope["path"].rpartition("/")[2])
            body = json.dumps(shown).encode()
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": code, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    import uvicorn  # type: ignore[import-not-found]  # any ASGI server will do: none is required

    uvicorn.run(make_app(*sys.argv[1:]))
