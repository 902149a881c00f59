"""Frames: the demo at one moment, as frozen values."""

from attrs import frozen

from sdml_kafka import PartitionStatus
from sdml_kafka.cli.demo.event_log import LogLine
from sdml_kafka.cli.progress import lag_text
from sdml_kafka.runtime import ActorSnapshot


@frozen
class ParticipantView:
    name: str
    state: str
    tree: ActorSnapshot | None
    """The supervision tree; None while the participant is away."""
    partition_count: int


@frozen
class PartitionView:
    number: int
    owner: str | None
    """The member that reads the partition; None during a rebalance."""
    status: PartitionStatus
    """The partition's last known status."""


@frozen
class CallsView:
    made: int
    rate: float
    """The number of calls that settle per second."""
    in_flight: int
    p50_ms: float | None
    """The median latency of the last few seconds; None when nothing was answered."""
    p99_ms: float | None

    def latencies(self) -> str:
        """Return the latencies as text."""
        return f"p50 {_milliseconds(self.p50_ms)}  p99 {_milliseconds(self.p99_ms)} ms"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


@frozen
class Frame:
    title: str
    elapsed_s: float
    seconds: float
    """The seconds for which records are sent."""
    announcement: str
    """The next event, and when it comes."""
    broker_is_up: bool
    listeners: tuple[ParticipantView, ...]
    callers: tuple[ParticipantView, ...]
    """The client, then the servers."""
    partitions: tuple[PartitionView, ...]
    sent: int
    finished: int
    sent_rate: float
    finished_rate: float
    history: tuple[float, ...]
    """The number of records finished per second, for each half second."""
    calls: CallsView
    lines: tuple[LogLine, ...]
    page: str | None = None
    """The address of the live page and its token; None if none is served."""

    @property
    def lag(self) -> str:
        return lag_text([each.status for each in self.partitions if each.owner])

    @property
    def in_flight(self) -> int:
        return sum(each.status.in_flight for each in self.partitions if each.owner)
