"""The shape of /status.json: what the page, `sdml-kafka top` and a program's own tools read.

```json
{"version": 1, "at": 1764444444.1, "pid": 4711, "live": true, "ready": false,
 "objects": [{
   "name": "listener", "kind": "listener", "client": "aiokafka",
   "group_id": "billing", "group_protocol": "classic", "connected": true,
   "health": {"live": true, "ready": false, "state": "stuck", "reason": "orders 3: ...",
              "since_s": 75.2, "parts": [
                {"kind": "partition", "name": "orders 3", "state": "stuck", "ok": false,
                 "reason": "record 17 ...", "since_s": 75.2}]},
   "tree": {"name": "listener", "state": "running", "restarts": 0, "last_error": null,
            "inbox_depth": 0, "inbox_capacity": 0, "age_s": 90.5, "children": []},
   "partitions": [{"topic": "orders", "partition": 3, "state": "stuck", "reason": "record 17 ...",
                   "position": 20, "frontier": 17, "committed": 17, "end": 20, "lag": 3,
                   "lag_age_s": 0.2, "in_flight": 3, "in_hand": 1, "oldest_s": 75.2,
                   "bytes_in_flight": 312, "parsing": 0, "paused": false, "held": null}],
   "missing_topics": [],
   "processors": [{"name": "charge", "running": 1, "queued": 2, "keys": 1, "oldest_s": 75.2,
                   "handler_p50_s": 0.01, "handler_p99_s": 0.2, "finished": 17, "retries": 0,
                   "failures": 0, "dead_letters": 0, "transactions": 0, "aborted": 0}],
   "not_taken": [{"topic": "orders", "partition": 2, "offset": 5, "to": "orders.DLT",
                  "purpose": "dead letter", "why": "TopicMissing: ...", "for_s": 12.5}],
   "calls": null, "sends": {"waiting": 1},
   "counters": {"delivered": 20, "finished": 17, "restarts": 0},
   "recent": [{"at": 1764444400.0, "what": "crashed", "actor": "listener/consumer-loop",
               "error": "ConsumerFailed: ...", "delay_s": null}],
   "left_out": {"parts": 0, "partitions": 0, "missing_topics": 0, "processors": 0,
                "not_taken": 0}}]}
```

Every key is always there. Seconds end in `_s` and are numbers or null; `at` is in seconds since the
epoch. Names and errors may come from elsewhere: they are data, and whoever shows them escapes them.
They have at most 500 characters, and lists are cut off at the lengths in `status_document.py`;
`left_out` says how many entries of which list are missing. Fields may be added, and none changes
its meaning without a new `version`.
"""

from typing import Literal, TypedDict


class PartDocument(TypedDict):
    """A part in an object's health; see `PartHealth`."""

    kind: str
    name: str
    state: str
    ok: bool
    reason: str
    since_s: float | None


class HealthDocument(TypedDict):
    """The health of an object; see `Health`. /live and /ready answer with these."""

    live: bool
    ready: bool
    state: str
    reason: str
    since_s: float | None
    parts: list[PartDocument]


class ActorDocument(TypedDict):
    """An actor, and those that it supervises; see `ActorSnapshot`."""

    name: str
    state: str
    restarts: int
    last_error: str | None
    inbox_depth: int
    inbox_capacity: int
    age_s: float
    children: "list[ActorDocument]"


class PartitionDocument(TypedDict):
    """A partition that is assigned; see `PartitionStatus`. State and reason are its health's."""

    topic: str
    partition: int
    state: str
    reason: str
    position: int
    frontier: int
    """The offset of the lowest unfinished record, or of the next one if all have finished."""
    committed: int | None
    end: int | None
    lag: int | None
    lag_age_s: float | None
    in_flight: int
    in_hand: int
    oldest_s: float | None
    """Seconds that the record at `frontier` has stood there: `frontier_age_s` of the status, null
    if none is in flight."""
    bytes_in_flight: int
    parsing: int
    paused: bool
    held: str | None
    """The reason for which a batch that does not decode, or a schema, holds the partition."""


class ProcessorDocument(TypedDict):
    """A processor; see `ProcessorStatus`."""

    name: str
    running: int
    queued: int
    keys: int
    oldest_s: float | None
    handler_p50_s: float | None
    handler_p99_s: float | None
    finished: int
    retries: int
    failures: int
    dead_letters: int
    transactions: int
    aborted: int


class NotTakenDocument(TypedDict):
    """A record that is held, since its dead letter or the like is not taken; see `Held`."""

    topic: str
    partition: int
    offset: int
    to: str
    purpose: str
    why: str
    for_s: float


class CallDocument(TypedDict):
    """A call that waits for its reply, or a request in a handler; see `CallInFlight`."""

    topic: str
    id: str
    age_s: float | None
    left_s: float | None


class CallsDocument(TypedDict):
    """The calls of a client that wait for replies, or the requests that a server has taken up."""

    in_flight: int
    oldest: list[CallDocument]
    """Those that have waited longest, the first one first; of a server those in handlers."""
    reply_partitions: list[str]
    """Where a client reads its replies, as "topic 3"; empty for a server."""


class SendsDocument(TypedDict):
    """The records that an object has sent and that wait for their acknowledgements."""

    waiting: int


class RecentDocument(TypedDict):
    """A crash or a restart of an actor, the latest last; see `RecentEvent`."""

    at: float
    what: str
    actor: str
    error: str | None
    delay_s: float | None


class ObjectDocument(TypedDict):
    """A listener, a client of calls, a server of calls, or a producer."""

    name: str
    """The kind, of several of a kind with what distinguishes it: "listener billing"."""
    kind: Literal["listener", "rpc", "server", "producer"]
    client: str
    group_id: str | None
    group_protocol: str | None
    connected: bool
    health: HealthDocument
    tree: ActorDocument
    partitions: list[PartitionDocument]
    missing_topics: list[str]
    processors: list[ProcessorDocument]
    not_taken: list[NotTakenDocument]
    calls: CallsDocument | None
    """Null unless the object is a client or a server of calls."""
    sends: SendsDocument
    counters: dict[str, int]
    """The object's counters by their names in its status; errors of a server as "errors.<status>".
    """
    recent: list[RecentDocument]
    left_out: dict[str, int]


class StatusDocument(TypedDict):
    """All objects of a program."""

    version: Literal[1]
    at: float
    pid: int
    live: bool
    ready: bool
    objects: list[ObjectDocument]
