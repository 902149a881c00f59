"""Write down what a program's objects do, in the shape that `document_shape.py` describes."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Literal

from attrs import asdict

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.health.verdicts import Health, PartHealth
from sdml_kafka.listener.listener import KafkaListener
from sdml_kafka.listener.listener import words_of as words_of_listener
from sdml_kafka.listener.processing.status import ProcessorStatus
from sdml_kafka.listener.status import ListenerStatus
from sdml_kafka.observability.document_shape import (
    ActorDocument,
    CallDocument,
    CallsDocument,
    HealthDocument,
    NotTakenDocument,
    ObjectDocument,
    PartDocument,
    PartitionDocument,
    ProcessorDocument,
    RecentDocument,
    SendsDocument,
    StatusDocument,
)
from sdml_kafka.observability.names import distinct_names
from sdml_kafka.producer.producer import KafkaProducer
from sdml_kafka.producer.producer import words_of as words_of_producer
from sdml_kafka.producer.status import ProducerStatus
from sdml_kafka.rpc.client.client import KafkaRPC
from sdml_kafka.rpc.client.client import words_of as words_of_rpc
from sdml_kafka.rpc.client.status import RPCStatus
from sdml_kafka.rpc.server.server import KafkaRPCServer
from sdml_kafka.rpc.server.server import words_of as words_of_server
from sdml_kafka.rpc.server.status import ServerStatus
from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.runtime.events import RecentEvent

MAX_TEXT = 500
"""The number of characters of a name or an error."""
MAX_PARTITIONS = 1000
MAX_PARTS = 1000
MAX_PROCESSORS = 100
MAX_TOPICS = 100
MAX_NOT_TAKEN = 100

Observed = KafkaListener | KafkaRPC | KafkaRPCServer | KafkaProducer
"""An object that can be looked at."""
Status = ListenerStatus | RPCStatus | ServerStatus | ProducerStatus
Kind = Literal["listener", "rpc", "server", "producer"]

_KINDS: Sequence[tuple[type[Observed], Kind, Callable[[Any], Sequence[str]]]] = (
    (KafkaListener, "listener", words_of_listener),
    (KafkaRPC, "rpc", words_of_rpc),
    (KafkaRPCServer, "server", words_of_server),
    (KafkaProducer, "producer", words_of_producer),
)


def status_json(
    *objects: Observed, stuck_after_s: float = 60.0, away_after_s: float = 1.0
) -> StatusDocument:
    """Return one document of what all of these objects do; no broker is asked.

    Args:
        *objects: Listeners, clients and servers of calls, and producers.
        stuck_after_s: Seconds that the lowest unfinished record of a partition may take.
        away_after_s: Seconds that there may be no connection to any broker.

    Returns:
        What `json.dumps` takes, in the shape of `sdml_kafka.observability.document_shape`.

    Raises:
        ConfigurationError: One of the objects is something else.
    """
    return document_of(named(objects), stuck_after_s, away_after_s)


def document_of(
    objects: Mapping[str, Observed], stuck_after_s: float, away_after_s: float
) -> StatusDocument:
    """Return the document of objects that have their names."""
    at = time.time()
    documents: list[ObjectDocument] = []
    for name, each in objects.items():
        health = health_of(each, stuck_after_s, away_after_s)
        documents.append(_object(name, each, each.status(), health, at))
    return StatusDocument(
        version=1,
        at=at,
        pid=os.getpid(),
        live=all(each["health"]["live"] for each in documents),
        ready=all(each["health"]["ready"] for each in documents),
        objects=documents,
    )


def named(objects: Iterable[Observed]) -> dict[str, Observed]:
    """Return the objects by names that a person can tell apart, as `distinct_names` has them."""
    these = [*objects]
    names = distinct_names([(kind_of(each), _words_of(each)) for each in these])
    return dict(zip(names, these, strict=True))


def kind_of(observed: Observed) -> Kind:
    """Return what an object is."""
    for class_, kind, _ in _KINDS:
        if isinstance(observed, class_):
            return kind
    raise ConfigurationError(
        "Only a KafkaListener, KafkaRPC, KafkaRPCServer or KafkaProducer can be looked at, not "
        f"{observed!r:.300}"
    )


def _words_of(observed: Observed) -> Sequence[str]:
    of_class = next(words for class_, _, words in _KINDS if isinstance(observed, class_))
    return [_text(word) for word in of_class(observed)]


def health_of(observed: Observed, stuck_after_s: float, away_after_s: float) -> Health:
    """Return an object's health by these limits."""
    if isinstance(observed, KafkaListener | KafkaRPCServer):
        return observed.health(stuck_after_s=stuck_after_s, away_after_s=away_after_s)
    return observed.health(away_after_s=away_after_s)


