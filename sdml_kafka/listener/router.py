"""Who gets what: from topics over specs and types to the queues of the open streams."""

from collections.abc import Callable, Hashable, Iterable, Sequence

from attrs import frozen

from sdml_kafka.consuming.ledger import Tenancy
from sdml_kafka.errors import ConfigurationError, UnknownType
from sdml_kafka.listener.typed_queue import TypedQueue
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.parsing.type_checks import name_of

MAX_DESTINATIONS = 200
"""The ledger counts the destinations of a record in a byte."""


@frozen
class Route:
    spec: CompiledSpec
    queues: tuple[TypedQueue, ...]


class Router:
    def __init__(self, specs: Sequence[CompiledSpec], on_change: Callable[[], None]) -> None:
        self._specs = specs
        self._on_change = on_change
        self._shared: dict[Hashable, TypedQueue] = {}
        self._fresh: list[TypedQueue] = []
        self._routes: dict[str, tuple[Route, ...]] = {}
        self.topics: frozenset[str] = frozenset(topic for spec in specs for topic in spec.topics)

    def subscribe(self, type_: Hashable, maxsize: int, *, fresh: bool) -> TypedQueue:
        if type_ not in [spec.type for spec in self._specs]:  # it may not be hashable
            known = ", ".join(sorted({name_of(spec.type) for spec in self._specs}))
            raise UnknownType(
                f"No parser yields {name_of(type_)}; those given yield: {known}. Subscribe to one "
                "of these, or add a ParserSpec."
            )
        if len(list(self.queues())) >= MAX_DESTINATIONS:
            raise ConfigurationError(
                f"{MAX_DESTINATIONS} streams of their own are the most a listener can have: "
                "subscribe without fresh=True to share the records of a type"
            )
        if fresh:
            queue = TypedQueue(type_, self._on_change)
            self._fresh.append(queue)
        else:
            queue = self._shared.setdefault(type_, TypedQueue(type_, self._on_change))
        queue.maxsizes.append(maxsize)
        self._changed()
        return queue

    def unsubscribe(self, queue: TypedQueue, maxsize: int) -> None:
        """A stream closed. What waits in a queue that nobody reads stays for the next stream of
        its type; a fresh one's records are let go where others of the type see them too."""
        queue.maxsizes.remove(maxsize)
        if queue in self._fresh:
            self._fresh.remove(queue)
            queue.on_orphan = lambda: self._dissolve(queue)
            self._dissolve(queue)
        self._changed()

    def _dissolve(self, queue: TypedQueue) -> None:
        parcels = queue.take_all()
        if any(other.type == queue.type and other.maxsizes for other in self.queues()):
            for parcel in parcels:
                parcel.chunk.tenancy.returned -= len(parcel.indices)  # nobody had taken them
                parcel.chunk.finish_run(parcel.indices)
        else:
            shared = self._shared.setdefault(queue.type, TypedQueue(queue.type, self._on_change))
            for parcel in parcels:
                shared.put_back(parcel)

    def queues(self) -> Iterable[TypedQueue]:
        return [*self._shared.values(), *self._fresh]

    def routes(self, topic: str) -> tuple[Route, ...]:
        """The specs of a topic whose type somebody reads; none: the topic is not read."""
        routes = self._routes.get(topic)
        if routes is None:
            routes = self._routes[topic] = tuple(
                Route(spec, queues)
                for spec in self._specs
                if topic in spec.topics and (queues := self._read(spec.type))
            )
        return routes

    def _read(self, type_: Hashable) -> tuple[TypedQueue, ...]:
        return tuple(q for q in self.queues() if q.type == type_ and q.maxsizes)

    def withdraw(self, tenancies: Sequence[Tenancy]) -> None:
        for queue in self.queues():
            queue.withdraw(tenancies)

    def close(self, error: Exception | None = None) -> None:
        for queue in self.queues():
            queue.close(error)

    def _changed(self) -> None:
        self._routes.clear()
        self._on_change()
