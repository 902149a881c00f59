"""Makes the status of a listener, a client and a server out of what their parts know."""

from collections.abc import Iterator

import anyio

from sdml_kafka.consuming.partitions import Intake, Partition
from sdml_kafka.rpc.client.actor_tree import RPCParts
from sdml_kafka.rpc.server.counts import Counts
from sdml_kafka.runtime import ActorSnapshot
from sdml_kafka.status import (
    Counters,
    ListenerStatus,
    PartitionStatus,
    RPCCounters,
    RPCStatus,
    ServerCounters,
    ServerStatus,
)


def listener_status(intake: Intake, tree: ActorSnapshot, parse_errors: int) -> ListenerStatus:
    intake.flush()
    ledger = intake.ledger
    return ListenerStatus(
        tree=tree,
        connected=intake.health.connected,
        partitions={key: _partition(intake, p) for key, p in intake.partitions.items()},
        missing_topics=intake.health.missing_topics,
        counters=Counters(
            delivered=ledger.delivered(),
            finished=ledger.finished,
            parse_errors=parse_errors,
            late_finishes=ledger.late_finishes,
            restarts=sum(actor.restarts for actor in _actors(tree)),
            rebalances=intake.rebalances,
        ),
    )


def server_status(
    intake: Intake, tree: ActorSnapshot, counts: Counts, is_sending: bool
) -> ServerStatus:
    return ServerStatus(
        tree=tree,
        connected=intake.health.connected and is_sending,
        in_flight=counts.in_flight,
        partitions={key: _partition(intake, p) for key, p in intake.partitions.items()},
        missing_topics=intake.health.missing_topics,
        counters=ServerCounters(
            requests=counts.requests,
            replies=counts.replies,
            one_way=counts.one_way,
            expired=counts.expired,
            errors=dict(counts.errors),
            refused_topics=counts.refused_topics,
            undeliverable=counts.undeliverable,
            duplicates=counts.duplicates,
            cancelled=counts.cancelled,
            unknown_cancels=counts.unknown_cancels,
            late_finishes=intake.ledger.late_finishes,
            restarts=sum(actor.restarts for actor in _actors(tree)),
            rebalances=intake.rebalances,
        ),
    )


def rpc_status(parts: RPCParts, tree: ActorSnapshot) -> RPCStatus:
    counters = parts.calls.counters
    return RPCStatus(
        tree=tree,
        connected=parts.connected,
        in_flight=len(parts.calls.table),
        reply_partitions=parts.reading.partitions,
        counters=RPCCounters(
            calls=counters.calls,
            replies=counters.replies,
            timeouts=counters.timeouts,
            late_replies=counters.late,
            foreign_replies=counters.foreign,
            ambiguous_replies=counters.ambiguous,
            invalid_replies=counters.invalid,
            restarts=sum(actor.restarts for actor in _actors(tree)),
        ),
    )


def _partition(intake: Intake, partition: Partition) -> PartitionStatus:
    tenancy = partition.tenancy
    end = intake.health.high_watermarks.get(partition.key)
    if end is not None:
        end = max(end, tenancy.position())  # what the broker last said may be behind
    since = tenancy.frontier_since()
    return PartitionStatus(
        position=tenancy.position(),
        committed=tenancy.committed,
        high_watermark=end,
        lag=None if end is None else max(0, end - tenancy.frontier()),
        in_flight=tenancy.in_flight,
        frontier_age_s=0.0 if since is None else anyio.current_time() - since,
        held=intake.health.held.get(partition.key),
    )


def _actors(tree: ActorSnapshot) -> Iterator[ActorSnapshot]:
    yield tree
    for child in tree.children:
        yield from _actors(child)
