"""The collector, which reads `status()` when Prometheus asks."""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from operator import add
from typing import Literal, get_args

from attrs import frozen
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as BaseCollector

from sdml_kafka.consuming.status import PartitionStatus
from sdml_kafka.health.facts import Limits
from sdml_kafka.health.verdicts import Health, State
from sdml_kafka.listener.status import ListenerStatus
from sdml_kafka.observability.prometheus.series import Values
from sdml_kafka.observability.status_document import Observed, health_of, named
from sdml_kafka.producer.status import ProducerStatus
from sdml_kafka.rpc.client.status import RPCStatus
from sdml_kafka.rpc.server.status import ServerStatus
from sdml_kafka.transport.interfaces.records import TopicPartition

type Sample = tuple[str, tuple[str, ...], float]
"""The name of a metric, the values of its labels, and its value."""

PLACE = ("consumergroup", "topic", "partition")
OBJECT = ("object",)
PROCESSOR = ("object", "processor")
STATE = ("object", "state")
PARTS = ("object", "kind", "state")
STATES: tuple[State, ...] = get_args(State)


@frozen
class Description:
    """A metric's name, kind and text."""

    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    text: str
    join: Callable[[float, float], float] = add
    """Makes one value of two that have the same labels."""


def _gauge(
    text: str,
    labels: tuple[str, ...] = OBJECT,
    join: Callable[[float, float], float] = add,
) -> Description:
    return Description("gauge", labels, text, join)


def _counter(text: str, labels: tuple[str, ...] = OBJECT) -> Description:
    return Description("counter", labels, text)


METRICS = {
    "sdml_kafka_live": _gauge("0 once it has ended with an error, else 1."),
    "sdml_kafka_ready": _gauge("1 if it runs and no part of it is in trouble, else 0."),
    "sdml_kafka_state": _gauge("1 for the state that it is in, 0 for all others.", STATE),
    "sdml_kafka_parts": _gauge("Partitions, processors and other parts in a state.", PARTS),
    "kafka_consumergroup_lag": _gauge(
        "Offsets from the lowest unfinished record to the end; those that have finished ahead of "
        "it are among them.",
        PLACE,
    ),
    "kafka_consumergroup_current_offset": _gauge("The offset that is committed.", PLACE),
    "sdml_kafka_oldest_record_seconds": _gauge(
        "Seconds that nothing has moved at the lowest unfinished record, 0 if there is none.",
        PLACE,
        max,
    ),
    "sdml_kafka_connected": _gauge("1 if a broker can be reached, else 0."),
    "sdml_kafka_restarts": _counter("Restarts of actors."),
    "sdml_kafka_partitions": _gauge("Partitions that are assigned."),
    "sdml_kafka_held_partitions": _gauge("Partitions held by a batch, a schema or a dead letter."),
    "sdml_kafka_records_in_flight": _gauge("Records that were delivered and have not finished."),
    "sdml_kafka_bytes_in_flight": _gauge("Bytes that were fetched and have not finished."),
    "sdml_kafka_records_delivered": _counter("Records delivered."),
    "sdml_kafka_records_finished": _counter("Records finished."),
    "sdml_kafka_parse_errors": _counter("Records that did not parse."),
    "sdml_kafka_late_finishes": _counter("Records finished after their partition was revoked."),
    "sdml_kafka_rebalances": _counter("Assignments received."),
    "sdml_kafka_lost_offsets": _counter("Offsets passed over, since they were gone."),
    "sdml_kafka_corrupt_offsets": _counter("Offsets skipped, since they do not decode."),
    "sdml_kafka_handlers_running": _gauge("Handlers that run.", PROCESSOR),
    "sdml_kafka_records_queued": _gauge("Records that wait for a handler.", PROCESSOR),
    "sdml_kafka_records_processed": _counter("Records finished.", PROCESSOR),
    "sdml_kafka_retries": _counter("Further attempts.", PROCESSOR),
    "sdml_kafka_failures": _counter("Records that have failed for good.", PROCESSOR),
    "sdml_kafka_dead_letters": _counter("Dead letters acknowledged.", PROCESSOR),
    "sdml_kafka_held_records": _gauge("Records whose message is not taken.", PROCESSOR),
    "sdml_kafka_calls_in_flight": _gauge("Calls that wait for their outcome."),
    "sdml_kafka_calls": _counter("Calls begun."),
    "sdml_kafka_call_timeouts": _counter("Calls that timed out."),
    "sdml_kafka_replies": _counter("Replies received by a client, or acknowledged for a server."),
    "sdml_kafka_late_replies": _counter("Replies that came after their call was over."),
    "sdml_kafka_requests_in_flight": _gauge("Requests in hand."),
    "sdml_kafka_requests": _counter("Requests received."),
    "sdml_kafka_request_errors": _counter("Requests answered with an error.", ("object", "status")),
    "sdml_kafka_undeliverable_replies": _counter("Replies that could not be delivered."),
    "sdml_kafka_sends_waiting": _gauge("Records sent that wait to be acknowledged."),
    "sdml_kafka_sends_acknowledged": _counter("Records acknowledged."),
    "sdml_kafka_sends_failed": _counter("Records that were not sent."),
}
"""All metrics that are collected. Those of handlers, calls, commits and rebalances over time are
the hook's."""


