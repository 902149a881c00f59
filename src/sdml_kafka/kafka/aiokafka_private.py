# pyright: basic
# aiokafka is not typed.
"""Every private attribute of aiokafka that this package touches, and why.

Checked on aiokafka 0.13.0 and 0.14.0. Read-only but for what is said to be written.

Of the consumer itself, before `start`:
- `_group_id`, `_enable_auto_commit`, `_auto_commit_interval_ms`, `_rebalance_timeout_ms`,
  `_heartbeat_interval_ms`: the settings of a consumer that the user's factory built.
- `_enable_auto_commit` is written: aiokafka's own auto-commit commits what was handed out, not
  what was finished.
- `_auto_offset_reset`: with `none` a partition without a commit has no position, which aiokafka
  tells too late. It is written for a member that reads a tail: an offset that is not there any
  more must not end it, which no public setting of a consumer that is built already allows.
- `_fetcher`, `_closed`, `_subscription.subscription`: to tell a consumer that is in use already.

Of its parts:
- `_coordinator.generation`: -1 in a revocation means that the member was out of the group.
- `_coordinator._do_commit_offsets`: one commit, stamped with the generation of this very moment;
  the public `commit` retries without bound, and so into a later generation.
- `_coordinator._coordination_task`, `_fetcher._fetch_task`: dead tasks that nothing else reports.
- `_coordinator._rejoin_needed_fut`: whether a rebalance is due, as it is after the metadata shows
  other partitions than the assignment was made of.
- `_coordinator.check_errors`, `_subscription.reassignment_in_progress`,
  `_fetcher._records`, `_create_fetch_waiter`: what `getmany` looks at and waits for.
- `_fetcher._wait_consume_future`, taken away for as long as a `getmany` takes and given to
  `_notify` later: when the next fetch is built.
- `_subscription._fetch_count`, `_last_fetch_ended` are written: a `getmany` that raises or is
  cancelled leaks a count, after which `max_poll_interval_ms` is never enforced again.
- `_client._conns`, `force_metadata_update`, `set_topics`: whether a broker is there; topics that
  do not exist yet.
- `_coordinator.member_id`, `coordinator_id`, `group_id`, `_client.send`, `_group_instance_id`: to
  leave the group when `stop()` cannot, stuck in a rebalance.
- `_fetcher.close`, `_client.close`: the second half of a `stop()` that raised or was cut off.
  `_client._sync_task` is written, to close what one that has died keeps from being closed.

Of a producer:
- `_closed`, `_sender._sender_task`, `_key_serializer`, `_value_serializer`, `_txn_manager`
  (`.transactional_id`, `.state`): to tell one that is in use, cannot be used, or is dead.
- `bootstrap_conn`, a local variable of `client.bootstrap()`: left open by one that is cancelled.
- `_max_request_size`, `_partitioner`, `client.cluster._partitions`: what `send()` would do for each
  record and is done once for each batch or each refresh of the metadata.
- `_message_accumulator._batches`: whether a batch may still be added to. `_append_batch`,
  `_closed`, `_exception`: to queue one.
- `_sender._send_produce_req` is wrapped: to know the requests that are out, and to give back the
  numbers of a batch that was refused (see `watch_requests`).
- `client._sync_task`, `_conns`, `_topics`, `unauthorized_topics`: whether a broker is there; topics
  that do not exist are not asked for again.
- `_message_accumulator._batches[...].failure`, `_drain_waiter`, `_sender._sender_task`: the second
  half of a `stop()` that hangs.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from operator import attrgetter
from time import monotonic
from traceback import walk_tb
from typing import Any

from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import BrokerResponseError, KafkaError, ProducerClosed, UnknownError
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import OffsetAndMetadata

from sdml_kafka.kafka.port import ConsumerSettings, Record

Client = Any
"""An `aiokafka.AIOKafkaConsumer`; aiokafka is not typed."""


def settings_of(consumer: Client) -> ConsumerSettings:
    interval_ms = consumer._auto_commit_interval_ms if consumer._enable_auto_commit else None
    return ConsumerSettings(
        group_id=consumer._group_id,
        auto_commit_interval_s=None if interval_ms is None else interval_ms / 1000,
        rebalance_timeout_s=consumer._rebalance_timeout_ms / 1000,
    )


def disable_auto_commit(consumer: Client) -> None:
    consumer._enable_auto_commit = False


def never_resets(consumer: Client) -> bool:
    return str(consumer._auto_offset_reset).lower() not in ("earliest", "latest")


def go_on_at_what_is_left(consumer: Client) -> None:
    """At the beginning of it, where the offset to read is not there any more."""
    consumer._auto_offset_reset = "earliest"


def heartbeat_interval_s(consumer: Client) -> float:
    return float(consumer._heartbeat_interval_ms) / 1000


def in_use(consumer: Client) -> str | None:
    """What was already done with it; None for a fresh one."""
    if consumer._fetcher is not None or consumer._closed:
        return "started"
    if consumer._subscription.subscription is not None:
        return "subscribed"
    return None


def generation(consumer: Client) -> int:
    coordinator = consumer._coordinator
    return -1 if coordinator is None else int(coordinator.generation)


def rebalance_is_due(consumer: Client) -> bool:
    return bool(consumer._coordinator._rejoin_needed_fut.done())


def is_rebalancing(consumer: Client) -> bool:
    return bool(consumer._subscription.reassignment_in_progress)


def raise_pending(consumer: Client) -> None:
    """What the coordination has to tell, which goes on only after that."""
    consumer._coordinator.check_errors()


def fetch_waiter(consumer: Client) -> "asyncio.Future[None]":
    """Set when something was fetched; to be awaited or cancelled."""
    waiter: asyncio.Future[None] = consumer._fetcher._create_fetch_waiter()
    return waiter


def has_fetched(consumer: Client) -> bool:
    """Records of any partition, or an error in their place."""
    return bool(consumer._fetcher._records)


async def take_fetched(
    consumer: Client, partitions: Sequence[Any], most: int
) -> Mapping[Any, Sequence[Record]]:
    """`getmany` of what is there. What it makes room for is not fetched before `fetch_on`."""
    fetcher = consumer._fetcher
    room_made, fetcher._wait_consume_future = fetcher._wait_consume_future, None
    try:
        taken: Mapping[Any, Sequence[Record]] = await consumer.getmany(
            *partitions, timeout_ms=0, max_records=most
        )
    finally:
        fetcher._wait_consume_future = room_made
    return taken


def fetch_on(consumer: Client) -> None:
    consumer._fetcher._notify(consumer._fetcher._wait_consume_future)


def begin_polling(consumer: Client) -> None:
    """From here until `end_polling` the consumer is not idle, whatever comes in between."""
    consumer._subscription._fetch_count = 1


def end_polling(consumer: Client) -> None:
    consumer._subscription._fetch_count = 0
    consumer._subscription._last_fetch_ended = monotonic()


async def send_commit(consumer: Client, offsets: Mapping[Any, int]) -> None:
    """One request, stamped with the member's generation as of the call; no retries."""
    stamped = {
        ClientPartition(*partition): OffsetAndMetadata(offset, "")
        for partition, offset in offsets.items()
    }
    await consumer._coordinator._do_commit_offsets(None, stamped)