def health_document(health: Health) -> HealthDocument:
    """Return a health as plain values, those parts first that are in trouble."""
    parts = sorted(health.parts, key=lambda part: part.ok)[:MAX_PARTS]
    return HealthDocument(
        live=health.live,
        ready=health.ready,
        state=health.state,
        reason=_text(health.reason),
        since_s=_seconds(health.since_s),
        parts=[
            PartDocument(
                kind=part.kind,
                name=_text(part.name),
                state=part.state,
                ok=part.ok,
                reason=_text(part.reason),
                since_s=_seconds(part.since_s),
            )
            for part in parts
        ],
    )


def _object(
    name: str, observed: Observed, status: Status, health: Health, at: float
) -> ObjectDocument:
    reads = status if isinstance(status, ListenerStatus | ServerStatus) else None
    listens = status if isinstance(status, ListenerStatus) else None
    partitions = _partitions(reads, health) if reads else []
    topics = sorted(reads.missing_topics) if reads else []
    processors: Mapping[str, ProcessorStatus] = listens.processors if listens else {}
    not_taken = _not_taken(listens) if listens else []
    return ObjectDocument(
        name=name,
        kind=kind_of(observed),
        client=status.client,
        group_id=_text(reads.group_id) if reads else None,
        group_protocol=reads.group_protocol if reads else None,
        connected=status.connected,
        health=health_document(health),
        tree=_actor(status.tree),
        partitions=partitions[:MAX_PARTITIONS],
        missing_topics=[_text(each) for each in topics[:MAX_TOPICS]],
        processors=[_processor(*each) for each in list(processors.items())[:MAX_PROCESSORS]],
        not_taken=not_taken[:MAX_NOT_TAKEN],
        calls=_calls(status),
        sends=SendsDocument(waiting=_sends_waiting(status)),
        counters=_counters(status),
        recent=[_recent(event, at) for event in status.recent],
        left_out={
            "parts": max(0, len(health.parts) - MAX_PARTS),
            "partitions": max(0, len(partitions) - MAX_PARTITIONS),
            "missing_topics": max(0, len(topics) - MAX_TOPICS),
            "processors": max(0, len(processors) - MAX_PROCESSORS),
            "not_taken": max(0, len(not_taken) - MAX_NOT_TAKEN),
        },
    )


def _actor(actor: ActorSnapshot) -> ActorDocument:
    return ActorDocument(
        name=_text(actor.name),
        state=actor.state.value,
        restarts=actor.restarts,
        last_error=None if actor.last_error is None else _text(actor.last_error),
        inbox_depth=actor.inbox_depth,
        inbox_capacity=actor.inbox_capacity,
        age_s=_seconds(actor.age_s) or 0.0,
        children=[_actor(child) for child in actor.children],
    )


