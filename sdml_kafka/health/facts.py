"""The facts about one object at one moment, as plain values, which the rules judge by."""

from collections.abc import Hashable, Mapping, Sequence
from math import inf
from typing import Literal, Protocol

from attrs import frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.runtime.snapshot import ActorSnapshot
from sdml_kafka.transport.interfaces.records import TopicPartition


@frozen
class Limits:
    """The times that something may last before it is trouble."""

    stuck_after_s: float = 60.0
    """Seconds that the lowest unfinished record of a partition, or a handler, may take."""
    away_after_s: float = 1.0
    """Seconds that there may be no connection to any broker."""

    def __attrs_post_init__(self) -> None:
        for name in ("stuck_after_s", "away_after_s"):
            seconds: object = getattr(self, name)
            if not isinstance(seconds, int | float) or not 0 <= seconds <= inf:
                raise ConfigurationError(f"{name} is in seconds, 0 or more, not {seconds!r:.300}")


class PartitionValues(Protocol):
    """The fields of a `PartitionStatus` that the rules read."""

    @property
    def frontier(self) -> int: ...
    @property
    def frontier_age_s(self) -> float: ...
    @property
    def position(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def in_hand(self) -> int: ...
    @property
    def lag(self) -> int | None: ...
    @property
    def lag_age_s(self) -> float | None: ...
    @property
    def held(self) -> str | None: ...
    @property
    def parsing(self) -> int: ...
    @property
    def paused(self) -> bool: ...
    @property
    def waits_for(self) -> str | None: ...
    @property
    def waits_for_s(self) -> float: ...


@frozen
class PartitionFacts:
    """A partition that is assigned."""

    key: TopicPartition
    status: PartitionValues
    unmoved_s: float = 0.0
    """Seconds since somebody first looked and the position and the frontier were the present ones.
    """
    untaken_s: float = inf
    """Seconds since a record of the topic was taken last, `inf` if none ever was."""
    taker: Literal["loop", "handler"] = "loop"
    """The word for what takes the topic's records."""
    is_handled: bool = True
    """False if only an acknowledgement of what was sent for the lowest unfinished record is waited
    for: its handler has ended, or it did not parse."""
    is_read: bool = True
    """True if a stream, a processor or a server reads the partition."""
    may_wait: bool = False
    """True if the records wait on purpose, as those of a retry topic do."""
    is_draining: bool = False
    """True while the partition is being taken away, and what is in hand finishes."""


class NotTaken(Protocol):
    """A message that cannot be written, for which its record is held; see `Held`."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def to(self) -> str: ...
    @property
    def purpose(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def for_s(self) -> float: ...


class ProcessorValues(Protocol):
    """The fields of a `ProcessorStatus` that the rules read."""

    @property
    def running(self) -> int: ...
    @property
    def queued(self) -> int: ...
    @property
    def oldest_s(self) -> float | None: ...


@frozen
class GroupFacts:
    """The place of a consumer in its group."""

    group_id: str
    is_member: bool
    """True if the consumer has an assignment, an empty one included."""
    since_s: float | None
    """Seconds that the consumer has been a member, or has not."""
    partitions: int
    """The number of partitions that the consumer has."""
    was_member: bool = False
    """True if the consumer has had an assignment before."""
    obstacle: str = ""
    """The reason for which the consumer gets no assignment, empty if none is known."""


@frozen
class Facts:
    """Everything that is known of an object."""

    what: str
    """The word for the object: "listener", "client", "server", "producer"."""
    state: Literal["new", "starting", "running", "closed", "forked"]
    tree: ActorSnapshot
    failure: str | None = None
    """The error that the object itself has failed with, None if there was none."""
    away_s: float | None = None
    """Seconds since no broker can be reached, None while one can."""
    away_why: str = ""
    """The reason for which no broker can be reached, empty if that is not known."""
    group: GroupFacts | None = None
    """The place of the object's consumer in its group, None if there is no consumer."""
    missing_topics: Mapping[str, str] = {}
    """The topics that do not exist, with what may help."""
    has_topic: bool = False
    """True if another topic that the program names exists, as far as is known."""
    missing_s: Mapping[str, float] = {}
    """Seconds since somebody first saw that they do not exist."""
    partitions: Sequence[PartitionFacts] = ()
    not_taken: Sequence[NotTaken] = ()
    processors: Mapping[str, ProcessorValues] = {}
    under_way: Mapping[Literal["calls", "sends"], int] = {}
    """The number of calls or records that wait for an answer."""
    waits_for: str | None = None
    """The reason for which a reply that has come cannot be parsed yet, None if none is held."""
    waits_for_s: float = 0.0
    """Seconds that this reply has been held."""
    silent_s: float | None = None
    """Seconds since a record was sent after which none was acknowledged, None if there is none."""


class Sightings[K: Hashable, V]:
    """The times at which things were first seen to be as they are now."""

    def __init__(self) -> None:
        self._first: dict[K, tuple[V, float]] = {}

    def look(self, now: float, values: Mapping[K, V]) -> Mapping[K, float]:
        """Return for how many seconds each value has been the same, and forget all other keys."""
        before, first = self._first, dict[K, tuple[V, float]]()
        for key, value in values.items():
            known = before.get(key)
            first[key] = known if known and known[0] == value else (value, now)
        self._first = first
        return {key: now - since for key, (_, since) in first.items()}