def dead_task(consumer: Client) -> str | None:
    """The name of an internal task that has ended though the consumer goes on."""
    for owner, name in (("_coordinator", "_coordination_task"), ("_fetcher", "_fetch_task")):
        task = getattr(getattr(consumer, owner), name, None)
        if task is not None and task.done():
            return name.strip("_").replace("_", " ")
    return None


def is_connected(consumer: Client) -> bool:
    return any(conn.connected() for conn in consumer._client._conns.values())


def refresh_metadata(consumer: Client) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = consumer._client.force_metadata_update()
    return future


def track_topics(consumer: Client, topics: set[str]) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = consumer._client.set_topics(topics)
    return future


async def leave_group(consumer: Client) -> None:
    """Tell the group that we are gone, beside a join that occupies the usual connection.

    What `stop()` does itself when it gets that far; a static member stays, as there.
    """
    coordinator = consumer._coordinator
    if coordinator is None or not coordinator.member_id or coordinator.coordinator_id is None:
        return
    if consumer._group_instance_id is None:
        with suppress(KafkaError):
            request = LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
            await consumer._client.send(coordinator.coordinator_id, request)


async def finish_stop(consumer: Client) -> None:
    """What `stop()` leaves undone when it raises or is cut off."""
    if consumer._fetcher is not None:
        with suppress(asyncio.CancelledError, Exception):
            await consumer._fetcher.close()
    await _close_client(consumer._client)


async def _close_client(client: Any) -> None:
    """Its connections too, where `close()` raises what its metadata task has died of before."""
    try:
        await client.close()
    except Exception:  # whatever that task died of; the second attempt raises what is new
        client._sync_task = None
        await client.close()


# -- the producer ------------------------------------------------------------------------


def producer_in_use(producer: Client) -> bool:
    return producer._sender._sender_task is not None or producer._closed


async def start(client: Client) -> None:
    """One that is cancelled forgets the connection that it asks for the first metadata."""
    try:
        await client.start()
    except BaseException as error:
        for frame, _ in walk_tb(error.__traceback__):
            if (connection := frame.f_locals.get("bootstrap_conn")) is not None:
                connection.close()
        raise


