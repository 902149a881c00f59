"""The records that wait, by the flushes between which they were given to the producer.

How this works. A flush waits for what was there when it was called, and for nothing that comes
later, or it might never end. So it closes the *cohort* that takes records, and a new one takes
those that come. A record stays in a table of its cohort until it has its outcome, in whatever
order they come, and a flush ends when its cohort and all earlier ones are empty. So flushes cost
nothing for each record, but a look at the oldest cohort while there is more than one.

A call that waits before it can put its record in holds its cohort open meanwhile. Nothing here
waits but `wait_settled`.
"""

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from attrs import define, field

from sdml_kafka.runtime.waiter import Waiter, waiter_maker, wake


@define(eq=False)
class Cohort[T]:
    """Records that were given to the producer between two flushes."""

    by_timeout: dict[float, dict[T, None]] = field(factory=dict[float, dict[T, None]])
    """The records that wait, a table for each timeout in use."""
    calls: int = 0
    """The number of calls that have yet to put their record in."""
    flushes: list[Waiter] = field(factory=list[Waiter])
    """The waiters for this cohort and all earlier ones."""

    def is_settled(self) -> bool:
        """Return whether none of its records waits, and none is to come."""
        # From the end, since records leave from the beginning in most cases.
        return not self.calls and not any(reversed(self.by_timeout.values()))


class Cohorts[T]:
    """The cohorts of which records wait, the oldest first; the newest takes records."""

    def __init__(self) -> None:
        """Begin without records."""
        self.newest: Cohort[T] = Cohort()
        self.older: deque[Cohort[T]] = deque()
        """The cohorts that take no more records."""

    def __iter__(self) -> Iterator[Cohort[T]]:
        return iter((*self.older, self.newest))

    @contextmanager
    def joining(self) -> Generator[Cohort[T]]:
        """Let flushes that are called from now on wait for the record that the body puts in."""
        cohort = self.newest
        cohort.calls += 1
        try:
            yield cohort
        finally:
            cohort.calls -= 1
            self.wake_flushes()

    def wake_flushes(self) -> None:
        """Wake whoever waits for cohorts that are settled, now that a record or a call has left."""
        older = self.older
        while older and older[0].is_settled():
            for waiter in older.popleft().flushes:
                wake(waiter)

    async def wait_settled(self) -> None:
        """Wait until all that is here now is settled. What comes later is not waited for."""
        if not self.newest.is_settled():
            self.older.append(self.newest)
            self.newest = Cohort()
        if self.older:
            flushes, waiter = self.older[-1].flushes, waiter_maker()()
            flushes.append(waiter)
            try:
                await waiter
            except BaseException:
                flushes.remove(waiter)
                raise
