"""Who gets which records: from topics over specs and types to the queues of the open streams."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Literal

from attrs import evolve, frozen

from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.errors import ConfigurationError, UnknownType
from sdml_kafka.listener.dropped import Dropped
from sdml_kafka.listener.typed_queue import TypedQueue
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.parsing.type_checks import name_of, named_by

MAX_DESTINATIONS = 200
"""Queues that one record may go to: the ledger counts a record's destinations in a byte."""


@frozen
class Route:
    """A spec of a topic, and the queues of the streams that read its type."""

    spec: CompiledSpec
    queues: tuple[TypedQueue, ...]


@frozen
class Retried:
    """Stands for a type in retry topics of one suffix, which no stream of the type reads."""

    type: Hashable
    suffix: str

    def __str__(self) -> str:
        return name_of(self.type)


class Router:
    """The queues of all types. A topic is read while at least one of its types is."""

    def __init__(
        self,
        specs: Sequence[CompiledSpec],
        max_waiting_bytes: float,
        on_routes_changed: Callable[[], None],
        on_room: Callable[[], None],
        on_withdrawn: Callable[[], None],
        dropped: Dropped,
    ) -> None:
        """Begin without streams.

        Args:
            specs: Which topics hold which types.
            max_waiting_bytes: The bytes of records with which a queue has no more room.
            on_routes_changed: Called when a stream was opened or closed.
            on_room: Called when a queue that had no room has been read empty.
            on_withdrawn: Called when records were withdrawn, since their partition is revoked.
            dropped: Gives back what streams have handed out and the program has dropped.
        """
        self._specs = specs
        self._retry_specs: list[CompiledSpec] = []
        self._first_topics: dict[str, str] = {}
        """The topic that the records of each retry topic come from at first."""
        self._max_waiting_bytes = max_waiting_bytes
        self._on_routes_changed = on_routes_changed
        self._on_room = on_room
        self._on_withdrawn = on_withdrawn
        self.dropped: Dropped = dropped
        self._shared: dict[Hashable, TypedQueue] = {}
        self._fresh: list[TypedQueue] = []
        self._routes: dict[str, tuple[Route, ...]] = {}
        self.own_topics: frozenset[str] = frozenset(each for spec in specs for each in spec.topics)
        """The topics that the specs name."""
        self.topics: frozenset[str] = self.own_topics
        """The topics that are read, retry topics included."""

    def subscribe(self, type_: Hashable, maxsize: int, *, fresh: bool) -> TypedQueue:
        """Return the queue for a new stream: the shared one of its type, or a fresh one.

        Raises:
            UnknownType: No parser yields the type, or it could be several of those that are there.
            ConfigurationError: There are too many queues already.
        """
        return self._open(self._spec_type(type_), maxsize, fresh=fresh)

    def _open(self, type_: Hashable, maxsize: int, *, fresh: bool) -> TypedQueue:
        if len(list(self.queues())) >= MAX_DESTINATIONS:
            raise ConfigurationError(
                f"{MAX_DESTINATIONS} streams of their own are the most a listener can have: "
                "subscribe without fresh=True to share the records of a type"
            )
        if fresh:
            queue = self._new_queue(type_)
            self._fresh.append(queue)
        else:
            queue = self._shared_queue(type_)
        queue.maxsizes.append(maxsize)
        self._changed()
        return queue

    def add_retry_topics(self, wanted: object, suffix: str, topics: Mapping[str, str]) -> None:
        """Read retry topics as well, from now on, with the parsers of their first topics.

        Args:
            wanted: The type that is retried.
            suffix: The end of these topics' names.
            topics: The retry topic of each topic of the type.
        """
        base = self._spec_type(wanted)
        type_ = Retried(base, suffix)
        if any(spec.type == type_ for spec in self._retry_specs):
            return
        self._retry_specs += [
            evolve(spec, type=type_, topics=tuple(topics[each] for each in spec.topics))
            for spec in self._specs
            if spec.type == base
        ]
        self._first_topics.update((retry, first) for first, retry in topics.items())
        self.topics |= set(topics.values())
        self._changed()

    def subscribe_retried(self, wanted: object, suffix: str) -> TypedQueue:
        """Return the queue of the retry topics of one suffix; as `subscribe` for the rest."""
        return self._open(Retried(self._spec_type(wanted), suffix), 0, fresh=False)

    def topics_of(self, wanted: object) -> Sequence[str]:
        """Return the topics that hold a type, its retry topics not among them.

        Raises:
            UnknownType: No parser yields the type, or it could be several of those that are there.
        """
        type_ = self._spec_type(wanted)
        topics = [topic for spec in self._specs if spec.type == type_ for topic in spec.topics]
        return list(dict.fromkeys(topics))

    def is_retry_topic(self, topic: str) -> bool:
        """Return whether records of a topic wait for their time."""
        return topic in self._first_topics

    def first_topic(self, topic: str) -> str:
        """Return the topic that records read from `topic` came from at first."""
        return self._first_topics.get(topic, topic)

    def check_topic(self, topic: str) -> None:
        """Raise a ConfigurationError unless the topic is one of those that are read."""
        if topic not in self.topics:
            raise ConfigurationError(
                f"No parser reads {topic!r}; the topics are {', '.join(sorted(self.topics))}"
            )

    def check_type(self, wanted: object) -> None:
        """Raise UnknownType unless the specs have exactly one type that a program means."""
        self._spec_type(wanted)

    def _spec_type(self, wanted: object) -> Hashable:
        """Return the type of the specs that a program means; `wanted` may not be hashable."""
        named: set[Hashable] = set(named_by(wanted, [spec.type for spec in self._specs]))
        if len(named) == 1:
            return named.pop()
        if named:
            several = " or ".join(sorted(map(name_of, named)))
            raise UnknownType(f"{name_of(wanted)} could be {several}: subscribe to one of these.")
        known = ", ".join(sorted({name_of(spec.type) for spec in self._specs}))
        raise UnknownType(
            f"No parser yields {name_of(wanted)}; those given yield: {known}. Subscribe to one "
            "of these, or add a ParserSpec."
        )

    def unsubscribe(self, queue: TypedQueue, maxsize: int) -> None:
        """Note that a stream of this queue was closed.

        What waits in a shared queue that nobody reads stays for the next stream of its type.
        What waits in a fresh queue is dropped if another stream got the records, too.
        """
        queue.maxsizes.remove(maxsize)
        if queue in self._fresh:
            self._fresh.remove(queue)
            queue.abandon()
        self._changed()

    def _pass_on(self, queue: TypedQueue) -> None:
        """Finish the records of a queue that is abandoned, or hand them to the shared queue."""
        for parcel in queue.take_all():
            # A stream that was opened later has not seen them, though it is of the same type.
            if any(not sharer.is_abandoned for sharer in parcel.sharers):
                parcel.chunk.tenancy.returned -= len(parcel.indices)  # nobody had taken them
                parcel.chunk.finish_run(parcel.indices)
            else:
                self._shared_queue(queue.type).put_back(parcel)

    def _shared_queue(self, type_: Hashable) -> TypedQueue:
        return self._shared.setdefault(type_, self._new_queue(type_))

    def _new_queue(self, type_: Hashable) -> TypedQueue:
        calls = self._on_room, self._pass_on, self.dropped
        return TypedQueue(type_, self._max_waiting_bytes, *calls)

    def queues(self) -> Iterable[TypedQueue]:
        """Return every queue, also those that nobody reads at the moment."""
        return [*self._shared.values(), *self._fresh]

    def routes(self, topic: str) -> tuple[Route, ...]:
        """Return the specs of a topic whose type somebody reads."""
        routes = self._routes.get(topic)
        if routes is None:
            routes = self._routes[topic] = tuple(
                Route(spec, queues)
                for spec in (*self._specs, *self._retry_specs)
                if topic in spec.topics and (queues := self._queues_read(spec.type))
            )
        return routes

    def is_read(self, topic: str) -> bool:
        """Return whether somebody reads a type of this topic."""
        return bool(self.routes(topic))

    def taker(self, topic: str) -> Literal["loop", "handler"]:
        """Return what takes the records of a topic; of several a loop, which may have ended."""
        queues = [queue for route in self.routes(topic) for queue in route.queues]
        is_processed = bool(queues) and all(queue.is_processed for queue in queues)
        return "handler" if is_processed else "loop"

    def _queues_read(self, type_: Hashable) -> tuple[TypedQueue, ...]:
        return tuple(q for q in self.queues() if q.type == type_ and q.maxsizes)

    def withdraw(self, tenancies: Sequence[Tenancy]) -> None:
        """Take back what waits of these tenancies, from every queue."""
        for queue in self.queues():
            queue.withdraw(tenancies)
        self._on_withdrawn()

    def close(self, error: Exception | None = None) -> None:
        """Hand out nothing more: loops end quietly, or with `error`."""
        for queue in self.queues():
            queue.close(error)

    def forsake(self, error: Exception) -> None:
        """Hand out nothing more but `error`, and wake nobody: the tasks are another process's."""
        for queue in self.queues():
            queue.closed, queue.error = True, error

    def _changed(self) -> None:
        self._routes.clear()
        self._on_routes_changed()
