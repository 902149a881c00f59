"""Replies that are held until their parser has what it needs, such as a schema."""

from collections.abc import Generator
from contextlib import contextmanager

from attrs import define, frozen

from sdml_kafka.parsing.not_yet import NotYet


@frozen
class HeldReply:
    """The reply that has been held longest."""

    why: str
    for_s: float


@define(eq=False)
class _Hold:
    topic: str
    since: float
    reason: NotYet


class HeldReplies:
    """All replies of a client that are held."""

    def __init__(self) -> None:
        """Begin with none."""
        self._holds: dict[_Hold, None] = {}

    @contextmanager
    def holding(self, topic: str, since: float, reason: NotYet) -> Generator[None]:
        """Count a reply as held inside the context.

        Args:
            topic: The topic of its request.
            since: When it began to be held, for another reason perhaps.
            reason: What is needed.
        """
        hold = _Hold(topic, since, reason)
        self._holds[hold] = None
        try:
            yield
        finally:
            del self._holds[hold]

    def oldest(self, now: float) -> HeldReply | None:
        """Return the one that has been held longest, None if there is none. Any thread may ask."""
        hold = min(list(self._holds), key=lambda each: each.since, default=None)
        if hold is None:
            return None
        return HeldReply(f"a reply from {hold.topic!r} waits: {hold.reason.why}", now - hold.since)
