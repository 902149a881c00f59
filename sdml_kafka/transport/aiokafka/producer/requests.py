# pyright: basic
# aiokafka is not typed.
"""Send batches to brokers, one produce request at a time to each.

How this works
--------------
aiokafka's sender is a task that wakes for each batch and each answer, drains what is queued, and
starts a task for each request. That puts three turns of the loop between a batch and the socket,
and costs as much as the request itself. `ProduceRequests.send` does what the sender does, at once:
it takes the batches that may leave from aiokafka's queue, marks broker and partitions as busy, and
writes the request. The sender goes on waiting. It is woken for what it alone can do: partitions
without a leader, and producers that have no id yet.

Rules for whoever edits this file:

- The sender and this file share `_in_flight` and `_muted_partitions`, which say what may leave, so
  either finds what the other one has started.
- When a request has ended, whatever is queued by then leaves.
- Private attributes of aiokafka's sender are used here and in `internals.py` alone.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextvars import copy_context
from logging import getLogger
from typing import Any

from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import BrokerResponseError, KafkaConnectionError, UnknownError
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.sender import SendProduceReqHandler

from sdml_kafka.log_fields import fields
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.error_mapping import BatchRefused, batch_refused
from sdml_kafka.transport.aiokafka.log_filter import own_context
from sdml_kafka.transport.aiokafka.producer import internals
from sdml_kafka.transport.aiokafka.producer.produce_codec import QuickProduceRequest

_log = getLogger("sdml_kafka.transport")

NOTED_TURNS = 2
"""The turns of the loop between the outcome of a batch and its being noted, at most. aiokafka's
`send_batch` takes two."""


class _ProduceHandler(SendProduceReqHandler):  # type: ignore[misc]  # aiokafka is not typed
    """Sends one produce request, and fails batches with the code of their answers.

    aiokafka makes an UnknownError of each code that it does not know, such as that of a record
    without a key in a compacted topic.
    """

    def create_request(self) -> Any:
        return QuickProduceRequest(super().create_request())

    def handle_response(self, response: Any) -> None:
        for topic, partitions in response.topics:
            for partition, code, *_ in partitions:
                batch = self._batches.get(ClientPartition(topic, partition))
                if batch is not None and code:
                    error = batch_refused(code, is_first_attempt=batch.retry_count == 1)
                    if error is not None:
                        batch.failure(error)  # the first failure of a batch counts
        super().handle_response(response)


class ProduceRequests:
    """Sends what is queued, and keeps track of the requests that are out.

    The sequence numbers of a batch that the broker refuses are given back. An idempotent aiokafka
    counts them all the same, and then the broker refuses every further batch of that partition as
    out of order: after one record that is too large nothing gets through.
    """

    def __init__(self, producer: Client, on_spent: Callable[[Any, BaseException], None]) -> None:
        """Take over the producer's requests.

        Args:
            producer: The producer.
            on_spent: Called with the partition and the refusal where sequence numbers cannot be
                given back.
        """
        self._sender = sender = producer._sender
        self._accumulator = producer._message_accumulator
        metrics = getattr(self._accumulator, "_metrics_collector", None)
        self._metrics = () if metrics is None else (metrics,)  # a batch takes it since 0.15
        self._cluster = producer.client.cluster
        self._manager = producer._txn_manager
        self._on_spent = on_spent
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        """The context of requests: lines of the log are then ours, whoever has sent the records."""
        self._context.run(own_context)
        self._is_direct = _is_supported(producer) and not self._accumulator._linger_time
        self.running: set[asyncio.Task[Any]] = set()
        """The tasks of the requests that are out."""
        sender._send_produce_req = self._request

    def queue(self, builder: Any, partition: Any) -> Any:
        """Queue a batch for a partition that has none queued; return the future of its outcome.

        `send_batch()` does the same, but not at once, and it puts two turns of the loop between the
        answer and whoever waits for it.
        """
        accumulator = self._accumulator
        internals.check_open(accumulator)
        if not self._is_direct:
            return accumulator._append_batch(builder, partition).future  # which wakes the sender
        batch = self._batch(builder, partition)
        accumulator._batches[partition].append(batch)
        return batch.future

    def queue_first(self, builder: Any, partition: Any) -> Any:
        """Queue a batch in place of one that was refused; return the future of its outcome.

        It leaves before all that is queued. Its partition is muted until the refusal was noted.
        """
        internals.check_open(self._accumulator)
        batch = self._batch(builder, partition)
        self._accumulator._batches[partition].appendleft(batch)
        return batch.future

    def _batch(self, builder: Any, partition: Any) -> Any:
        return MessageBatch(partition, builder, self._accumulator._batch_ttl, 0, *self._metrics)

    def send(self, partitions: Collection[Any]) -> None:
        """Send what is queued for these partitions, as far as it may leave now."""
        if not self._is_direct:
            return
        if self._manager is not None and not self._manager.has_pid():
            internals.wake_sender(self._accumulator)
            return
        queued, muted = self._accumulator._batches, self._sender._muted_partitions
        busy, leader_of = self._sender._in_flight, self._cluster.leader_for_partition
        requests: dict[Any, dict[Any, Any]] = {}
        for partition in partitions:
            if partition not in queued or partition in muted:
                continue
            leader = leader_of(partition)
            if leader is None or leader == -1:
                internals.wake_sender(self._accumulator)
            elif leader not in busy:
                requests.setdefault(leader, {})[partition] = self._accumulator._pop_batch(partition)
        for leader, batches in requests.items():
            busy.add(leader)
            muted.update(batches)
            if self._metrics:
                for batch in batches.values():
                    batch.mark_dispatched()
            # Started eagerly, it writes to the socket before this returns.
            request, context = self._request(leader, batches), self._context.copy()
            asyncio.Task(request, loop=self._loop, eager_start=True, context=context)

    async def _request(self, leader: Any, batches: Mapping[Any, Any]) -> None:
        sender, manager = self._sender, self._manager
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            await _ProduceHandler(sender, batches).do(leader)
        except Exception as error:
            self._fail(batches.values(), error)
        finally:
            self.running.discard(task)
        # The partitions are still muted, so that no later batch has its numbers yet.
        if any(map(_refusal_of, batches.values())):
            for _ in range(NOTED_TURNS):  # what takes the place of a refused batch is queued first
                await asyncio.sleep(0)
        for batch in batches.values():
            refusal = _refusal_of(batch)
            if refusal is None or manager is None:
                continue
            # A batch that was sent before and went unanswered may be in the log under its numbers.
            # Another one with the same numbers would be taken for it, acknowledged and dropped.
            if batch.retry_count == 1:
                manager.increment_sequence_number(batch.tp, -batch.record_count)
            else:
                self._on_spent(batch.tp, refusal)
        sender._in_flight.remove(leader)
        sender._muted_partitions.difference_update(batches)
        if queued := self._accumulator._batches:
            self.send(list(queued))

    def _fail(self, batches: Collection[Any], error: Exception) -> None:
        """Fail batches that may have arrived, after an error that aiokafka does not expect.

        A request that asks for no acknowledgement raises what the socket does.
        """
        if not isinstance(error, OSError):
            extra = fields(error=error)
            _log.error("Unexpected exception in a produce request", exc_info=error, extra=extra)
        failure = KafkaConnectionError(f"a produce request has failed: {error!r}")
        for batch in batches:
            if batch in self._accumulator._pending_batches:  # the others are queued again
                batch.failure(failure)
                if self._manager is not None:
                    self._on_spent(batch.tp, failure)


def _is_supported(producer: Client) -> bool:
    """Return whether aiokafka's sender is as this module expects; log it if not."""
    needed = {
        producer._sender: ("_in_flight", "_muted_partitions"),
        producer._message_accumulator: ("_batches", "_pop_batch", "_batch_ttl", "_waiter_future"),
    }
    missing = [
        name for owner, names in needed.items() for name in names if not hasattr(owner, name)
    ]
    if missing:
        _log.warning(
            "aiokafka's sender is not as expected, so it sends batches itself, which is slower: "
            "no %s. Is there a newer version of this package?",
            ", ".join(missing),
            extra=fields(),
        )
    return not missing


def _refusal_of(batch: Any) -> BaseException | None:
    """Return what the broker has refused a batch with, None if it has not."""
    if not batch.future.done() or batch.future.cancelled():
        return None
    error = batch.future.exception()
    is_refusal = isinstance(error, BrokerResponseError | BatchRefused)
    return error if is_refusal and not isinstance(error, UnknownError) else None
