"""The answer of `health()`: whether an object does its work, and if not, why and since when."""

from typing import Literal, get_args

from attrs import frozen

State = Literal[
    "idle",
    "moving",
    "waiting",
    "paused",
    "draining",
    "no partitions",
    "new",
    "starting",
    "unread",
    "stuck",
    "held",
    "dead letter not taken",
    "topic missing",
    "rejoining",
    "restarting",
    "broker away",
    "ended",
    "failed",
]
"""The states of objects and of their parts. Those up to "no partitions" are no trouble; of several
the later one counts more."""

_STATES: tuple[State, ...] = get_args(State)
_GOOD = _STATES[: _STATES.index("no partitions") + 1]

PartKind = Literal["broker", "group", "actor", "topic", "partition", "processor", "calls", "sends"]


def rank(state: State) -> int:
    """Return how much a state counts beside others."""
    return _STATES.index(state)


@frozen
class PartHealth:
    """The state of one part of an object: a partition, a processor, its group, its brokers."""

    kind: PartKind
    """The kind of the part."""
    name: str
    """The part's own name, such as "orders 3" for a partition."""
    state: State
    """The state of the part."""
    reason: str
    """The explanation for a person: which record, why, and what to do."""
    since_s: float | None = None
    """Seconds that it has been so, None if that is not known."""

    @property
    def ok(self) -> bool:
        """True if the part does its work, or has none to do."""
        return self.state in _GOOD


@frozen
class Health:
    """The health of an object at this moment: whether it does its work, and why not."""

    live: bool
    """True while the object may do its work. False once it has failed itself: then only a new
    object or a new process helps."""
    ready: bool
    """True if the object does its work now: it runs, and none of its parts is in trouble, but for
    topics that do not exist beside others that do."""
    state: State
    """The state of the object: that of its worst part, if it runs."""
    reason: str
    """The reason for that state."""
    since_s: float | None = None
    """Seconds that it has been so, None if that is not known."""
    parts: tuple[PartHealth, ...] = ()
    """The object's partitions and processors, and whatever else is in trouble."""
