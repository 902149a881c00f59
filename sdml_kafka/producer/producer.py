"""KafkaProducer: what a program that sends uses."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from logging import WARNING
from time import time
from typing import Any, Self

import anyio

from sdml_kafka.client_config import client_given
from sdml_kafka.declarations import Declaration
from sdml_kafka.errors import ClientClosed, ConfigurationError, SendFailed
from sdml_kafka.health.facts import Limits
from sdml_kafka.health.verdicts import Health
from sdml_kafka.hooks.calls import hooks_of
from sdml_kafka.hooks.hook import Hook
from sdml_kafka.lifecycle import Enterable, Lifecycle, check_timeouts, was_cancelled
from sdml_kafka.log_fields import fields
from sdml_kafka.parsing.not_yet import NotYet
from sdml_kafka.producer.actor_tree import ProducerActors
from sdml_kafka.producer.cohorts import Cohort
from sdml_kafka.producer.connecting import connects
from sdml_kafka.producer.open_transaction import OpenTransaction, TransactionState
from sdml_kafka.producer.pending_sends import PendingSend, Sent
from sdml_kafka.producer.status import ProducerStatus
from sdml_kafka.producer.transactions import NOT_OPEN
from sdml_kafka.producing.serializers import Encoded, Serializer, Serializers, headers_with
from sdml_kafka.runtime import Event, Restarts
from sdml_kafka.runtime.waiter import clock, waiter_maker
from sdml_kafka.transport.client_choice import Client, ClientArguments, ClientChoice
from sdml_kafka.transport.interfaces.producer import ConnectProducer, Message, ProducerFactory
from sdml_kafka.transport.interfaces.transports import Transport
from sdml_kafka.transport.record_checks import check_timestamp_ms

MAX_CANCELLED_FLUSH_S = 2.0
"""Seconds that leaving waits for acknowledgements when the program itself was cancelled."""


type Record = tuple[str, Any, bytes | None, Sequence[tuple[str, bytes]], int | None, int | None]
"""The arguments of `send`, without the timeout."""


class KafkaProducer(Enterable):
    """Sends records, each with its acknowledgement.

    ```python
    async with KafkaProducer(bootstrap_servers="localhost:9092") as producer:
        sent = await producer.send("orders", b"...", key=b"c-7")
        print(sent.partition, sent.offset)
    ```

    Records of a partition arrive in the order of the calls, none twice (the producer is
    idempotent). A broker that is away is waited for, up to the timeout of each record.

    Nothing is connected before the producer is entered. It may be made before a fork and entered in
    each process after it; once entered it is for that process alone (`EnteredBeforeFork`).

    Args:
        bootstrap_servers: The addresses of some brokers, asked side by side: one string with
            commas, or a list. Or give `producer_factory`.
        producer_factory: Returns a new `AIOKafkaProducer` each time, not started. It is called
            where an asyncio loop runs, on trio too, and again for each restart.
        serializers: How values of a type become bytes: `{Order: to_json}`. A value's own class
            decides, then its bases. Bytes and None need none.
        max_waiting: The number of records that may wait for their acknowledgements; more wait
            for room.
        timeout_s: Seconds after which a record fails that was not acknowledged, unless the call
            says otherwise.
        start_timeout: Seconds that entering may take.
        stop_timeout: Seconds that leaving may take. What waits is sent meanwhile.
        restarts: How often a failed actor is restarted before the failure is raised.
        on_event: Called for each start, crash, restart and stop of an actor.
        hooks: Observers of what happens; see `Hook`.
        client: "aiokafka", or "librdkafka", which needs the extra of that name.
        client_options: librdkafka's options by its own names: `{"compression.type": "lz4"}`.
        transactional_id: With it records are sent in transactions alone (`transaction()`), with
            `client="librdkafka"`. Each producer that runs needs an id of its own, which it keeps
            when the program is started again: a new one takes the place of the one before.
        transport: Another client than these: `MemoryBroker.connect_producer()` in a test.
        **aiokafka_options: aiokafka's own options (TLS, SASL, `compression_type`).

    Raises:
        ConfigurationError: Something that was passed cannot work. No value is shown.
    """

    def __init__(
        self,
        *,
        bootstrap_servers: str | Sequence[str] | None = None,
        producer_factory: ProducerFactory | None = None,
        serializers: Mapping[Any, Serializer] | None = None,
        max_waiting: int = 10_000,
        timeout_s: float = 30.0,
        start_timeout: float = 10.0,
        stop_timeout: float = 10.0,
        restarts: Restarts | None = None,
        on_event: Callable[[Event], None] | None = None,
        hooks: Sequence[Hook] = (),
        client: Client = "aiokafka",
        client_options: Mapping[str, Any] | None = None,
        transactional_id: str | None = None,
        transport: ConnectProducer | Transport | None = None,
        **aiokafka_options: Any,
    ) -> None:
        check_timeouts(start_timeout, stop_timeout)
        if type(max_waiting) is not int or max_waiting < 1:
            raise ConfigurationError(f"max_waiting is 1 or more, not {max_waiting!r:.300}")
        self._timeout_s = _seconds(timeout_s)
        self._stop_timeout_s = stop_timeout
        self._serializers = Serializers(serializers or {})
        where = bootstrap_servers, None, None, producer_factory, aiokafka_options
        own_names = KafkaProducer.__init__.__kwdefaults__ or ()
        given = ClientArguments(*where, ClientChoice(client, client_options), own_names)
        self._given = partial(client_given, given)
        connections = connects(transport, transactional_id, given)
        if transactional_id is not None:
            self.send = self.send_soon = _refuse  # type: ignore[method-assign]  # free for the others
        name = "other" if transport else client
        seen = hooks_of("producer", None, client_options, aiokafka_options, hooks, on_event)
        self._words = seen.origin.client_id, transactional_id or ""
        parts = *connections, name, max_waiting, start_timeout, restarts or Restarts(), seen
        self._build = partial(ProducerActors, *parts)
        self._actors: ProducerActors = self._build()
        timeouts, by = (start_timeout, stop_timeout), "send() or start()"
        self._lifecycle = Lifecycle("producer", *timeouts, on_forked=self._forsake, started_by=by)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self._lifecycle.check_new()
        actors = self._actors = self._build()
        actors.sends.open(waiter_maker())
        self._clock = clock()
        try:
            async with self._lifecycle.entered(actors.supervisor):
                patience_s = self._stop_timeout_s
                try:
                    yield self
                except BaseException as error:
                    if was_cancelled(error):
                        patience_s = min(patience_s, MAX_CANCELLED_FLUSH_S)
                    raise
                finally:
                    actors.sends.refuse(ClientClosed("The producer was left"))
                    with anyio.move_on_after(patience_s, shield=True):
                        await actors.sends.cohorts.wait_settled()
        finally:
            self._report_unsent(actors)
            actors.outbox.close()

    def _report_unsent(self, actors: ProducerActors) -> None:
        if topics := actors.sends.close():
            shown = ", ".join(f"{topic!r}: {count}" for topic, count in topics.most_common(20))
            text = "the producer was left before these records were acknowledged: %s"
            actors.log.log(WARNING, "unsent", text, shown, extra=fields(records=topics.total()))

    def _forsake(self, error: Exception) -> None:
        self._actors.sends.forsake(error)

    # -- for programs that cannot use `async with` ---------------------------------------

    async def start(self) -> None:
        """Enter the producer; asyncio only, since a trio task cannot outlive its nursery.

        Calling it again is harmless.

        Raises:
            ClientClosed: The producer was left.
            ClientNotStarted: Another task is entering the producer, or this is trio.
            BrokerUnreachable: No broker answered, or cannot be reached at the address that it
                advertises (`AdvertisedAddressUnreachable`). The text says what happened there.
        """
        await self._lifecycle.start(self)

    async def stop(self) -> None:
        """Leave the producer that `start()` entered, and raise what it failed with.

        Calling it again is harmless.
        """
        self._lifecycle.check_process()
        await self._lifecycle.stop()

    # -- sending -------------------------------------------------------------------------

    async def send(
        self,
        topic: str,
        value: Any,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
        timeout_s: float | None = None,
    ) -> Sent:
        """Send a record, and wait until the broker has acknowledged it.

        If this is cancelled, a record that has not gone out is not sent.

        Args:
            topic: Where to send it.
            value: Bytes, None for a tombstone, or what one of `serializers` takes.
            key: Decides on the partition, unless `partition` is given.
            headers: The names and values of the headers.
            partition: The number of the partition, from 0.
            timestamp_ms: The record's time in milliseconds since the epoch; by default now.
            timeout_s: Seconds after which the record fails, the wait for room included.

        Returns:
            The place of the record.

        Raises:
            TopicMissing: The broker neither has the topic nor creates it.
            PayloadTooLarge: The client, the broker or the topic takes no record of that size.
            AuthorizationFailed: The broker does not let this client write to the topic.
            ConfigurationError: No broker could take the record: a name that no topic can have, a
                partition that the topic does not have, a value without a serializer.
            SendFailed: The record was not acknowledged in time, or the broker refuses it. With
                `in_doubt` it may have arrived.
            ClientClosed: The producer was left.
        """
        timeout_s = self._timeout_s if timeout_s is None else _seconds(timeout_s)
        record = topic, value, key, headers, partition, timestamp_ms
        if self._lifecycle.state != "running" or not self._actors.sends.has_room():
            pending = await self._begin_later(record, timeout_s)
        else:
            try:
                pending = self._begin(*record, timeout_s)
            except NotYet as not_yet:
                pending = await self._begin_later(record, timeout_s, not_yet)
        try:
            if not pending.settled:
                await pending.new_waiter()
        except BaseException:
            if not pending.settled:  # its caller waits no more
                pending.end(None)
            raise
        return pending.outcome()

    async def send_soon(
        self,
        topic: str,
        value: Any,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
        timeout_s: float | None = None,
    ) -> PendingSend:
        """Send a record without waiting for its acknowledgement, only for room.

        The arguments are those of `send`. A failure that nobody waits for is logged.

        Returns:
            The record on its way: `await waiting.sent()`.

        Raises:
            ConfigurationError: The value has no serializer.
            SendFailed: There was no room in time.
            ClientClosed: The producer was left.
        """
        timeout_s = self._timeout_s if timeout_s is None else _seconds(timeout_s)
        record = topic, value, key, headers, partition, timestamp_ms
        if self._lifecycle.state != "running" or not self._actors.sends.has_room():
            return await self._begin_later(record, timeout_s)
        try:
            return self._begin(*record, timeout_s)
        except NotYet as not_yet:
            return await self._begin_later(record, timeout_s, not_yet)

    def _begin(
        self,
        topic: str,
        value: Any,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        partition: int | None,
        timestamp_ms: int | None,
        timeout_s: float,
        cohort: Cohort[PendingSend] | None = None,
    ) -> PendingSend:
        try:
            if value is not None and value.__class__ is not bytes:
                value = self._serializers.serialize(value)
                if isinstance(value, Encoded):
                    value, headers = value.value, headers_with(headers, value)
            if timestamp_ms is None:
                timestamp_ms = int(time() * 1000)
            else:
                check_timestamp_ms(timestamp_ms)
        except Exception:
            self._actors.sends.offer_room()
            raise
        pending = self._actors.sends.begin(topic, timeout_s, self._clock(), cohort)
        pending.send(Message(topic, value, key, headers, partition, True, timestamp_ms, pending))
        return pending

    async def _begin_later(
        self, record: Record, timeout_s: float, not_yet: NotYet | None = None
    ) -> PendingSend:
        """Send a record once there is room, and its serializer has what it needs."""
        if self._lifecycle.state != "running":
            await self._start_or_fail()
        with self._actors.sends.cohorts.joining() as cohort:
            if not_yet is None:
                timeout_s = await self._wait_for_room(record[0], timeout_s)
                try:
                    return self._begin(*record, timeout_s, cohort)
                except NotYet as first:
                    not_yet = first
            return await self._begin_prepared(record, timeout_s, not_yet, cohort)

    async def _begin_prepared(
        self, record: Record, timeout_s: float, not_yet: NotYet, cohort: Cohort[PendingSend]
    ) -> PendingSend:
        due = self._clock() + timeout_s
        with self._actors.sends.preparing(due):
            while True:
                await not_yet.prepare()
                left_s = await self._wait_for_room(record[0], max(due - self._clock(), 0.0))
                try:
                    return self._begin(*record, left_s, cohort)
                except NotYet as another:
                    not_yet = another
        raise SendFailed(
            f"The record for {record[0]!r} was not sent within {timeout_s:g} s: {not_yet.why}"
        )

    async def _wait_for_room(self, topic: str, timeout_s: float) -> float:
        """Wait for room, and return the seconds that are left."""
        began = self._clock()
        with anyio.move_on_after(timeout_s) as patience:
            await self._actors.sends.wait_for_room()
        if patience.cancelled_caught:
            raise SendFailed(
                f"There was no room for the record for {topic!r} within {timeout_s:g} s: more "
                "are sent than the broker acknowledges. See max_waiting."
            )
        return max(timeout_s - (self._clock() - began), 0.0)

    async def _start_or_fail(self) -> None:
        self._lifecycle.check_open()
        await self.start()
        self._lifecycle.check_open()  # somebody may have stopped what was starting

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[OpenTransaction]:
        """Open a transaction, whose records are read together or not at all.

        The end of the body commits it, and an error in the body aborts it. One is open at a time;
        others wait for it. It has to end within librdkafka's `transaction.timeout.ms` (60 s), or
        the broker aborts it and fences the producer.

        Raises:
            TransactionFailed: Nothing of it has happened: a record was not taken.
            TransactionInDoubt: No broker has said within `timeout_s` what became of it.
            ProducerFenced: Another producer has taken the transactional id, or this transaction has
                taken too long. Nothing of it has happened, and this producer makes no more: each
                further transaction raises the same.
            ProducerFailed: The producer has failed; the transaction may have been committed.
            ConfigurationError: The producer has no `transactional_id`, the task has a transaction
                of it open already, or was started within one that has not ended in `timeout_s`.
            ClientClosed: The producer was left.
        """
        if self._actors.transactions is None:
            raise ConfigurationError("Give transactional_id to the producer, for transactions")
        if self._lifecycle.state != "running":
            await self._start_or_fail()
        assert self._actors.transactions is not None
        send, send_soon = KafkaProducer.send, KafkaProducer.send_soon
        state = TransactionState()
        async with self._actors.transactions.transaction(state, self._timeout_s):
            yield OpenTransaction(partial(send, self), partial(send_soon, self), state)

    async def flush(self) -> None:
        """Wait until every record that was given to `send` or `send_soon` before has its outcome.

        That includes those that wait for room. What comes later is not waited for.
        """
        self._lifecycle.check_process()
        await self._actors.sends.cohorts.wait_settled()

    def status(self) -> ProducerStatus:
        """Return what the producer is doing right now. Cheap: no broker is asked."""
        self._lifecycle.check_process()
        return self._actors.status()

    def health(self, *, away_after_s: float = 1.0) -> Health:
        """Return whether the producer does its work, and if not, why. Cheap: no broker is asked.

        It answers in every state, and once the context has ended with an error as well.

        Args:
            away_after_s: Seconds that there may be no connection to any broker.

        Returns:
            A frozen value, with a reason for the whole and for each part.
        """
        return self._actors.health(self._lifecycle, Limits(away_after_s=away_after_s))


def declaration_of(producer: KafkaProducer) -> Declaration:
    """Return what a producer declares, which is its brokers alone."""
    return Declaration("producer", client=producer._given())  # pyright: ignore[reportPrivateUsage]  # of its module


def words_of(producer: KafkaProducer) -> Sequence[str]:
    """Return the words that may distinguish a producer from others, the best first."""
    return producer._words  # pyright: ignore[reportPrivateUsage]  # of its module


async def _refuse(*_: Any, **__: Any) -> Any:
    raise ConfigurationError(NOT_OPEN)


def _seconds(timeout_s: object) -> float:
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if not is_number or not 0 < timeout_s < float("inf"):  # type: ignore[operator]  # a number
        raise ConfigurationError(f"timeout_s is in seconds, above 0, not {timeout_s!r:.300}")
    return float(timeout_s)  # type: ignore[arg-type]  # a number
