"""`NotYet`, which a parser raises that needs something first: its record is held meanwhile."""

from collections.abc import Awaitable, Callable

import anyio.lowlevel

__all__ = ["NotYet"]


class NotYet(Exception):
    """Raised by a parser or a serializer that needs something first, such as a schema.

    The record stays where it is, those behind it wait, and `prepare` is awaited. Then the parser or
    serializer is called again. It is no parse error, and no attempt of a handler. The wait may be
    cancelled at any time, so `prepare` has to be able to begin again.

    Args:
        why: What the status and the log say meanwhile, or a function that returns that.
        prepare: An async function that returns once it is worth trying again. It may raise another
            `NotYet`, for what it needs itself. What else it raises counts as the parser's or the
            serializer's own error.
    """

    def __init__(
        self, why: str | Callable[[], str], prepare: Callable[[], Awaitable[object]]
    ) -> None:
        """Say what is needed, and what gets it."""
        super().__init__(why if isinstance(why, str) else "something is needed first")
        self._why, self._prepare = why, prepare
        self._first: NotYet | None = None

    def __str__(self) -> str:
        """Return why, and what to do for whoever calls a parser or serializer by hand."""
        return f"{self.why}: await this error's prepare(), then call again"

    @property
    def why(self) -> str:
        """The reason why the record is held."""
        why = (self._first or self)._why
        if isinstance(why, str):
            return why
        try:
            return why()
        except Exception as error:  # of the program: neither a status nor a log fails for that
            return f"why cannot be said ({type(error).__name__})"

    async def prepare(self) -> None:
        """Wait until it is worth calling the parser or serializer again.

        Raises:
            Exception: What the program's own `prepare` raises.
        """
        wanted = self
        try:
            while True:
                await anyio.lowlevel.checkpoint()  # for what is never content, and never waits
                try:
                    await wanted._prepare()
                except NotYet as first:
                    self._first = wanted = first
                else:
                    return
        finally:
            self._first = None
