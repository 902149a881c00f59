"""Count the records that have finished, over all partitions of one consumer. Pure."""

from collections.abc import Callable
from typing import Any

from attrs import define, field

NEVER = 1 << 62
"""A number of finished records that is never reached."""


@define(eq=False)
class Finishes:
    """The number of finished records, which somebody may wait for."""

    on_finished: Callable[[Any], None] | None = None
    """Called with each chunk that has finished, and with what has of others as a tenancy ends."""
    count: int = 0
    """The number of records finished since the beginning, over all tenancies."""
    late: int = 0
    """The number of records finished after their tenancy had ended."""
    notify_at: int = field(default=NEVER, init=False)
    _notify: Callable[[], None] = field(default=lambda: None, init=False)

    def notify_when(self, count: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, when so many records have finished. For the commit scheduler."""
        self.notify_at, self._notify = count, callback

    def add(self, count: int) -> None:
        """Add to the number of finished records."""
        self.count += count
        if self.count >= self.notify_at:
            self.notify_at = NEVER
            self._notify()
