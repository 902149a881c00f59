"""A processor's status as a frozen value."""

from collections.abc import Sequence

from attrs import frozen

from sdml_kafka.listener.processing.forwards import Held


@frozen
class ProcessorStatus:
    """A processor at one moment: what it is doing."""

    running: int
    """The number of handlers that run."""
    queued: int
    """The number of records that wait for a handler, those of the streams' queue not counted."""
    keys: int
    """The number of lanes (keys, or partitions) of which a record is in hand."""
    oldest_s: float | None
    """Seconds that the handler that began first has run, None if none runs."""
    handler_p50_s: float | None
    """The median time that the last handlers took, in seconds; None before the first has ended."""
    handler_p99_s: float | None
    """The time that 99 of 100 of the last handlers took at most, in seconds."""
    finished: int
    """The number of records that ended well."""
    retries: int
    """The number of attempts that followed a failed one."""
    failures: int
    """The number of records that failed for good."""
    dead_letters: int
    """The number of dead letters that the broker has acknowledged."""
    held: Sequence[Held]
    """The records that cannot finish, since something cannot be written; see `Held`."""
    transactions: int = 0
    """The number of transactions that were committed, with `exactly_once`."""
    aborted: int = 0
    """The number of transactions that were aborted, whose records were handled again."""


def percentile(times: Sequence[float], part: float) -> float | None:
    """Return the time that this part of the times is not longer than, None without times."""
    ordered = sorted(times)  # a copy, since other threads may ask
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
