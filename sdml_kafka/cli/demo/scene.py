"""What the demo shows at one moment, as frozen values, and rates. Pure."""

from collections import deque

from attrs import define, field, frozen

from sdml_kafka import PartitionStatus
from sdml_kafka.runtime import ActorSnapshot


@frozen
class MemberView:
    name: str
    state: str
    tree: ActorSnapshot | None
    """None while it is away."""
    partition_count: int


@frozen
class PartitionView:
    number: int
    owner: str | None
    """None while it is handed over; the numbers are the last known ones then."""
    status: PartitionStatus


@frozen
class CallsView:
    made: int
    rate: float
    """Settled a second."""
    in_flight: int
    p50_ms: float | None
    """Of the last few seconds; None: nothing was answered."""
    p99_ms: float | None

    def latencies(self) -> str:
        return f"p50 {_milliseconds(self.p50_ms)}  p99 {_milliseconds(self.p99_ms)} ms"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


@frozen
class Line:
    """Something that happened."""

    at_s: float
    text: str
    tone: str
    """"good", "bad" or "plain"."""


@frozen
class Scene:
    title: str
    elapsed_s: float
    seconds: float
    coming: str
    broker_is_up: bool
    members: tuple[MemberView, ...]
    callers: tuple[MemberView, ...]
    """The client, then the servers."""
    partitions: tuple[PartitionView, ...]
    sent: int
    finished: int
    sent_rate: float
    finished_rate: float
    history: tuple[float, ...]
    """Finished a second, one number for each half second."""
    calls: CallsView
    lines: tuple[Line, ...]

    @property
    def lag(self) -> int:
        return sum(each.status.lag or 0 for each in self.partitions if each.owner)

    @property
    def in_flight(self) -> int:
        return sum(each.status.in_flight for each in self.partitions if each.owner)


@define
class Meter:
    """The rate of a count over the last second or so, and its history."""

    _window_s: float = 1.0
    _step_s: float = 0.5
    _samples: deque[tuple[float, int]] = field(factory=deque[tuple[float, int]], init=False)
    _history: deque[float] = field(factory=lambda: deque[float](maxlen=120), init=False)
    _step_at: float = field(default=0.0, init=False)
    _step_count: int = field(default=0, init=False)

    def note(self, now_s: float, count: int) -> None:
        self._samples.append((now_s, count))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= self._window_s:
            self._samples.popleft()
        if now_s - self._step_at >= self._step_s:
            self._history.append((count - self._step_count) / (now_s - self._step_at))
            self._step_at, self._step_count = now_s, count

    def rate(self) -> float:
        if len(self._samples) < 2:
            return 0.0
        (since, before), (now, count) = self._samples[0], self._samples[-1]
        return (count - before) / (now - since) if now > since else 0.0

    def history(self) -> tuple[float, ...]:
        return tuple(self._history)
