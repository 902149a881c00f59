"""The offset ledger: what was delivered, what has finished, and so what may be committed. Pure.

How this works. A *tenancy* (`tenancy.py`) is one stay of a partition with this consumer. The ledger
has the one that is open of each partition, and counts over all that have been.

Rules for whoever edits this folder:

- It is pure and has one owner: plain synchronous calls, no await, no clock, no client.
- Nothing of a past tenancy moves a present one. A partition that is assigned again is a new
  tenancy with a new epoch; a record of the past one that finishes is counted as late. A partition
  that is moved while it is assigned, as by a seek, is a new tenancy as well, and nothing is late:
  nobody else has got the record.
"""

from collections.abc import Mapping, Sequence

from attrs import define, field

from sdml_kafka.consuming.byte_budget import ByteBudget, HeldBytes
from sdml_kafka.consuming.offsets.finishes import Finishes
from sdml_kafka.consuming.offsets.offset_map import Interval
from sdml_kafka.consuming.offsets.tenancy import Progress, Tenancy


@define(eq=False)
class Ledger:
    """The open tenancies of one consumer, and the counts over all of them."""

    budget: ByteBudget = field(factory=ByteBudget)
    tenancies: dict[tuple[str, int], Tenancy] = field(
        factory=dict[tuple[str, int], Tenancy], init=False
    )
    finishes: Finishes = field(factory=Finishes)
    _taken_before: int = field(default=0, init=False)

    def open(
        self,
        topic: str,
        partition: int,
        epoch: int,
        start: int,
        committed: int | None,
        known: Sequence[Interval] = (),
        *,
        keeps_map: bool = False,
    ) -> Tenancy:
        """Begin a tenancy; a tenancy of the same partition that is still open is moved, and ends.

        What the group has committed beyond `start` counts as nothing: that log is gone.

        Args:
            topic: The topic.
            partition: The number of its partition.
            epoch: The number of the assignment.
            start: The offset that is read first.
            committed: What the group has committed, None if it has not.
            known: What has finished beyond that, in order and apart from each other.
            keeps_map: Whether what finishes beyond the frontier is to be committed as well.
        """
        self._end(topic, partition, is_moved=True)
        if committed is not None and committed > start:
            committed, known = None, ()
        held = HeldBytes(self.budget)
        place = topic, partition, epoch, start
        tenancy = Tenancy(self.finishes, *place, committed, held, known, keeps_map=keeps_map)
        self.tenancies[topic, partition] = tenancy
        return tenancy

    def reopen(self, former: Tenancy) -> Tenancy:
        """Go on at the frontier of a tenancy, which ends, without what has finished beyond it."""
        anew = self.open(
            former.topic,
            former.partition,
            former.epoch,
            former.frontier(),
            former.committed,
            former.finished_ahead(),
            keeps_map=former.keeps_map,
        )
        anew.take_over_commit(former)
        return anew

    def close(self, topic: str, partition: int) -> None:
        """End a partition's tenancy, if it has one, since the partition is taken away."""
        self._end(topic, partition, is_moved=False)

    def _end(self, topic: str, partition: int, *, is_moved: bool) -> None:
        tenancy = self.tenancies.pop((topic, partition), None)
        if tenancy is not None:
            self._taken_before += tenancy.taken
            tenancy.end(is_moved=is_moved)

    def delivered(self) -> int:
        """Return how often a record was put into a user's hands, over all tenancies."""
        return self._taken_before + sum(t.taken for t in self.tenancies.values())

    def behind(self) -> int:
        """Return how many records wait for earlier ones of their keys, over all tenancies."""
        return sum(tenancy.behind for tenancy in self.tenancies.values())

    def committable(self) -> dict[tuple[str, int], Progress]:
        """Return what a commit would change, by topic and partition."""
        return {
            key: progress
            for key, tenancy in self.tenancies.items()
            if (progress := tenancy.progress()) is not None
        }

    def still_open(
        self, moves: Mapping[tuple[str, int], Progress]
    ) -> dict[tuple[str, int], Progress]:
        """Return what belongs to tenancies that have not ended."""
        return {
            key: progress
            for key, progress in moves.items()
            if key in self.tenancies and self.tenancies[key].epoch == progress.epoch
        }

    def committed(self, topic: str, partition: int, progress: Progress) -> None:
        """Note that a commit went through."""
        tenancy = self.tenancies.get((topic, partition))
        if tenancy is not None and tenancy.epoch == progress.epoch:
            tenancy.note_committed(progress)
