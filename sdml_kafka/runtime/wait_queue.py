"""A line of tasks that wait to be woken, one wake-up for each."""

from collections import deque
from collections.abc import Callable

from sdml_kafka.runtime.waiter import Waiter, waiter_maker


class WaitQueue:
    """A line of tasks in which no wake-up is lost.

    A wake-up belongs to the task that it was given to. If that task is cancelled before it goes
    on, the next one in line gets the wake-up. Whoever wakes needs no event loop; all tasks that
    wait must run on the same one.
    """

    __slots__ = ("_line", "_new_waiter", "_on_lost", "_pop")

    def __init__(
        self, *, newest_first: bool = False, on_lost: Callable[[], None] | None = None
    ) -> None:
        """Make an empty line.

        Args:
            newest_first: Wake the task that came last, not the one that came first.
            on_lost: Called when the task that a wake-up was given to has been cancelled and no
                other task waits.
        """
        self._line: deque[Waiter] = deque()
        self._pop = self._line.pop if newest_first else self._line.popleft
        self._on_lost = on_lost
        self._new_waiter: Callable[[], Waiter] | None = None

    def __len__(self) -> int:
        """Return the number of tasks that wait and have not been woken."""
        return len(self._line)

    async def wait(self) -> None:
        """Wait in line until woken."""
        if self._new_waiter is None:
            self._new_waiter = waiter_maker()
        waiter = self._new_waiter()
        self._line.append(waiter)
        try:
            await waiter
        except BaseException:
            # The line itself knows who was woken. A cancelled future of asyncio is done, too.
            if waiter in self._line:
                self._line.remove(waiter)
            elif not self.wake_one() and self._on_lost is not None:
                self._on_lost()
            raise

    def wake_one(self) -> bool:
        """Wake the next task in line; return whether there was one."""
        if not self._line:
            return False
        waiter = self._pop()
        # A task that was cancelled an instant ago still stands in line: it passes this on.
        if not waiter.done():
            waiter.set_result(None)
        return True

    def wake(self, count: int) -> None:
        """Wake the next `count` tasks, or all if fewer wait."""
        while count > 0 and self.wake_one():
            count -= 1

    def wake_all(self) -> None:
        """Wake every task that waits."""
        while self.wake_one():
            pass
