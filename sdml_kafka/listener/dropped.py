"""Gives back what a program has dropped, where the listener's event loop runs.

Python's garbage collector runs in whichever thread allocates: that of the Kafka client, or of a
plain handler. There nothing of the listener may be touched, and no task can be woken. Nor can it
where no event loop runs, or another one: a program may drop a stream between two loops.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from sdml_kafka.runtime.waiter import running_here, soon


class Dropped:
    """Undoes at once what is dropped where the event loop runs, and has the loop undo the rest."""

    def __init__(self) -> None:
        """Begin without an event loop, before anything is handed out."""
        self._later: deque[Callable[[], None]] = deque()
        self._is_here: Callable[[], bool] = lambda: False
        self._soon: Callable[[Callable[[], None]], object] = lambda settle: None

    def open(self) -> None:
        """Undo on the event loop that runs here what is dropped from now on."""
        self._is_here, self._soon = running_here(), soon()

    def undo(self, undo: Callable[[], None]) -> None:
        """Call `undo` now if the event loop runs here, else have the loop do so. For any thread."""
        if self._is_here():
            undo()
        else:
            self._later.append(undo)
            with suppress(RuntimeError):  # the event loop has ended
                self._soon(self.settle)

    def settle(self) -> None:
        """Undo what was dropped where the event loop does not run."""
        while self._later:
            self._later.popleft()()
