"""The records of one type on their way to the loops that share them."""

from collections import deque
from collections.abc import Callable, Collection, Iterable

import anyio

from sdml_kafka.core.ledger import Chunk, Tenancy

Item = tuple[Chunk, int, object, object]
"""(chunk, index in it, parsed value, record): a plain tuple, since there is one for each record."""


class TypedQueue:
    """Bounded by who fills it: the dispatcher asks for `room` first. Shared by its readers."""

    def __init__(self, type_: object, on_room: Callable[[], None], *, fresh: bool) -> None:
        self.type = type_
        self.fresh = fresh
        self.items: deque[Item] = deque()
        self.maxsizes: list[int] = []
        """One for each open stream; 0 is without a bound of its own."""
        self.closed: bool = False
        self.error: Exception | None = None
        self._on_room = on_room
        self._blocked = False
        self._waiters: deque[anyio.Event] = deque()

    def room(self) -> int | None:
        """How many more fit; None: no bound. At 0 the dispatcher is called when it is empty."""
        if not self.maxsizes or 0 in self.maxsizes:
            return None
        room = max(self.maxsizes) - len(self.items)
        self._blocked = room <= 0
        return max(0, room)

    def put(self, items: Iterable[Item]) -> None:
        self.items.extend(items)
        self._wake(len(self.items))

    def give_back(self, item: Item) -> None:
        """An item that was taken and not finished: it is the next one to be handed out."""
        chunk = item[0]
        chunk.give_back()
        if chunk.tenancy.open and not chunk.tenancy.withdrawn and not self.closed:
            self.items.appendleft(item)
            self._wake(1)

    def withdraw(self, tenancies: Collection[Tenancy]) -> None:
        """Take back what waits of these tenancies."""
        kept = [item for item in self.items if item[0].tenancy not in tenancies]
        self.items.clear()
        self.items.extend(kept)

    def close(self, error: Exception | None = None) -> None:
        """Hand out nothing more: loops end quietly, or with `error`."""
        self.closed = True
        self.error = error
        self.items.clear()
        self.wake_all()

    async def wait(self, is_over: Callable[[], bool]) -> bool:
        """Until there is an item (True), or the queue or the caller's stream is closed (False)."""
        while not self.items:
            if self.closed or is_over():
                return False
            if self._blocked:
                self._blocked = False
                self._on_room()
            event = anyio.Event()
            self._waiters.append(event)
            try:
                await event.wait()
            except BaseException:
                if event.is_set():  # it was our turn: let somebody else have it
                    self._wake(1)
                else:
                    self._waiters.remove(event)
                raise
        return not (self.closed or is_over())

    def wake_all(self) -> None:
        self._wake(len(self._waiters))

    def _wake(self, count: int) -> None:
        for _ in range(min(count, len(self._waiters))):
            self._waiters.popleft().set()
