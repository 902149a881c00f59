"""Hold the records of the open transaction, and those that wait for the next one. Pure.

How this works. Records whose handler has ended enter the open transaction with their messages, in
the order of the ends. The first one begins it, and says when it is due. While it is committed what
ends waits for the next one. A record that sends nothing while nothing is open finishes at once: no
record before it can be handled again.

Handlers are faster than commits. So a transaction takes no more than so many records and bytes,
what waits for the next one no more than that again, and nothing begins while there is no room.

A record that others read as well (a stream, a processor of another type) may enter only once these
have finished it, since a commit could not say otherwise that it has finished. Until then its lane
stays busy. Two processors with transactions would wait for each other, so that is an error.

The time is passed in, and whatever follows is done in the functions that the constructor gets.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from math import inf

from attrs import define, field

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.listener.processing.forwards import Forward
from sdml_kafka.listener.processing.job import Job
from sdml_kafka.listener.processing.policies import Transaction
from sdml_kafka.transport.interfaces.producer import Message

MOST_BYTES = 16 << 20
"""The bytes of messages after which a transaction is committed; so many may wait for the next."""
MESSAGE_BYTES = 100
"""The bytes that a message is taken for beside its key, value and headers."""
LOOK_S = 0.05
"""Seconds between two looks at records that others read as well."""


@define(eq=False)
class Ended:
    """Records whose handler has ended, all of one tenancy, with what is sent for them."""

    jobs: Sequence[Job]
    messages: Sequence[Message]
    on_committed: Callable[[], None]
    """Called when a transaction with them was committed, or if none is needed."""
    forward: Forward | None = None
    """Sends the record on, if that is a dead letter."""
    size: int = field(init=False)
    """The number of bytes that the messages take, about."""

    def __attrs_post_init__(self) -> None:
        self.size = sum(map(_size_of, self.messages))

    @property
    def is_settled(self) -> bool:
        """True if the records were given back meanwhile, which happens to all of them."""
        return self.jobs[0].is_settled

    def is_shared(self) -> bool:
        """Return whether others have yet to finish one of the records."""
        return any(chunk.left[index] > 1 for chunk, index in self.places())

    def places(self) -> list[tuple[Chunk[Tenancy], int]]:
        """Return the chunk of each record, and its place there."""
        return [job.place for job in self.jobs]


def _size_of(message: Message) -> int:
    _, value, key, headers, *_ = message
    size = MESSAGE_BYTES
    try:
        size += len(value or b"") + len(key or b"")
        return size + sum(len(name) + len(content or b"") for name, content in headers)
    except (TypeError, ValueError):  # it will be refused
        return size


class SharedRecords:
    """The records that processors with transactions wait for others to finish."""

    def __init__(self) -> None:
        """Begin without records."""
        self._waiting: Counter[tuple[Chunk[Tenancy], int]] = Counter()

    def add(self, ended: Ended) -> None:
        """Note that a processor waits.

        Raises:
            ConfigurationError: All who have yet to finish a record wait for each other.
        """
        self._waiting.update(ended.places())
        if any(self._waiting[chunk, index] >= chunk.left[index] for chunk, index in ended.places()):
            raise ConfigurationError(
                f"Two processors with exactly_once handle the same record of "
                f"{ended.jobs[0].tenancy.topic!r}, which can be in one transaction only: handle it "
                "in one of them, or have a parser return SKIP"
            )

    def remove(self, ended: Ended) -> None:
        """Note that a processor does not wait any more."""
        self._waiting.subtract(ended.places())
        self._waiting = +self._waiting


class Stage:
    """The records of the open transaction, and those that wait for the next one."""

    def __init__(
        self,
        policy: Transaction,
        shared: SharedRecords,
        send: Callable[[Ended], None],
        free_lanes: Callable[[Ended], None],
    ) -> None:
        """Begin with nothing open.

        Args:
            policy: When a transaction is due.
            shared: The records that all processors of the listener wait for others to finish.
            send: Sends the messages of records that have entered.
            free_lanes: Lets the next records of the lanes of these begin.
        """
        self._policy = policy
        self._all_shared = shared
        self._send = send
        self._free_lanes = free_lanes
        self.members: list[Ended] = []
        """The records of the open transaction."""
        self.due_at: float = inf
        """The time at which the open transaction is to be committed."""
        self.is_ending: bool = False
        """True if each transaction is due at once, since the processor ends."""
        self._count = self._bytes = 0
        """The size of the open transaction, or of what waits for the next one once it is closed."""
        self._shared_bytes = 0
        self._waiting: deque[Ended] = deque()
        self._shared: deque[Ended] = deque()
        self._is_closed = False

    @property
    def has_room(self) -> bool:
        """True if more records may begin."""
        return self._count < self._policy.every and self._bytes + self._shared_bytes < MOST_BYTES

    def add(self, ended: Ended, now: float) -> None:
        """Take records whose handler has ended.

        Raises:
            ConfigurationError: They can never enter.
        """
        if ended.is_shared():
            self._shared.append(ended)
            self._shared_bytes += ended.size
            self._all_shared.add(ended)
        else:
            self._take(ended, now)

    def _take(self, ended: Ended, now: float) -> None:
        if self._is_closed:
            self._count_in(ended)
            self._free_lanes(ended)
            self._waiting.append(ended)
        elif self.members or ended.messages:
            self._free_lanes(ended)
            self._enter(ended, now)
        else:
            ended.on_committed()

    def _enter(self, ended: Ended, now: float) -> None:
        if not self.members:
            self.due_at = now + self._policy.interval_s
        self.members.append(ended)
        self._count_in(ended)
        is_full = self._count >= self._policy.every or self._bytes >= MOST_BYTES
        if is_full or self.is_ending or ended.jobs[0].is_gone:
            self.due_at = now
        self._send(ended)

    def _count_in(self, ended: Ended) -> None:
        self._count += len(ended.jobs)
        self._bytes += ended.size

    def hurry(self, now: float) -> None:
        """Have the open transaction committed now if one of its partitions is being revoked."""
        if self.is_ending or any(ended.jobs[0].is_gone for ended in self.members):
            self.due_at = min(self.due_at, now)

    def look_at(self, now: float) -> float:
        """Let records enter that others have finished; return when to look again."""
        for _ in range(len(self._shared)):
            ended = self._shared.popleft()
            if ended.is_settled or not ended.is_shared():
                self._all_shared.remove(ended)
                self._shared_bytes -= ended.size
                if not ended.is_settled:
                    self._take(ended, now)
            else:
                self._shared.append(ended)
        due_at = self.due_at if self.members else inf
        return min(due_at, now + LOOK_S) if self._shared else due_at

    def close(self) -> Sequence[Ended]:
        """Let nothing more enter, and return what the transaction holds."""
        self._is_closed = True
        self._count = self._bytes = 0
        return self.members

    def open_next(self, now: float) -> None:
        """Let what waits enter the next transaction, since the one before was committed."""
        self.members, self.due_at = [], inf
        self._count = self._bytes = 0
        self._is_closed = False
        waiting, self._waiting = self._waiting, deque()
        for ended in waiting:
            if ended.is_settled:
                continue
            if self.members or ended.messages:
                self._enter(ended, now)
            else:
                ended.on_committed()

    def forget(self) -> None:
        """Forget the records that others have yet to finish, since the processor ends."""
        while self._shared:
            self._all_shared.remove(self._shared.popleft())

    def holds(self, tenancies: Collection[Tenancy] | None) -> bool:
        """Return whether the open transaction has records of these tenancies, or any at all."""
        if tenancies is None:
            return bool(self.members)
        return any(ended.jobs[0].tenancy in tenancies for ended in self.members)
