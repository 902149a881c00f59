"""How everybody wakes the dispatcher."""

from contextlib import suppress
from weakref import finalize

import anyio
from attrs import frozen

from sdml_kafka.runtime import Mailbox


@frozen
class Work:
    """Something may be dispatched: records came, there is room again, a stream was opened."""


class DispatchSignal:
    """Wakes the dispatcher, or stops it. Several signals before it looks count as one."""

    def __init__(self) -> None:
        self.mailbox: Mailbox[Work] = Mailbox[Work](1)
        self.failure: Exception | None = None
        """The error that stops the listener: of a delivery, or of a parser if none is skipped."""
        finalize(self, self.mailbox.close)  # for a listener that is never entered

    def notify(self) -> None:
        """Let the dispatcher look at every partition again."""
        # A signal that waits already says the same, and after the end nobody needs one.
        with suppress(anyio.WouldBlock, anyio.ClosedResourceError):
            self.mailbox.send_nowait(Work())

    def fail(self, error: Exception) -> None:
        """Stop the listener with this error; the first error counts."""
        if self.failure is None:
            self.failure = error
            self.notify()

    def close(self) -> None:
        """Drop the signal that waits, and take no more."""
        self.mailbox.close()
