"""How many bytes of records are held, and which partitions may fetch more.

How this works. A record is held from the poll that brings it until everybody who reads it has
finished it. Each tenancy counts the bytes that it holds, and the budget all of them. A partition
may be polled as long as it holds less than what is free, and a poll takes half of that: so one
partition takes some half of the budget, two take a third each, and there is always something left
for a partition whose stream keeps up beside others that are slow. A partition that holds nothing
may always be polled. If nothing is free by then a poll takes one record, so a record that is
larger than the whole budget passes as well, and nothing waits for what another partition holds.

A partition that is refused is polled again once it holds half of what is free.

A poll takes no more than 4 MiB, since what it takes the client fetches anew: both are in memory.
"""

from collections.abc import Callable
from math import inf

from attrs import define, field

EXPECTED_SIZE = 1 << 20
"""The size in bytes that records are taken for before the first have come: Kafka's limit, since a
client may have fetched many large ones by then."""
POLL_BYTES = 4 << 20
"""The bytes that a poll is to take at most; so many records of 512 bytes are the most a poll takes
anyway."""


@define(eq=False)
class ByteBudget:
    """The bytes that all tenancies of one consumer hold, and how many they may hold."""

    limit: float = inf
    on_room: Callable[[], None] = lambda: None
    """Called when a partition that was refused may be polled."""
    held: int = field(default=0, init=False)
    refused: set["HeldBytes"] = field(factory=set["HeldBytes"], init=False)
    """The tenancies that the last look found to hold too much."""
    wakes_at: float = field(default=inf, init=False)
    """The number of free bytes at which one of them may be polled, whatever finishes."""
    _expected_size: int = field(default=EXPECTED_SIZE, init=False)

    @property
    def is_short(self) -> bool:
        """True if a partition may be refused, so that exact counts matter."""
        return self.held * 2 >= self.limit

    def expect(self, size: int) -> None:
        """Take the records to come for so large."""
        self._expected_size = max(1, size)

    def most_records(self, most: int) -> int:
        """Return how many records a poll may take, up to `most`, but one at least.

        How large they will be is not known, so they are taken for as large as the last ones.
        """
        fitting = min(POLL_BYTES, (self.limit - self.held) / 2) // self._expected_size
        return most if fitting >= most else max(1, int(fitting))

    def look_anew(self) -> None:
        """Forget who was refused, since every tenancy is asked again."""
        self.refused.clear()
        self.wakes_at = inf


@define(eq=False)
class HeldBytes:
    """The bytes that one tenancy holds."""

    budget: ByteBudget
    count: int = field(default=0, init=False)

    def add(self, size: int) -> None:
        """Count records that were fetched."""
        self.count += size
        self.budget.held += size

    def release(self, size: int) -> None:
        """Count records that have finished, or were withdrawn."""
        self.count -= size
        budget = self.budget
        budget.held -= size
        if budget.refused:
            free = budget.limit - budget.held
            may_grow = not self.count or self.count * 2 <= free
            if free >= budget.wakes_at or (may_grow and self in budget.refused):
                budget.look_anew()
                budget.on_room()

    def may_grow(self) -> bool:
        """Return whether more may be fetched; if not, `on_room` will be called when it may."""
        budget = self.budget
        if not self.count or self.count < budget.limit - budget.held:
            return True
        budget.refused.add(self)
        budget.wakes_at = min(budget.wakes_at, self.count * 2)
        return False
