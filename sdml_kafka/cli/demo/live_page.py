"""Serves the live page while the demo runs, to this machine alone."""

import secrets
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import anyio

from sdml_kafka.cli.terminal import Backend
from sdml_kafka.observability import app
from sdml_kafka.observability.status_document import Observed

NEEDED = "hypercorn", "starlette"
HOW_TO_GET_IT = 'hypercorn and starlette: pip install "sdml-kafka-client[cli]"'
STUCK_AFTER_S = 1.0
"""Seconds that a record may be in hand, few so that the stuck one shows at once."""
TOKEN_BYTES = 16


class LivePage:
    """The page of whoever takes part at the moment: participants leave, and come back anew."""

    def __init__(
        self,
        listening: socket.socket,
        backend: Backend,
        participants: Callable[[], Sequence[Observed]],
    ) -> None:
        self.address: str = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        self.token: str = secrets.token_urlsafe(TOKEN_BYTES)
        """The secret that shows dead letters, and sends them anew."""
        self._listening = listening
        self._backend = backend
        self._participants = participants
        self._shown: Sequence[Observed] = ()
        self._application: Any = None

    async def serve(self) -> None:
        """Answer until cancelled; some participant has to be there when this begins."""
        # Imported late, since the demo also runs where there is no web server.
        from hypercorn.config import Config

        serve: Any = import_module(f"hypercorn.{self._backend}").serve
        config = Config()
        config.bind = [f"fd://{self._listening.detach()}"]  # which the server closes
        config.accesslog = config.errorlog = None
        await serve(self._answer, config, shutdown_trigger=_never, mode="asgi")

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            return  # nothing of the page ends with its server
        participants = self._participants()
        if participants and participants != self._shown:
            self._shown = participants
            self._application = app(
                *participants, stuck_after_s=STUCK_AFTER_S, dead_letter_token=self.token
            )
        await self._application(scope, receive, send)


@contextmanager
def live_page(
    backend: Backend, participants: Callable[[], Sequence[Observed]]
) -> Generator[LivePage | None]:
    """Open a free port for the page; yield None where its libraries are not installed."""
    if any(find_spec(module) is None for module in NEEDED):
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield LivePage(listening, backend, participants)


async def _never() -> None:
    await anyio.sleep_forever()
