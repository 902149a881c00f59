"""A handler of ours that holds one request until it is let go."""

import anyio

from sdml_kafka import Call


class Held:
    """Answers a request with its value in capitals; the one with value `held` when it is let go."""

    def __init__(self) -> None:
        self.has_begun = anyio.Event()
        self.let_go = anyio.Event()

    async def __call__(self, value: bytes, call: Call) -> bytes:
        """Answer a request."""
        if value == b"held":
            self.has_begun.set()
            await self.let_go.wait()
        return value.upper()