def has_serializers(producer: Client) -> bool:
    return producer._key_serializer is not None or producer._value_serializer is not None


def is_transactional(producer: Client) -> bool:
    manager = producer._txn_manager
    return manager is not None and manager.transactional_id is not None


def max_request_size(producer: Client) -> int:
    return int(producer._max_request_size)


def partitioner(producer: Client) -> Callable[[bytes | None, list[int], list[int]], int]:
    chosen: Callable[[bytes | None, list[int], list[int]], int] = producer._partitioner
    return chosen


partitions_by_topic: Callable[[Any], Mapping[str, Mapping[int, Any]]] = attrgetter("_partitions")
"""Of a `cluster`: a new object whenever the metadata was refreshed."""


def queued_batches(producer: Client) -> Mapping[Any, Sequence[Any]]:
    """By partition, the batches that are not on their way yet; only the last one has room."""
    queued: Mapping[Any, Sequence[Any]] = producer._message_accumulator._batches
    return queued


def is_last_queued(batches: Sequence[Any], builder: Any) -> bool:
    """Whether this batch may still be added to: once it was taken for a request its number of
    records is settled, though it does not look closed for a moment longer."""
    return batches[-1]._builder is builder


def queue_batch(producer: Client, builder: Any, place: Any) -> "asyncio.Future[Any]":
    """What `send_batch()` does when nothing is queued for that partition, but at once, and
    without two turns of the loop between the answer and whoever waits for it."""
    accumulator = producer._message_accumulator
    if accumulator._closed:
        raise ProducerClosed()
    if accumulator._exception is not None:
        raise copy(accumulator._exception)
    future: asyncio.Future[Any] = accumulator._append_batch(builder, place).future
    return future


def watch_requests(producer: Client) -> "set[asyncio.Task[Any]]":
    """The produce requests that are out, from now on.

    Also gives back the sequence numbers of a batch that the broker has refused. An idempotent
    aiokafka counts them all the same, and from then on the broker refuses every batch of that
    partition as out of order: one record that is too large, and nothing gets through any more.
    """
    sender = producer._sender
    original = sender._send_produce_req
    running: set[asyncio.Task[Any]] = set()

    async def send_produce_request(node_id: Any, batches: Mapping[Any, Any]) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await original(node_id, batches)
        finally:
            running.discard(task)
        # No wait between the original and this: no later batch has got its numbers yet.
        for batch in batches.values():
            _give_back_numbers(producer._txn_manager, batch)

    sender._send_produce_req = send_produce_request
    return running


def _give_back_numbers(manager: Any, batch: Any) -> None:
    if manager is None or not batch.future.done() or batch.future.cancelled():
        return
    error = batch.future.exception()
    # One that was sent before and went unanswered may be in the log under its numbers: a second
    # batch with them would be taken for the same, acknowledged and dropped.
    refused = isinstance(error, BrokerResponseError) and not isinstance(error, UnknownError)
    if refused and batch.retry_count == 1:
        manager.increment_sequence_number(batch.tp, -batch.record_count)


def dead_producer(producer: Client) -> str | None:
    """Why nothing is sent any more though the producer goes on."""
    for name, task in (
        ("sender", producer._sender._sender_task),
        ("metadata", producer.client._sync_task),
    ):
        if task is not None and task.done():
            return f"aiokafka's {name} task has died"
    manager = producer._txn_manager
    if manager is not None and manager.state.name == "FATAL_ERROR":
        return "aiokafka's producer had a fatal error"
    return None


def producer_connections(producer: Client) -> list[bool]:
    """Of each connection whether it is up. Any thread may ask."""
    return [conn.connected() for conn in list(producer.client._conns.values())]


def is_unauthorized(producer: Client, topic: str) -> bool:
    return topic in producer.client.cluster.unauthorized_topics


def forget_topic(producer: Client, topic: str) -> None:
    """Else every refresh asks for it again, an ERROR line each time."""
    producer.client._topics.discard(topic)


async def finish_producer_stop(producer: Client, requests: "set[asyncio.Task[Any]]") -> None:
    """What `stop()` leaves undone when it raises or is cut off. Whatever was not acknowledged
    fails."""
    tasks = {task for task in (producer._sender._sender_task, *requests) if task is not None}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=0.5)
    accumulator = producer._message_accumulator
    queued = [batch for batches in accumulator._batches.values() for batch in batches]
    for batch in {*queued, *accumulator._pending_batches}:
        batch.failure(ProducerClosed())
        for future in (batch.future, batch._drain_waiter):
            if future.done() and not future.cancelled():
                future.exception()  # seen: nobody else will look at it
    await _close_client(producer.client)
