"""Items on their way from one thread to another."""

from collections import deque
from collections.abc import Callable


class ThreadHandoff[T]:
    """Hands over at once what has come together, so that many items cost one crossing.

    One thread puts, the other takes.
    """

    def __init__(
        self, schedule: Callable[[Callable[[], object]], None], take: Callable[[T], None]
    ) -> None:
        """Make a handoff to another thread.

        Args:
            schedule: Has a function run in the other thread, soon and in the order of the calls.
            take: Gets each item there.
        """
        self._schedule = schedule
        self._take = take
        self._items: deque[T] = deque()
        self._scheduled = False

    def put(self, item: T) -> None:
        # The item is added before the flag is read: `_deliver` lowers it before it takes items.
        self._items.append(item)
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self._deliver)

    def _deliver(self) -> None:
        # Lowered before the first item is taken, so that an item that comes later schedules anew.
        self._scheduled = False
        for _ in range(len(self._items)):
            self._take(self._items.popleft())
