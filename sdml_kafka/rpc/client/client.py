"""KafkaRPC: requests over Kafka, each with its reply."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import Any, Self, Unpack, overload

import anyio

from sdml_kafka.client_config import client_given
from sdml_kafka.declarations import Declaration, Reading
from sdml_kafka.errors import CallTimeout, ConfigurationError
from sdml_kafka.health.facts import Limits
from sdml_kafka.health.verdicts import Health
from sdml_kafka.hooks.calls import hooks_of
from sdml_kafka.hooks.hook import Hook
from sdml_kafka.lifecycle import Enterable, Lifecycle, check_timeouts
from sdml_kafka.parsing.exact_class import Exactly, K, V
from sdml_kafka.parsing.parsers import ParserSpec
from sdml_kafka.parsing.specs import compile_specs
from sdml_kafka.producing.serializers import Encoded
from sdml_kafka.rpc.client.actor_tree import ClientActors
from sdml_kafka.rpc.client.building.call_builder import CallBuilder
from sdml_kafka.rpc.client.pending_calls import PendingCall
from sdml_kafka.rpc.client.reply_stream import PendingStream, ReplyStream
from sdml_kafka.rpc.client.reply_topics import ReplyTopicSpec, choose_reply_topics
from sdml_kafka.rpc.client.request_options import (
    PropagateCorrTo,
    RequestHeaders,
    RequestOptions,
    check_positive,
    check_timeout,
)
from sdml_kafka.rpc.client.status import RPCStatus
from sdml_kafka.rpc.deadline import in_seconds
from sdml_kafka.rpc.dialects.choice import Dialect, codec_of
from sdml_kafka.rpc.dialects.messages import CorrelationFromRecord
from sdml_kafka.rpc.dialects.native import ID_NAMES
from sdml_kafka.runtime import Event, Restarts
from sdml_kafka.transport.client_choice import Client, ClientArguments, ClientChoice
from sdml_kafka.transport.connect import rpc_transport
from sdml_kafka.transport.interfaces.consumer import ConsumerFactory
from sdml_kafka.transport.interfaces.producer import ProducerFactory
from sdml_kafka.transport.interfaces.transports import Transport, transport_for_calls
from sdml_kafka.transport.topic_settings import TopicSettings


class KafkaRPC(Enterable):
    """Requests over Kafka, each with its reply.

    ```python
    async with KafkaRPC(bootstrap_servers="localhost:9092") as rpc:
        reply = await rpc.request("pricing", b"...", res_timeout=5.0)
    ```

    One client serves thousands of concurrent calls. Every call settles: with its reply, with the
    server's error, with a timeout, or because the client was left.

    Nothing is connected before the client is entered. It may be made before a fork and entered in
    each process after it; once entered it is for that process alone (`EnteredBeforeFork`).

    Args:
        parsers: What the reply topics hold, and how to parse it; see `ParserSpec`. Without
            any, replies are raw bytes in `reply_topic`.
        consumer_factory: Returns a new `AIOKafkaConsumer` each time, not started, without
            topics, with a group_id that nobody else uses, or none. Or give `bootstrap_servers`.
        producer_factory: Returns a new `AIOKafkaProducer` each time, not started. Without it
            the producer connects to `bootstrap_servers`, or to 127.0.0.1:9092.
        bootstrap_servers: Addresses of brokers, asked side by side, instead of factories: one
            string with commas, or a list.
        group_id: The consumer's group, with `bootstrap_servers`; by default none. A consumer in a
            group enters when its first rebalance is over, which takes 3 s on Kafka's defaults.
        corr_header_keys: The headers that may carry a reply's correlation id; the first that
            is there counts. By default `request_id`, `correlation_id` and `x-correlation-id`.
        correlation_from_record: Takes the correlation id from a whole record instead.
        dialect: The dialect of the servers: "native", "spring" (or `Spring(...)`) or "nestjs".
        own_partition: Whether to fetch one partition of each reply topic only, and ask servers
            to reply there, as `KafkaRPCServer` does; for many clients that share a reply topic.
        reply_topic: Where replies come without `parsers`; by default a topic of the client's
            own, which is deleted on leaving. A topic that others know may get more partitions
            meanwhile: servers are asked to reply where the client reads.
        reply_partitions: The partitions of a reply topic that is missing and created.
        reply_retention: The seconds for which a topic that is created keeps replies.
        reply_topic_config: Settings for the topic of the client's own, by Kafka's names, such as
            `{"max.message.bytes": 8_000_000}`. The server's `max_request_size` has to fit.
        start_timeout: The seconds that entering may take.
        stop_timeout: The seconds that leaving may take.
        restarts: How often a failed actor is restarted before its failure comes out.
        on_event: Called for each start, crash, restart and stop of an actor.
        hooks: Observers of what happens; see `Hook`.
        client: "aiokafka", or "librdkafka", which needs the extra of that name.
        client_options: librdkafka's options by its own names.
        transport: Another transport than these, for tests with `MemoryBroker`.
        **aiokafka_options: aiokafka's own options (TLS, SASL), with `bootstrap_servers`.

    Raises:
        ConfigurationError: What was given does not go together, or cannot work.
    """

    _builder: CallBuilder
    """Builds calls for the event loop on which the client was entered, and made there."""

    def __init__(
        self,
        parsers: Sequence[ParserSpec[Any]] = (),
        *,
        consumer_factory: ConsumerFactory | None = None,
        producer_factory: ProducerFactory | None = None,
        bootstrap_servers: str | Sequence[str] | None = None,
        group_id: str | None = None,
        corr_header_keys: Sequence[str] = ID_NAMES,
        correlation_from_record: CorrelationFromRecord | None = None,
        dialect: Dialect = "native",
        own_partition: bool = False,
        reply_topic: str | None = None,
        reply_partitions: int = 1,
        reply_retention: float = 3600.0,
        reply_topic_config: TopicSettings | None = None,
        start_timeout: float = 10.0,
        stop_timeout: float = 10.0,
        restarts: Restarts | None = None,
        on_event: Callable[[Event], None] | None = None,
        hooks: Sequence[Hook] = (),
        client: Client = "aiokafka",
        client_options: Mapping[str, Any] | None = None,
        transport: Transport | None = None,
        **aiokafka_options: Any,
    ) -> None:
        check_timeouts(start_timeout, stop_timeout)
        where = bootstrap_servers, group_id, consumer_factory, producer_factory, aiokafka_options
        given = ClientArguments(*where, ClientChoice(client, client_options), _own_names())
        transport = transport_for_calls(transport) or rpc_transport(given)
        topics = ReplyTopicSpec(reply_topic, reply_partitions, reply_retention, reply_topic_config)
        choose_topics = partial(choose_reply_topics, parsers, topics)
        self._codec = codec_of(dialect, corr_header_keys)
        self._given = partial(client_given, given), parsers, self._codec.id_names[0]
        seen = hooks_of("rpc", group_id, client_options, aiokafka_options, hooks, on_event)
        self._words = seen.origin.client_id, reply_topic or "", group_id or ""
        ids = self._codec, correlation_from_record
        parts = transport, choose_topics, *ids, start_timeout, restarts or Restarts(), seen
        self._build = partial(ClientActors, *parts, own_partition=own_partition)
        self._actors: ClientActors = self._build()
        timeouts, by = (start_timeout, stop_timeout), "A call or start()"
        self._lifecycle = Lifecycle("client", *timeouts, on_forked=self._forsake, started_by=by)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self._lifecycle.check_new()
        actors = self._actors = self._build()
        try:
            async with self._lifecycle.entered(actors.supervisor):
                self._builder = actors.call_builder()
                try:
                    yield self
                finally:
                    actors.settle_calls()
        finally:
            actors.close()

    def _declaration(self) -> Declaration:
        client, parsers, id_header = self._given
        specs = compile_specs(parsers) if parsers else ()
        reads = [Reading(each.topics, each.type, each.parser) for each in specs]
        return Declaration("client", self._words[2], client(), reads, id_header=id_header)

    def _forsake(self, error: Exception) -> None:
        self._actors.calls.forsake(error)

    # -- for programs that cannot use `async with` ---------------------------------------

    async def start(self) -> None:
        """Enter the client; asyncio only, since a trio task cannot outlive its nursery.

        Calling it again is harmless.

        Raises:
            ClientClosed: The client was left.
            ClientNotStarted: Another task is entering the client, or this is trio.
            BrokerUnreachable: No broker answered, or cannot be reached at the address that it
                advertises (`AdvertisedAddressUnreachable`). The text says what happened there.
        """
        await self._lifecycle.start(self)

    async def stop(self) -> None:
        """Leave the client that `start()` entered, and raise what it failed with.

        Calling it again is harmless.
        """
        self._lifecycle.check_process()
        if self._lifecycle.was_started:
            self._actors.settle_calls()
        await self._lifecycle.stop()

    # -- calls ---------------------------------------------------------------------------

    @overload
    async def request(
        self,
        req_topic: str,
        req_value: bytes | Encoded | None,
        *,
        res_expect_type: Exactly[dict[K, V]],
        **options: Unpack[RequestOptions],
    ) -> dict[K, V]: ...
    @overload
    async def request[T](
        self,
        req_topic: str,
        req_value: bytes | Encoded | None,
        *,
        res_expect_type: type[T],
        **options: Unpack[RequestOptions],
    ) -> T: ...
    @overload
    async def request(
        self,
        req_topic: str,
        req_value: bytes | Encoded | None,
        *,
        res_expect_type: Any = None,
        **options: Unpack[RequestOptions],
    ) -> Any: ...
    async def request(
        self,
        req_topic: str,
        req_value: bytes | Encoded | None,
        *,
        req_key: bytes | str | None = None,
        req_headers: RequestHeaders | None = None,
        req_headers_reply_to: Sequence[str] | None = None,
        res_timeout: float | None = 30.0,
        res_expect_type: Any = None,
        correlation_id: bytes | str | None = None,
        propagate_corr_to: PropagateCorrTo = "both",
        correlation_header_key: str = "request_id",
        server_group: str | None = None,
    ) -> Any:
        """Send a request and wait for its reply.

        Args:
            req_topic: The topic of the request.
            req_value: The payload: bytes, None, or what a serializer has made, `Encoded`.
            req_key: The record's key, which picks the partition; never an identity.
            req_headers: Headers of the caller's own.
            req_headers_reply_to: The topics that servers shall reply to, one of this client's at
                least; by default the one whose parser yields `res_expect_type`.
            res_timeout: The seconds for all of it, connecting and sending included; None for no
                deadline. In a handler of `KafkaRPCServer` the handler's own deadline holds, too.
            res_expect_type: A type hint that a parser yields; the reply is checked against it.
            correlation_id: The call's id; by default a new one.
            propagate_corr_to: Whether the id travels in a header, as the key, or both; with a
                `req_key` it travels in the header.
            correlation_header_key: The header that carries the id.
            server_group: Fail at once if no member of this consumer group is alive.

        Returns:
            The parsed reply.

        Raises:
            CallTimeout: No reply came in time; a TimeoutError.
            RemoteError: The server answered with an error.
            ReplyInvalid: The reply did not parse, or to another type.
            SendFailed: The request could not be sent; TopicMissing, PayloadTooLarge and
                RecordRefused are such. What sending again cannot mend is raised at once.
            AuthorizationFailed: The broker refused the request.
            ClientClosed: The client was left.
            ConfigurationError: The call cannot be made as asked; nothing was sent. A ValueError.
        """
        if self._lifecycle.state != "running" or server_group is not None:
            res_timeout = await self._get_ready(res_timeout, server_group)
        call = self._builder.build(
            PendingCall,
            req_topic,
            req_value,
            req_key,
            correlation_id,
            (
                res_timeout,
                res_expect_type,
                propagate_corr_to,
                correlation_header_key,
                req_key is None,
                req_headers,
                req_headers_reply_to,
            ),
        )
        self._builder.begin(call)
        try:  # as `PendingCall.result` does, without another coroutine
            await call.waiter
        finally:
            if not call.settled:
                call.forget()
        if call.error is not None:
            raise call.error
        return call.value

    @overload
    def stream(
        self,
        req_topic: str,
        req_value: bytes | Encoded | None,
        *,
        res_expect_type: Exactly[dict[K, V]],
        max_waiting: int = 1000,
        **options: Unpack[RequestOptions],
    ) -> ReplyStream[dict[K, V]]: ...
    @overload
    def stream[T](
        self,
        req_topic: str,
        req_value: bytes | Encoded | None,
        *,
        res_expect_type: type[T],
        max_waiting: int = 1000,
        **options: Unpack[RequestOptions],
    ) -> ReplyStream[T]: ...
    @overload
    def stream(
        self,
        req_topic: str,
        req_value: bytes | Encoded | None,
        *,
        res_expect_type: Any = None,
        max_waiting: int = 1000,
        **options: Unpack[RequestOptions],
    ) -> ReplyStream[Any]: ...
    def stream(
        self,
        req_topic: str,
        req_value: bytes | Encoded | None,
        *,
        req_key: bytes | str | None = None,
        req_headers: RequestHeaders | None = None,
        req_headers_reply_to: Sequence[str] | None = None,
        res_timeout: float | None = 30.0,
        res_expect_type: Any = None,
        correlation_id: bytes | str | None = None,
        propagate_corr_to: PropagateCorrTo = "both",
        correlation_header_key: str = "request_id",
        server_group: str | None = None,
        max_waiting: int = 1000,
    ) -> ReplyStream[Any]:
        """Send a request and read its replies one by one: `async for value in rpc.stream(...)`.

        The request is sent when the first reply is asked for. Use `async with` around the stream
        when you may break off early.

        Args:
            req_topic: The topic of the request.
            req_value: The payload: bytes, None, or what a serializer has made, `Encoded`.
            req_key: The record's key, which picks the partition; never an identity.
            req_headers: Headers of the caller's own.
            req_headers_reply_to: The topics that servers shall reply to, as for `request`.
            res_timeout: The seconds for the whole stream; None for no deadline.
            res_expect_type: A type hint that a parser yields; each reply is checked against it.
            correlation_id: The call's id; by default a new one.
            propagate_corr_to: Whether the id travels in a header, as the key, or both.
            correlation_header_key: The header that carries the id.
            server_group: Fail at once if no member of this consumer group is alive.
            max_waiting: How many replies may wait to be read; one more breaks the stream.

        Returns:
            The stream of parsed replies. It raises what `request` raises, and StreamBroken.

        Raises:
            ConfigurationError: `max_waiting` or `res_timeout` cannot be, or the dialect has no
                streams.
        """
        check_timeout(res_timeout)
        if not self._codec.has_streams:
            raise ConfigurationError(
                "In the dialect 'spring' a request has one reply, and nothing marks the last of "
                "several: use request(...)"
            )
        kind = partial(PendingStream, max_waiting=check_positive("max_waiting", max_waiting))

        async def begin() -> PendingStream:
            timeout_s = res_timeout
            if self._lifecycle.state != "running" or server_group is not None:
                timeout_s = await self._get_ready(res_timeout, server_group)
            call = self._builder.build(
                partial(kind, new_waiter=self._builder.new_waiter, soon=self._builder.soon),
                req_topic,
                req_value,
                req_key,
                correlation_id,
                (
                    timeout_s,
                    res_expect_type,
                    propagate_corr_to,
                    correlation_header_key,
                    req_key is None,
                    req_headers,
                    req_headers_reply_to,
                ),
            )
            self._builder.begin(call)
            return call

        return ReplyStream[Any](begin)

    async def notify(
        self,
        req_topic: str,
        req_value: bytes | Encoded | None,
        *,
        req_key: bytes | str | None = None,
        req_headers: RequestHeaders | None = None,
        res_timeout: float | None = 30.0,
    ) -> None:
        """Send a request that asks for no reply; return when the broker has acknowledged it.

        Args:
            req_topic: The topic of the request.
            req_value: The payload: bytes, None, or what a serializer has made, `Encoded`.
            req_key: The record's key, which picks the partition.
            req_headers: Headers of the caller's own.
            res_timeout: The seconds until the broker must have acknowledged; None for no deadline.

        Raises:
            CallTimeout: The broker did not acknowledge the record in time.
            SendFailed: The record could not be sent; with `in_doubt` it may have arrived. What
                sending again cannot mend, such as a RecordRefused, is raised at once.
            AuthorizationFailed: The broker refused the record.
            ClientClosed: The client was left.
            ConfigurationError: The call cannot be made as asked; nothing was sent.
        """
        timeout_s = await self._get_ready(res_timeout, None)
        call = self._builder.notification(req_topic, req_value, req_key, req_headers, timeout_s)
        self._builder.begin(call)
        await call.result()

    def status(self) -> RPCStatus:
        """Return what the client is doing right now, as a frozen value; this asks no broker."""
        self._lifecycle.check_process()
        return self._actors.status(self._lifecycle)

    def health(self, *, away_after_s: float = 1.0) -> Health:
        """Return whether the client does its work, and if not, why. Cheap: no broker is asked.

        It answers in every state, and once the context has ended with an error as well.

        Args:
            away_after_s: Seconds that there may be no connection to any broker.

        Returns:
            A frozen value, with a reason for the whole and for each part.
        """
        return self._actors.health(self._lifecycle, Limits(away_after_s=away_after_s))

    async def _get_ready(self, timeout: float | None, server_group: str | None) -> float | None:
        """Start a client that was not entered, check the group; return what is left of the time."""
        timeout_s = check_timeout(timeout)
        began = anyio.current_time()
        if self._lifecycle.state != "running" and not await self._lifecycle.start(self, timeout_s):
            error = CallTimeout(
                f"The call could not be sent within {in_seconds(timeout_s)}: the client was "
                "still being started. The start goes on, for later calls."
            )
            error.__cause__ = self._actors.trouble_now()
            raise error
        self._lifecycle.check_open()  # somebody may have stopped what was starting
        left_s = max(0.001, timeout_s - (anyio.current_time() - began))
        if server_group is not None:
            with anyio.move_on_after(None if left_s == inf else left_s) as scope:
                await self._actors.groups.check_alive(server_group)
            if scope.cancelled_caught:
                raise CallTimeout(f"The call could not be sent within {in_seconds(timeout_s)}")
            left_s = max(0.001, timeout_s - (anyio.current_time() - began))
        return None if left_s == inf else left_s


def declaration_of(rpc: KafkaRPC) -> Declaration:
    """Return what a client declares: the types of its replies."""
    return rpc._declaration()  # pyright: ignore[reportPrivateUsage]  # of its module


def words_of(rpc: KafkaRPC) -> Sequence[str]:
    """Return the words that may distinguish a client from others, the best first."""
    return rpc._words  # pyright: ignore[reportPrivateUsage]  # of its module


def _own_names() -> Collection[str]:
    return KafkaRPC.__init__.__kwdefaults__ or ()
