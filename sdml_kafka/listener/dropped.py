"""Gives back what a program has dropped, in the thread of the event loop.

Python's garbage collector runs in whichever thread allocates: that of the Kafka client, or of a
plain handler. There nothing of the listener may be touched, and no task can be woken.
"""

from collections import deque
from collections.abc import Callable
from threading import get_ident


class Dropped:
    """Undoes at once what is dropped in its own thread, and later what is dropped in others."""

    def __init__(self) -> None:
        """Begin in the thread of the event loop."""
        self._thread = get_ident()
        self._later: deque[Callable[[], None]] = deque()

    def undo(self, undo: Callable[[], None]) -> None:
        """Call `undo` now if this is the thread, else with the next `settle`. For any thread."""
        if get_ident() == self._thread:
            undo()
        else:
            self._later.append(undo)

    def settle(self) -> None:
        """Undo what was dropped in other threads."""
        while self._later:
            self._later.popleft()()
