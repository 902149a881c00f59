"""`NotYet`, which a parser raises that needs something first: its record is held meanwhile."""

from collections.abc import Awaitable, Callable

__all__ = ["NotYet"]


class NotYet(Exception):
    """Raised by a parser or a serializer that needs something first, such as a schema.

    The record stays where it is, those behind it wait, and `prepare` is awaited. Then the parser or
    serializer is called again. It is no parse error, and no attempt of a handler. The wait may be
    cancelled at any time, so `prepare` has to be able to begin again.

    Args:
        why: What the status and the log say meanwhile, or a function that returns that.
        prepare: An async function that returns once it is worth trying again. What it raises counts
            as the parser's or the serializer's own error.
    """

    def __init__(
        self, why: str | Callable[[], str], prepare: Callable[[], Awaitable[object]]
    ) -> None:
        """Say what is needed, and what gets it."""
        super().__init__(why if isinstance(why, str) else "something is needed first")
        self._why = why
        self.prepare: Callable[[], Awaitable[object]] = prepare

    @property
    def why(self) -> str:
        """The reason why the record is held."""
        return self._why if isinstance(self._why, str) else self._why()
