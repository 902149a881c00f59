"""What is known of a partition that is being read, as a frozen value."""

import anyio
from attrs import frozen

from sdml_kafka.consuming.partitions import Intake, Partition


@frozen
class PartitionStatus:
    """A partition that is assigned.

    Offsets are those of the next record: `committed` 5 means that the records 0 to 4 are done.
    """

    position: int
    """The offset at which handing out goes on, past transaction markers."""
    committed: int | None
    """The offset that the group has committed, None before the first commit."""
    high_watermark: int | None
    """The offset at which the partition ends, None while it is not known. With the consumer's
    `isolation_level="read_committed"` it is the last stable offset: records behind the beginning
    of an open transaction cannot be read yet."""
    lag: int | None
    """The number of offsets between what has finished in order and `high_watermark`, 0 when all
    has finished; None while the end is not known. `lag_age_s` says how old it is."""
    in_flight: int
    """The number of records handed to the streams and not finished."""
    frontier_age_s: float
    """Seconds since the lowest unfinished record was handed out; 0 when all have finished."""
    held: str | None
    """Why the partition cannot be read on, None if it can. Records that do not decode hold it."""
    parsing: int = 0
    """The number of records that an async parser works on, or that wait for it next in line."""
    bytes_in_flight: int = 0
    """The bytes of its records, as they came, that were fetched and have not finished."""
    lag_age_s: float | None = None
    """Seconds since a broker named the end that `lag` counts to; None while `lag` is. It stays
    below a second while the partition is fetched, and below some ten while it is not since it is
    full or held, as the broker is asked then. It grows while no broker answers."""
    paused: bool = False
    """Whether the program has paused the partition."""


def partition_status(intake: Intake, partition: Partition) -> PartitionStatus:
    """Return the status of one partition."""
    tenancy = partition.tenancy
    end = age_s = None
    if (known := intake.health.ends.get(partition.key)) is not None:
        end = max(known.offset, tenancy.position())  # what the broker said last may be old
        age_s = known.age_s + anyio.current_time() - intake.health_noted_at
    since = tenancy.frontier_since()
    return PartitionStatus(
        position=tenancy.position(),
        committed=tenancy.committed,
        high_watermark=end,
        lag=None if end is None else max(0, end - tenancy.frontier()),
        in_flight=tenancy.in_flight,
        frontier_age_s=0.0 if since is None else anyio.current_time() - since,
        held=intake.health.held.get(partition.key),
        parsing=partition.parsing,
        bytes_in_flight=tenancy.held.count,
        lag_age_s=age_s,
        paused=partition.key in intake.paused,
    )
