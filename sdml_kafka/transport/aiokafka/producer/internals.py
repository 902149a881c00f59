# pyright: basic
# aiokafka is not typed.
"""Every private attribute of aiokafka's producer that this package touches, and why.

Checked on aiokafka 0.13.0, 0.14.0 and 0.15.0rc1. They are read only, unless it says that they are
written.

- `_closed`, `_sender._sender_task`, `_key_serializer`, `_value_serializer`, `_txn_manager`
  (`.transactional_id`, `.state`): whether a producer is in use, cannot be used, or is dead,
  and of what.
- `_max_request_size`, `_partitioner`, `client.cluster._partitions`: for what `send()` would do with
  each record, and is done here once for each batch or each refresh of the metadata.
- `_message_accumulator._batches[...]._builder`: whether a batch may still be added to; the
  `_builder` and `_relative_offset` of a batch: to add many records to it.
  `_closed`, `_exception`, `_waiter_future`: whether batches may be queued, and to wake the sender.
- `_sender._send_produce_req` is replaced, which does the same as before with a handler of ours;
  `_sender._in_flight`, `_muted_partitions`, `_message_accumulator._pop_batch`, `_append_batch`,
  `_batch_ttl`, `_linger_time`, `_txn_manager`, `_metrics_collector`, `MessageBatch` with its
  `mark_dispatched`: to send what is queued at once, to know the requests that are out, and to give
  back the numbers of a batch that was refused. These are used in `requests.py`; aiokafka has had
  metrics since 0.15.0rc1.
- `client._sync_task`, `_conns`, `_topics`, `unauthorized_topics`: whether a broker is connected;
  `_topics` is written, so that topics that do not exist are not asked for again.
- `_message_accumulator._pop_batch`, `_txn_manager.has_pid`: to fail what waits for a topic that is
  gone.
- `_message_accumulator._batches` and `_pending_batches`, their `failure`, `_drain_waiter`,
  `_sender._sender_task`: the second half of a `stop()` that hangs.
- `_sender._fail_all` is wrapped, and `_txn_manager._transaction_waiter` looked at, which nobody
  else does once a sender has died.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence, Sized
from contextlib import contextmanager
from copy import copy
from operator import attrgetter
from typing import Any

from aiokafka.errors import KafkaError, ProducerClosed

from sdml_kafka.transport.aiokafka.client import Client, close_client

CANCEL_TIMEOUT_S = 0.5


def in_use(producer: Client) -> bool:
    """Return whether a producer was started already."""
    return producer._sender._sender_task is not None or producer._closed


def has_serializers(producer: Client) -> bool:
    return producer._key_serializer is not None or producer._value_serializer is not None


def is_transactional(producer: Client) -> bool:
    manager = producer._txn_manager
    return manager is not None and manager.transactional_id is not None


def is_idempotent(producer: Client) -> bool:
    return producer._txn_manager is not None


def max_request_size(producer: Client) -> int:
    return int(producer._max_request_size)


def partitioner(producer: Client) -> Callable[[bytes | None, list[int], list[int]], int]:
    chosen: Callable[[bytes | None, list[int], list[int]], int] = producer._partitioner
    return chosen


partitions_by_topic: Callable[[Any], Mapping[str, Mapping[int, Any]]] = attrgetter("_partitions")
"""Return the partitions of a `cluster`: a new object whenever the metadata was refreshed."""


def queued_batches(producer: Client) -> Mapping[Any, Sequence[Any]]:
    """Return the batches of each partition that have not left yet; only the last one has room."""
    queued: Mapping[Any, Sequence[Any]] = producer._message_accumulator._batches
    return queued


def has_room(batches: Sequence[Any], builder: Any) -> bool:
    """Return whether a batch may still be added to.

    Once it was taken for a request its number of records is fixed, although it does not look
    closed for a moment longer.
    """
    return batches[-1]._builder is builder and not builder.closed()


@contextmanager
def appending(builder: Any, records: Sized) -> Generator[Callable[..., Any]]:
    """Yield what appends to a batch, which holds as many records as `records` does.

    It is called with a record's number, time, key, value and list of headers, and returns None if
    there is no room. aiokafka's own `append` takes a third of a microsecond more.
    """
    try:
        yield builder._builder.append
    finally:
        builder._relative_offset = len(records)


def check_open(accumulator: Any) -> None:
    """Raise what keeps batches from being queued."""
    if accumulator._closed:
        raise ProducerClosed()
    if accumulator._exception is not None:
        raise copy(accumulator._exception)


def wake_sender(accumulator: Any) -> None:
    """Have aiokafka's sender look at what is queued."""
    waiter = accumulator._waiter_future
    if not waiter.done():
        waiter.set_result(None)


