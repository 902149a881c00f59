"""The server's end of an ASGI app."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

type Message = dict[str, Any]

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


class Server:
    """The server's end of one scope: sends messages to the app, and reads its answers."""

    def __init__(self) -> None:
        self._to_app, self.receive = anyio.create_memory_object_stream[Message](10)
        self.send, self._from_app = anyio.create_memory_object_stream[Message](10)

    async def send_to_app(self, message: Message) -> None:
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
    """Run the app from its startup to its shutdown, and yield its state."""
    scope: dict[str, Any] = {"type": "lifespan", "state": {}}
    with Server() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, server.receive.receive, server.send.send)
            await server.send_to_app(STARTUP)
            assert await server.answer() == {"type": "lifespan.startup.complete"}
            yield scope["state"]
            await server.send_to_app(SHUTDOWN)
            assert await server.answer() == {"type": "lifespan.shutdown.complete"}


async def get(app: Any, state: dict[str, Any], path: str = "/") -> tuple[int, Any]:
    """Return the page's status code and its JSON."""
    with Server() as server:
        scope = {"type": "http", "state": state, "path": path}
        await app(scope, server.receive.receive, server.send.send)
        start, body = await server.answer(), await server.answer()
    return start["status"], json.loads(body["body"])
