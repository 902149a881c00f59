"""A real web server for an application, on the event loop of the test."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
from hypercorn.config import Config

from sdml_kafka.runtime.waiter import on_trio


@asynccontextmanager
async def web_server(application: Any) -> AsyncGenerator[str]:
    """Serve an application, and yield its address."""
    if on_trio():
        from hypercorn.trio import serve
    else:
        from hypercorn.asyncio import serve  # type: ignore[assignment]  # as good for this
    config, listening, ending = Config(), socket.create_server(("127.0.0.1", 0)), anyio.Event()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config.bind = [f"fd://{listening.detach()}"]  # which the server closes
    config.accesslog = config.errorlog = None
    config.graceful_timeout = config.shutdown_timeout = 0.5
    run: Any = partial(serve, shutdown_trigger=ending.wait, mode="asgi")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, application, config)
        try:
            yield address
        finally:
            ending.set()
