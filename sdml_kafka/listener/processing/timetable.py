"""A timetable of what waits for a time: retries and batches, with one timer for all of them."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

from sdml_kafka.workers.deadline_timer import DeadlineTimer


class Timetable[T]:
    """Hands each thing back at its time, on the clock of the event loop."""

    def __init__(self, on_due: Callable[[T], None]) -> None:
        """Begin with nothing that waits; `run` has to run."""
        self._on_due = on_due
        self._heap: list[tuple[float, int, T]] = []
        self._numbers = count()
        self._timer = DeadlineTimer(self._hand_back)

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, at: float, thing: T) -> None:
        """Let a thing wait until `at`."""
        heappush(self._heap, (at, next(self._numbers), thing))
        self._timer.schedule(at)

    def things(self) -> list[T]:
        """Return what waits, in no order. Any thread may ask."""
        return [thing for _, _, thing in list(self._heap)]

    def take_if(self, is_wanted: Callable[[T], bool]) -> list[T]:
        """Remove and return the things of which this is true."""
        taken = [entry[2] for entry in self._heap if is_wanted(entry[2])]
        kept = [entry for entry in self._heap if not is_wanted(entry[2])]
        self._heap = sorted(kept, key=lambda entry: entry[:2])  # a sorted list is a heap
        return taken

    async def run(self) -> None:
        """Hand back whatever is due, until cancelled."""
        await self._timer.run()

    def _hand_back(self, now: float) -> float:
        while self._heap and self._heap[0][0] <= now:
            self._on_due(heappop(self._heap)[2])
        return self._heap[0][0] if self._heap else inf
