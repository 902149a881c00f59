"""The server's end of an ASGI app."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

type Message = dict[str, Any]

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


class Server:
    """The server's end of one scope: what it sends to the app, and what the app answered."""

    def __init__(self) -> None:
        self._to_app, self.receive = anyio.create_memory_object_stream[Message](10)
        self.send, self._from_app = anyio.create_memory_object_stream[Message](10)

    async def tell(self, message: Message) -> None:
        await self._to_app.send(message)

    async def answer(self) -> Message:
        with anyio.fail_after(30):
            return await self._from_app.receive()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._to_app, self.receive, self.send, self._from_app):
            stream.close()


@asynccontextmanager
async def served(app: Any) -> AsyncGenerator[dict[str, Any]]:
    """The app from its startup to its shutdown; gives its state."""
    scope: dict[str, Any] = {"type": "lifespan", "state": {}}
    with Server() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, server.receive.receive, server.send.send)
            await server.tell(STARTUP)
            assert await server.answer() == {"type": "lifespan.startup.complete"}
            yield scope["state"]
            await server.tell(SHUTDOWN)
            assert await server.answer() == {"type": "lifespan.shutdown.complete"}


async def get(app: Any, state: dict[str, Any], path: str = "/") -> tuple[int, Any]:
    """The page's status code and its JSON."""
    with Server() as server:
        scope = {"type": "http", "state": state, "path": path}
        await app(scope, server.receive.receive, server.send.send)
        start, body = await server.answer(), await server.answer()
    return start["status"], json.loads(body["body"])
