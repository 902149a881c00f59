"""Gives back what a program has dropped, where the listener's event loop runs.

Python's garbage collector runs in whichever thread allocates: that of the Kafka client, or of a
plain handler. There nothing of the listener may be touched, and no task can be woken. Nor can it
where no event loop runs, or another one: a program may drop a stream between two loops.
"""

from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from logging import WARNING

from sdml_kafka.log_fields import Place, place_of, record_fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime.waiter import running_here, soon

OFTEN = 3
"""The number of times that a record is dropped unfinished until a program hardly means it."""
MAX_COUNTED = 1000
"""The number of records for which that is counted; then the count begins anew."""


class Dropped:
    """Undoes at once what is dropped where the event loop runs, and has the loop undo the rest."""

    def __init__(self, on_often: Callable[[Place], object]) -> None:
        """Begin without an event loop, before anything is handed out.

        Args:
            on_often: Called on the event loop with a record that is dropped again and again.
        """
        self._on_often = on_often
        self._counts = Counter[tuple[str, int, int]]()
        self._later: deque[Callable[[], None]] = deque()
        self._is_here: Callable[[], bool] = lambda: False
        self._soon: Callable[[Callable[[], object]], object] = lambda settle: None

    def open(self) -> None:
        """Undo on the event loop that runs here what is dropped from now on."""
        self._is_here, self._soon = running_here(), soon()

    def undo(self, undo: Callable[[], None]) -> None:
        """Call `undo` now if the event loop runs here, else have the loop do so. For any thread."""
        if self._is_here():
            undo()
        else:
            self._later.append(undo)
            self._call_soon(self.settle)

    def count(self, record: Place) -> None:
        """Count a record in that was given back since the program has dropped it unfinished."""
        place = record.topic, record.partition, record.offset
        if len(self._counts) >= MAX_COUNTED:
            self._counts.clear()
        self._counts[place] += 1
        if self._counts[place] == OFTEN:
            del self._counts[place]
            # Not here, where the garbage collector may have come in the middle of anything.
            self._call_soon(partial(self._on_often, record))

    def _call_soon(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the event loop has ended
            self._soon(function)

    def settle(self) -> None:
        """Undo what was dropped where the event loop does not run."""
        while self._later:
            self._later.popleft()()


def warn_of(log: RateLimitedLog, record: Place) -> None:
    """Log that a record is dropped again and again, and what a loop has to do about that."""
    text = "%s is dropped unfinished again and again, and so it comes again: enter its delivery "
    text += '("async with"), or call done() or fail()'
    log.log(WARNING, "dropped", text, place_of(record), extra=record_fields(record))
