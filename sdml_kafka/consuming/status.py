"""What is known of a partition that is being read, as a frozen value."""

import anyio
from attrs import frozen

from sdml_kafka.consuming.partitions import Intake, Partition


@frozen
class PartitionStatus:
    """Offsets are those of the next record: `committed` 5 means that 0 to 4 are done."""

    position: int
    """The next record to hand out."""
    committed: int | None
    """What the group has committed; None: nothing yet."""
    high_watermark: int | None
    """The end of the partition; None until the first fetch answered."""
    lag: int | None
    """Records between what has finished in order and the end."""
    in_flight: int
    """Records handed to the streams and not finished."""
    frontier_age_s: float
    """How long the lowest unfinished record has been out; 0 when all have finished."""
    held: str | None
    """Why it cannot be read on, when it holds records that do not decode."""


def partition_status(intake: Intake, partition: Partition) -> PartitionStatus:
    tenancy = partition.tenancy
    end = intake.health.high_watermarks.get(partition.key)
    if end is not None:
        end = max(end, tenancy.position())  # what the broker last said may be behind
    since = tenancy.frontier_since()
    return PartitionStatus(
        position=tenancy.position(),
        committed=tenancy.committed,
        high_watermark=end,
        lag=None if end is None else max(0, end - tenancy.frontier()),
        in_flight=tenancy.in_flight,
        frontier_age_s=0.0 if since is None else anyio.current_time() - since,
        held=intake.health.held.get(partition.key),
    )