def _partitions(status: ListenerStatus | ServerStatus, health: Health) -> list[PartitionDocument]:
    """Return the partitions, those first that are in trouble or lag most."""
    judged = {part.name: part for part in health.parts if part.kind == "partition"}
    documents: list[PartitionDocument] = []
    for key, each in sorted(status.partitions.items()):
        part: PartHealth | None = judged.get(f"{key.topic} {key.partition}")
        documents.append(
            PartitionDocument(
                topic=_text(key.topic),
                partition=key.partition,
                state=part.state if part else health.state,
                reason=_text(part.reason if part else health.reason),
                position=each.position,
                frontier=each.frontier,
                committed=each.committed,
                end=each.high_watermark,
                lag=each.lag,
                lag_age_s=_seconds(each.lag_age_s),
                in_flight=each.in_flight,
                in_hand=each.in_hand,
                oldest_s=_seconds(each.frontier_age_s) if each.in_flight else None,
                bytes_in_flight=each.bytes_in_flight,
                parsing=each.parsing,
                paused=each.paused,
                held=None if (held := each.held or each.waits_for) is None else _text(held),
            )
        )
    if len(documents) > MAX_PARTITIONS:
        ok = {part.name for part in health.parts if part.ok}
        documents.sort(
            key=lambda each: (f"{each['topic']} {each['partition']}" in ok, -(each["lag"] or 0))
        )
    return documents


def _processor(name: str, status: ProcessorStatus) -> ProcessorDocument:
    return ProcessorDocument(
        name=_text(name),
        running=status.running,
        queued=status.queued,
        keys=status.keys,
        oldest_s=_seconds(status.oldest_s),
        handler_p50_s=_seconds(status.handler_p50_s),
        handler_p99_s=_seconds(status.handler_p99_s),
        finished=status.finished,
        retries=status.retries,
        failures=status.failures,
        dead_letters=status.dead_letters,
        transactions=status.transactions,
        aborted=status.aborted,
    )


def _not_taken(status: ListenerStatus) -> list[NotTakenDocument]:
    held = [*status.held, *(one for each in status.processors.values() for one in each.held)]
    return [
        NotTakenDocument(
            topic=_text(each.topic),
            partition=each.partition,
            offset=each.offset,
            to=_text(each.to),
            purpose=each.purpose,
            why=_text(each.why),
            for_s=_seconds(each.for_s) or 0.0,
        )
        for each in sorted(held, key=lambda each: -each.for_s)
    ]


def _calls(status: Status) -> CallsDocument | None:
    if isinstance(status, RPCStatus):
        where = [f"{_text(key.topic)} {key.partition}" for key in sorted(status.reply_partitions)]
        where = where[:MAX_PARTITIONS]
    elif isinstance(status, ServerStatus):
        where = []
    else:
        return None
    oldest = [
        CallDocument(
            topic=_text(each.topic),
            id=_text(each.id),
            age_s=_seconds(each.age_s),
            left_s=_seconds(each.left_s),
        )
        for each in status.oldest
    ]
    return CallsDocument(in_flight=status.in_flight, oldest=oldest, reply_partitions=where)


def _sends_waiting(status: Status) -> int:
    return status.waiting if isinstance(status, ProducerStatus) else status.sends_waiting


def _counters(status: Status) -> dict[str, int]:
    if isinstance(status, ProducerStatus):
        names = ("sent", "failed", "restarts", "committed", "aborted")
        return {name: getattr(status, name) for name in names}
    counters: dict[str, int] = {}
    values: Mapping[str, Any] = asdict(status.counters, recurse=False)
    for name, value in values.items():
        if isinstance(value, int):
            counters[name] = value
        else:
            counters |= {f"{name}.{_text(status_)}": count for status_, count in value.items()}
    return counters


def _recent(event: RecentEvent, at: float) -> RecentDocument:
    return RecentDocument(
        at=at - event.ago_s,
        what=event.what,
        actor=_text(event.actor),
        error=None if event.error is None else _text(event.error),
        delay_s=_seconds(event.delay_s),
    )


def _text(text: str) -> str:
    """Return a text that is no longer than allowed, and that UTF-8 can write."""
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def _seconds(seconds: float | None) -> float | None:
    """Return seconds to the millisecond, None for what JSON cannot say."""
    return None if seconds is None or not isfinite(seconds) else round(seconds, 3)
