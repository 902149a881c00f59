"""Items on their way from one thread to another."""

from collections import deque
from collections.abc import Callable


class Crossing[T]:
    """Takes over at once what has come together, so that many items cost one crossing.

    `schedule` has a function run on the other side, soon and in order; `take` gets each item
    there. One side puts, the other takes.
    """

    def __init__(
        self, schedule: Callable[[Callable[[], object]], None], take: Callable[[T], None]
    ) -> None:
        self._schedule = schedule
        self._take = take
        self._items: deque[T] = deque()
        self._scheduled = False

    def put(self, item: T) -> None:
        self._items.append(item)  # before the look at the flag, see `_deliver`
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False  # before the first is taken: a later one schedules anew
        for _ in range(len(self._items)):
            self._take(self._items.popleft())
