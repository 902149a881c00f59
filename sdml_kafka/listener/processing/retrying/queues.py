"""The queues that a processor with retry topics takes its records from."""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.listener.typed_queue import TURN, Parcel, TypedQueue


class RetryQueues:
    """The queue of a type beside those of its retry topics, taken from in turn."""

    def __init__(self, main: TypedQueue, retried: Mapping[str, TypedQueue]) -> None:
        """Join the queues; `retried` has the one of each retry topic."""
        self._main = main
        self._retried = retried
        self._turns = deque(dict.fromkeys((main, *retried.values())))
        self._taken_in_turn: int = 0
        """The number of records that were taken of the queue whose turn it is."""

    @property
    def closed(self) -> bool:
        """True if nothing is handed out any more, since the listener is left."""
        return self._main.closed

    def __len__(self) -> int:
        return sum(map(len, self._turns))

    def take_parcel(self, turn: int = TURN) -> Parcel | None:
        """Remove and return a parcel of the queue whose turn it is; None if none wait.

        Records of retry topics come a few at a time, so a turn is counted in records.
        """
        for _ in range(len(self._turns)):
            parcel = self._turns[0].take_parcel(turn)
            if parcel is not None:
                self._taken_in_turn += parcel.end - parcel.next
            if parcel is None or self._taken_in_turn >= turn:
                self._turns.rotate(-1)
                self._taken_in_turn = 0
            if parcel is not None:
                return parcel
        return None

    def put_back(self, parcel: Parcel) -> None:
        """Put records in front of those that wait in their queue."""
        self._retried.get(parcel.chunk.tenancy.topic, self._main).put_back(parcel)

    def taken_from(
        self, on_withdrawn: Callable[[Collection[Tenancy]], None]
    ) -> AbstractContextManager[None]:
        """Let somebody take parcels as a whole, who withdraws from these in `on_withdrawn`."""
        return self._main.taken_from(on_withdrawn)  # every queue is asked for all tenancies

    @property
    def each(self) -> Collection[TypedQueue]:
        """The queues."""
        return list(self._turns)