def dead_task(producer: Client) -> str | None:
    """Return why nothing is sent any more although the producer goes on, None if all is well."""
    for name, task in (
        ("sender", producer._sender._sender_task),
        ("metadata", producer.client._sync_task),
    ):
        if task is not None and task.done():
            error = sender_error(producer) if name == "sender" else None
            return f"aiokafka's {name} task has died" + (f" of {error!r}" if error else "")
    manager = producer._txn_manager
    if manager is not None and manager.state.name == "FATAL_ERROR":
        return "aiokafka's producer had a fatal error"
    return None


def sender_error(producer: Client) -> BaseException | None:
    """Return what has ended aiokafka's sender, None if nothing has.

    Sender and batches fail with a general error, and those of the batches are copies, which have
    lost what it came from.
    """
    task: asyncio.Task[None] | None = producer._sender._sender_task
    if task is None or not task.done() or task.cancelled():
        return None
    error = task.exception()
    hidden: BaseException | None = getattr(error, "__cause__", None)
    return hidden if hidden is not None and type(error) is KafkaError else error


def connections(producer: Client) -> list[bool]:
    """Return for each connection whether it is up. Any thread may call this."""
    return [conn.connected() for conn in list(producer.client._conns.values())]


def is_unauthorized(producer: Client, topic: str) -> bool:
    return topic in producer.client.cluster.unauthorized_topics


def fail_queued(producer: Client, partition: Any, error: Exception) -> None:
    """Fail all batches that wait to go to a partition."""
    accumulator, manager = producer._message_accumulator, producer._txn_manager
    if manager is not None and not manager.has_pid():
        return  # nothing can have been on its way yet
    for _ in range(len(accumulator._batches.get(partition, ()))):
        batch = accumulator._pop_batch(partition)
        batch.failure(error)
        if manager is not None and not batch.retry_count:  # its numbers were never used
            manager.increment_sequence_number(partition, -batch.record_count)


def forget_topic(producer: Client, topic: str) -> None:
    """Ask for a missing topic no more, about which each refresh would log an ERROR line."""
    producer.client._topics.discard(topic)


async def finish_stop(producer: Client, requests: "set[asyncio.Task[Any]]") -> None:
    """Do what `stop()` leaves undone when it raises or is cut off.

    Batches that were not acknowledged fail.
    """
    tasks = {task for task in (producer._sender._sender_task, *requests) if task is not None}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT_S)
    accumulator = producer._message_accumulator
    queued = [batch for batches in accumulator._batches.values() for batch in batches]
    # A batch that is queued again still has the callback that removes it from this set.
    accumulator._pending_batches.update(queued)
    for batch in list(accumulator._pending_batches):
        batch.failure(ProducerClosed())
        look_at(batch.future, batch._drain_waiter)
    await close_client(producer.client)


def look_at_failures(producer: Client) -> None:
    """Have the errors looked at with which all fails that waits when the sender dies."""
    sender, accumulator = producer._sender, producer._message_accumulator
    fail_all = sender._fail_all

    def fail(task: "asyncio.Task[None]") -> None:
        batches = [batch for batches in accumulator._batches.values() for batch in batches]
        fail_all(task)
        for batch in batches:
            look_at(batch.future, batch._drain_waiter)
        if (manager := producer._txn_manager) is not None:
            look_at(manager._transaction_waiter)

    sender._fail_all = fail


def look_at(*futures: "asyncio.Future[Any] | None") -> None:
    """Look at the errors of futures, since asyncio logs those at which nobody has looked."""
    for future in futures:
        if future is not None and future.done() and not future.cancelled():
            future.exception()
