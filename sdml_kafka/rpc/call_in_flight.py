"""A call that waits for its reply, or a request in a handler, as a status shows it."""

from attrs import frozen

MAX_SHOWN = 20
"""The number of calls in flight that a status shows."""
MAX_ID = 100
"""The characters of an id that are shown."""


@frozen
class CallInFlight:
    """A call of a client that waits for its reply, or a request in a handler of a server."""

    topic: str
    """The topic of the request."""
    id: str
    """The correlation id as text, with what is no text in it escaped; empty for none."""
    age_s: float
    """Seconds since the call was begun. For a request, seconds since it was sent, by the clock of
    its sender."""
    left_s: float | None
    """Seconds until the deadline, None for a call without one."""


def shown_id(id_: bytes | None) -> str:
    """Return a correlation id as text that is not too long."""
    text = (id_ or b"").decode(errors="backslashreplace")
    return text if len(text) <= MAX_ID else f"{text[: MAX_ID - 1]}…"