_SHOWN: ContextVar[Collection[int]] = ContextVar("_SHOWN", default=())


@contextmanager
def without(objects: Iterable[Observed]) -> Generator[None]:
    """Have all collectors that are asked inside the context leave these objects out."""
    token = _SHOWN.set({id(each) for each in objects})
    try:
        yield
    finally:
        _SHOWN.reset(token)


class Collector(BaseCollector):
    """Collects metrics out of status and health: `registry.register(Collector(listener, rpc))`.

    Any thread may ask it: in another one than that of the objects' event loop, the counts of an
    `async for` may be half a second old. `/metrics` of `observability.app` shows each object once,
    so that a collector of the same objects may be registered beside it.

    Args:
        *objects: Listeners, clients and servers of calls, and producers.
        stuck_after_s: Seconds that the lowest unfinished record of a partition may take.
        away_after_s: Seconds that there may be no connection to any broker.

    Raises:
        ConfigurationError: An object is something else, or a limit is no number of seconds.
    """

    def __init__(
        self, *objects: Observed, stuck_after_s: float = 60.0, away_after_s: float = 1.0
    ) -> None:
        self._objects = named(objects)
        self._limits = stuck_after_s, away_after_s
        Limits(*self._limits)

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values, since nothing may be entered yet."""
        return [_family(name, METRICS[name]) for name in METRICS]

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        values = {name: Values(len(each.labels), each.join) for name, each in METRICS.items()}
        shown = _SHOWN.get()
        for name, each in self._objects.items():
            if id(each) in shown:
                continue
            health = health_of(each, *self._limits)
            for metric, labels, value in (*_standing(name, health), *_samples(name, each.status())):
                values[metric].note(labels, value)
        for name, description in METRICS.items():
            if items := values[name].items():
                family = _family(name, description)
                for labels, value in items:
                    family.add_metric(labels, value)
                yield family


def _family(name: str, description: Description) -> CounterMetricFamily | GaugeMetricFamily:
    make = CounterMetricFamily if description.kind == "counter" else GaugeMetricFamily
    return make(name, description.text, labels=description.labels)


def _standing(name: str, health: Health) -> Iterator[Sample]:
    yield "sdml_kafka_live", (name,), health.live
    yield "sdml_kafka_ready", (name,), health.ready
    for state in STATES:
        yield "sdml_kafka_state", (name, state), state == health.state
    for (kind, state), count in Counter((part.kind, part.state) for part in health.parts).items():
        yield "sdml_kafka_parts", (name, kind, state), count


def _samples(
    name: str, status: ListenerStatus | RPCStatus | ServerStatus | ProducerStatus
) -> Iterator[Sample]:
    of = (name,)
    yield "sdml_kafka_connected", of, status.connected
    if isinstance(status, ListenerStatus):
        yield from _reading(of, status)
        yield from _listening(of, status)
        yield "sdml_kafka_sends_waiting", of, status.sends_waiting
    elif isinstance(status, ServerStatus):
        yield from _reading(of, status)
        yield from _serving(of, status)
        yield "sdml_kafka_sends_waiting", of, status.sends_waiting
    elif isinstance(status, RPCStatus):
        yield from _calling(of, status)
        yield "sdml_kafka_sends_waiting", of, status.sends_waiting
    else:
        yield "sdml_kafka_restarts", of, status.restarts
        yield "sdml_kafka_sends_waiting", of, status.waiting
        yield "sdml_kafka_sends_acknowledged", of, status.sent
        yield "sdml_kafka_sends_failed", of, status.failed


def _reading(of: tuple[str], status: ListenerStatus | ServerStatus) -> Iterator[Sample]:
    counters, partitions = status.counters, status.partitions
    yield from _lags(status.group_id, partitions)
    yield "sdml_kafka_partitions", of, len(partitions)
    yield "sdml_kafka_held_partitions", of, len(_held(status))
    in_flight = sum(each.in_flight for each in partitions.values())
    yield "sdml_kafka_records_in_flight", of, in_flight
    yield "sdml_kafka_bytes_in_flight", of, status.bytes_in_flight
    yield "sdml_kafka_restarts", of, counters.restarts
    yield "sdml_kafka_rebalances", of, counters.rebalances
    yield "sdml_kafka_late_finishes", of, counters.late_finishes
    yield "sdml_kafka_lost_offsets", of, counters.lost_offsets
    yield "sdml_kafka_corrupt_offsets", of, counters.corrupt


def _held(status: ListenerStatus | ServerStatus) -> set[TopicPartition]:
    """Return the partitions that cannot be read on, or have a record whose message is not taken."""
    held = {key for key, each in status.partitions.items() if each.held or each.waits_for}
    if isinstance(status, ListenerStatus):
        records = [*status.held, *(one for each in status.processors.values() for one in each.held)]
        held.update(TopicPartition(each.topic, each.partition) for each in records)
    return held


def _lags(group_id: str, partitions: Mapping[TopicPartition, PartitionStatus]) -> Iterator[Sample]:
    for (topic, partition), each in partitions.items():
        place = group_id, topic, str(partition)
        if each.lag is not None:
            yield "kafka_consumergroup_lag", place, each.lag
        if each.committed is not None:
            yield "kafka_consumergroup_current_offset", place, each.committed
        oldest_s = each.frontier_age_s if each.in_flight else 0.0
        yield "sdml_kafka_oldest_record_seconds", place, oldest_s


def _listening(of: tuple[str], status: ListenerStatus) -> Iterator[Sample]:
    counters = status.counters
    yield "sdml_kafka_records_delivered", of, counters.delivered
    yield "sdml_kafka_records_finished", of, counters.finished
    yield "sdml_kafka_parse_errors", of, counters.parse_errors
    for name, each in status.processors.items():
        labels = *of, name
        yield "sdml_kafka_handlers_running", labels, each.running
        yield "sdml_kafka_records_queued", labels, each.queued
        yield "sdml_kafka_records_processed", labels, each.finished
        yield "sdml_kafka_retries", labels, each.retries
        yield "sdml_kafka_failures", labels, each.failures
        yield "sdml_kafka_dead_letters", labels, each.dead_letters
        yield "sdml_kafka_held_records", labels, len(each.held)
    if status.held:
        yield "sdml_kafka_held_records", (*of, ""), len(status.held)
    yield "sdml_kafka_dead_letters", (*of, ""), counters.dead_letters  # of what did not parse


def _calling(of: tuple[str], status: RPCStatus) -> Iterator[Sample]:
    counters = status.counters
    yield "sdml_kafka_restarts", of, counters.restarts
    yield "sdml_kafka_calls_in_flight", of, status.in_flight
    yield "sdml_kafka_calls", of, counters.calls
    yield "sdml_kafka_call_timeouts", of, counters.timeouts
    yield "sdml_kafka_replies", of, counters.replies
    yield "sdml_kafka_late_replies", of, counters.late_replies


def _serving(of: tuple[str], status: ServerStatus) -> Iterator[Sample]:
    counters = status.counters
    yield "sdml_kafka_requests_in_flight", of, status.in_flight
    yield "sdml_kafka_requests", of, counters.requests
    yield "sdml_kafka_replies", of, counters.replies
    yield "sdml_kafka_undeliverable_replies", of, counters.undeliverable
    for error, count in counters.errors.items():
        yield "sdml_kafka_request_errors", (*of, error), count
