"""Find the partition whose records do not decode, so that it holds up itself alone. Pure.

aiokafka's exception does not name the partition, keeps coming, and starves the others. So the
partitions are polled one by one. A partition that raises is read record by record up to the batch
that does not decode, and held there.
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence

from sdml_kafka.transport.interfaces.records import TopicPartition

MAX_REASON_CHARS = 300


class BadBatches:
    """Decides what to poll: `narrow` before each poll, then `delivered` or `raised`."""

    def __init__(self) -> None:
        self._suspects: deque[TopicPartition] = deque()
        self._one_by_one: set[TopicPartition] = set()
        """Suspects that have raised, and are read record by record."""
        self._held: dict[TopicPartition, str] = {}
        self._asked: TopicPartition | None = None

    @property
    def is_active(self) -> bool:
        """True if partitions are being polled one by one, or some not at all."""
        return bool(self._suspects or self._held)

    def held(self) -> Mapping[TopicPartition, str]:
        """Return the partitions that do not decode, with the reason."""
        return dict(self._held)

    def narrow(
        self, ready: Collection[TopicPartition], max_records: int
    ) -> tuple[Sequence[TopicPartition], int]:
        """Return the partitions to poll now, and how many records of each at most."""
        ready = [partition for partition in ready if partition not in self._held]
        self._asked = None
        for _ in range(len(self._suspects)):
            if self._suspects[0] in ready:
                self._asked = self._suspects[0]
                return [self._asked], 1 if self._asked in self._one_by_one else max_records
            self._suspects.rotate(-1)
        return ready, max_records

    def delivered(self, records: Mapping[TopicPartition, object]) -> None:
        """Note that the last poll did not raise."""
        asked, self._asked = self._asked, None
        if asked is None or (asked in self._one_by_one and records):
            return  # all were asked; or good records before the broken one: go on
        self._suspects.popleft()
        self._one_by_one.discard(asked)

    def raised(self, error: BaseException, assigned: Collection[TopicPartition]) -> None:
        """Note that the last poll raised. All partitions were set back since."""
        asked, self._asked = self._asked, None
        if asked is None:
            self._suspects = deque(p for p in assigned if p not in self._held)
        elif asked not in self._one_by_one:
            self._one_by_one.add(asked)
        else:
            self._held[asked] = f"{type(error).__name__}: {error}"[:MAX_REASON_CHARS]
            self._suspects.remove(asked)
            self._one_by_one.discard(asked)
