"""KafkaRPC: wires the actors of a client together, and turns calls into records."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf
from secrets import token_hex
from typing import Any, Self, TypedDict, Unpack, overload
from weakref import finalize

import anyio

from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    CallTimeout,
    ConfigurationError,
    TopicMissing,
)
from sdml_kafka.lifecycle import Lifecycle, check_timeouts
from sdml_kafka.parsing.parsers import ParserSpec, parse_bytes
from sdml_kafka.parsing.specs import compile_specs
from sdml_kafka.rpc.client.actor_tree import RPCParts, rpc_status
from sdml_kafka.rpc.client.call_builder import CallMaker
from sdml_kafka.rpc.client.expectations import Expectations
from sdml_kafka.rpc.client.pending_calls import Pending
from sdml_kafka.rpc.client.reply_loop import ReplyTopics
from sdml_kafka.rpc.client.reply_stream import PendingStream, ReplyStream
from sdml_kafka.rpc.client.request_options import PropagateCorrTo, RequestHeaders, check_timeout
from sdml_kafka.rpc.client.status import RPCStatus
from sdml_kafka.rpc.dialects.messages import CorrelationFromRecord
from sdml_kafka.rpc.dialects.native import ID_NAMES, wire_of
from sdml_kafka.runtime import ActorSnapshot, Event, Restarts, Supervisor, SupervisorGaveUp
from sdml_kafka.transport.connect import rpc_transport
from sdml_kafka.transport.interfaces import ConsumerFactory, ProducerFactory, Transport
from sdml_kafka.transport.record_checks import TOPIC_RULE, is_topic_of_calls

FATAL = (AuthenticationFailed, AuthorizationFailed, ConfigurationError, TopicMissing)
"""A restart cannot mend these."""


class RequestOptions(TypedDict, total=False):
    """What `request` and `stream` take besides; see there."""

    req_key: bytes | str | None
    req_headers: RequestHeaders | None
    req_headers_reply_to: Sequence[str] | None
    res_timeout: float | None
    correlation_id: bytes | str | None
    propagate_corr_to: PropagateCorrTo
    correlation_header_key: str
    server_group: str | None


class KafkaRPC(anyio.AsyncContextManagerMixin):
    """Requests over Kafka, each with its reply.

    ```python
    async with KafkaRPC(bootstrap_servers="localhost:9092") as rpc:
        reply = await rpc.request("pricing", b"...", res_timeout=5.0)
    ```

    One client serves thousands of concurrent calls. Every call settles: with the reply, the
    server's error, a time-out, or that the client was left.
    """

    def __init__(
        self,
        parsers: Sequence[ParserSpec[Any]] = (),
        *,
        consumer_factory: ConsumerFactory | None = None,
        producer_factory: ProducerFactory | None = None,
        bootstrap_servers: str | None = None,
        group_id: str | None = None,
        corr_header_keys: Sequence[str] = ID_NAMES,
        correlation_from_record: CorrelationFromRecord | None = None,
        own_partition: bool = False,
        reply_topic: str | None = None,
        reply_partitions: int = 1,
        reply_retention: float = 3600.0,
        start_timeout: float = 10.0,
        stop_timeout: float = 10.0,
        restarts: Restarts | None = None,
        on_event: Callable[[Event], None] | None = None,
        transport: Transport | None = None,
        **client_options: Any,
    ) -> None:
        """Nothing is connected before the client is entered.

        parsers: which reply topics hold what, and how to parse it; see `ParserSpec`. Without any,
            replies are raw bytes in `reply_topic`, by default one of the client's own, that is
            deleted on leaving.
        consumer_factory: returns a new `AIOKafkaConsumer` each time, not started, without topics,
            with a group_id that nobody else uses. producer_factory: the same for an
            `AIOKafkaProducer`; without one the producer connects to `bootstrap_servers`, or to
            127.0.0.1:9092. Or give `bootstrap_servers` alone, and aiokafka's own options (TLS,
            SASL) as `client_options`; then `group_id` is unique to this client unless given.
        corr_header_keys: the headers that may carry a reply's correlation id, the first that is
            there counts. correlation_from_record: takes it from the whole record instead.
        own_partition: fetch one partition of each reply topic only, and ask servers to reply
            there (`KafkaRPCServer` does): for many clients that share a reply topic.
        reply_partitions, reply_retention (seconds): of reply topics that are missing and created.
        start_timeout, stop_timeout: seconds that entering and leaving may take.
        restarts: how often a failed actor is restarted before the failure comes out.
        on_event: called for each start, crash, restart and stop of an actor.
        transport: another one than aiokafka, for tests with `MemoryBroker`.

        Raises ConfigurationError for what cannot work.
        """
        check_timeouts(start_timeout, stop_timeout)
        if not corr_header_keys:
            raise ConfigurationError("corr_header_keys are names of headers, and there are none")
        name = f"sdml-rpc-{token_hex(6)}"
        transport = transport or rpc_transport(
            consumer_factory, producer_factory, bootstrap_servers, group_id or name, client_options
        )
        if parsers and reply_topic is not None:
            raise ConfigurationError(
                "reply_topic is for a client without parsers: they name their topics"
            )
        if reply_topic is not None and not is_topic_of_calls(reply_topic):
            raise ConfigurationError(
                f"reply_topic {reply_topic!r:.300} cannot be one for replies: {TOPIC_RULE}; those "
                "that begin with '__' are Kafka's own"
            )
        raw: ParserSpec[bytes] = {
            "topics": [reply_topic or name],
            "type": bytes,
            "parser": parse_bytes,
        }
        expectations = Expectations(compile_specs(parsers or [raw]))
        topics = ReplyTopics(
            expectations.topics,
            positive("reply_partitions", reply_partitions),
            positive("reply_retention", reply_retention),
            deleted_on_leaving=not parsers and reply_topic is None,
        )
        self._parts = RPCParts(
            name.removeprefix("sdml-rpc-"),
            expectations,
            wire_of(corr_header_keys),
            correlation_from_record,
            self._tree,
            own_partition=own_partition,
        )
        finalize(self, self._parts.harvests.close)  # of one that is never entered
        self._failure: BaseException | None = None
        self._on_event = on_event
        self._maker: CallMaker
        self._supervisor = Supervisor(
            "rpc",
            self._parts.children(transport, topics, start_timeout),
            strategy="one_for_one",
            restarts=restarts or Restarts(),
            is_fatal=lambda error: isinstance(error, FATAL),
            on_event=self._observe,
        )
        self._lifecycle = Lifecycle("client", self._supervisor, start_timeout, stop_timeout)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        calls = self._parts.calls
        try:
            async with self._lifecycle.entered():
                self._maker = self._parts.call_maker()
                try:
                    yield self
                finally:
                    calls.close(self._failure)
        finally:
            calls.close(self._failure)
            self._parts.outbox.close()
            self._parts.harvests.close()

    # -- for programs that cannot use `async with` ---------------------------------------

    async def start(self) -> None:
        """The same as entering; asyncio only, since a trio task cannot outlive its nursery."""
        await self._lifecycle.start(self)

    async def stop(self) -> None:
        """The same as leaving. Again is harmless. Raises what the client failed with."""
        if self._lifecycle.was_started:
            self._parts.calls.close(self._failure)
        await self._lifecycle.stop()

    # -- calls ---------------------------------------------------------------------------

    @overload
    async def request[T](
        self,
        req_topic: str,
        req_value: bytes | None,
        *,
        res_expect_type: type[T],
        **options: Unpack[RequestOptions],
    ) -> T: ...
    @overload
    async def request(
        self,
        req_topic: str,
        req_value: bytes | None,
        *,
        res_expect_type: Any = None,
        **options: Unpack[RequestOptions],
    ) -> Any: ...
    async def request(
        self,
        req_topic: str,
        req_value: bytes | None,
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
        """Send a request and wait for its reply: the parsed value.

        req_key: the record's key, for its partition; never an identity.
        req_headers_reply_to: where servers shall reply, at least one reply topic of this client;
            by default the one whose parser yields `res_expect_type`.
        res_timeout: seconds for all of it, connecting and sending included; None: no deadline.
            Inside of a handler of `KafkaRPCServer` what is left of its own budget is the most.
        res_expect_type: a type hint that a parser yields; the reply is checked against it.
        correlation_id: by default a new one. propagate_corr_to: whether it travels in the header
            `correlation_header_key`, as the key, or both; with a `req_key` in the header.
        server_group: fail at once when no member of that consumer group is alive.

        Raises CallTimeout (a TimeoutError), RemoteError (the server's own), ReplyInvalid,
        SendFailed (TopicMissing, PayloadTooLarge), AuthorizationFailed, ClientClosed, and
        ConfigurationError (a ValueError) for what cannot be asked, before anything is sent.
        """
        if self._lifecycle.state != "running" or server_group is not None:
            res_timeout = await self._get_ready(res_timeout, server_group)
        call = self._maker.call(
            Pending,
            req_topic,
            req_value,
            req_key,
            req_headers,
            req_headers_reply_to,
            res_timeout,
            res_expect_type,
            correlation_id,
            propagate_corr_to,
            correlation_header_key,
        )
        self._maker.begin(call)
        return await call.result()

    @overload
    def stream[T](
        self,
        req_topic: str,
        req_value: bytes | None,
        *,
        res_expect_type: type[T],
        max_waiting: int = 1000,
        **options: Unpack[RequestOptions],
    ) -> ReplyStream[T]: ...
    @overload
    def stream(
        self,
        req_topic: str,
        req_value: bytes | None,
        *,
        res_expect_type: Any = None,
        max_waiting: int = 1000,
        **options: Unpack[RequestOptions],
    ) -> ReplyStream[Any]: ...
    def stream(
        self,
        req_topic: str,
        req_value: bytes | None,
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

        As `request`, which is sent when the first reply is asked for; `res_timeout` covers the
        whole stream. At most `max_waiting` replies wait to be read, one more breaks the stream.
        Use `async with` around it when you may break off early.
        """
        most = positive("max_waiting", max_waiting)
        check_timeout(res_timeout)

        async def begin() -> PendingStream:
            timeout_s = await self._get_ready(res_timeout, server_group)
            call = self._maker.call(
                PendingStream,
                req_topic,
                req_value,
                req_key,
                req_headers,
                req_headers_reply_to,
                timeout_s,
                res_expect_type,
                correlation_id,
                propagate_corr_to,
                correlation_header_key,
            )
            call.most, call.next_waiter = most, self._maker.new_waiter
            self._maker.begin(call)
            return call

        return ReplyStream[Any](begin)

    async def notify(
        self,
        req_topic: str,
        req_value: bytes | None,
        *,
        req_key: bytes | str | None = None,
        req_headers: RequestHeaders | None = None,
        res_timeout: float | None = 30.0,
    ) -> None:
        """Send a request that asks for no reply; returns when the broker has acknowledged it.

        Raises CallTimeout, SendFailed (`in_doubt`: it may have arrived), AuthorizationFailed,
        ClientClosed, ConfigurationError.
        """
        timeout_s = await self._get_ready(res_timeout, None)
        call = self._maker.notification(req_topic, req_value, req_key, req_headers, timeout_s)
        self._maker.begin(call)
        await call.result()

    def status(self) -> RPCStatus:
        """What the client is doing right now, as a frozen value. Cheap; asks nobody."""
        return rpc_status(self._parts, self._tree())

    def _tree(self) -> ActorSnapshot:
        return self._supervisor.snapshot()

    async def _get_ready(self, timeout: float | None, server_group: str | None) -> float | None:
        """Start a client that was not entered (asyncio); what is left of the time."""
        timeout_s = check_timeout(timeout)
        began = anyio.current_time()
        with anyio.move_on_after(None if timeout_s == inf else timeout_s) as scope:
            if self._lifecycle.state != "running":
                await self.start()
            if server_group is not None:
                await self._parts.check_alive(server_group)
        if scope.cancelled_caught:
            raise CallTimeout(f"The call could not be sent within {timeout_s:.3g} s")
        left_s = max(0.001, timeout_s - (anyio.current_time() - began))
        return None if left_s == inf else left_s

    def _observe(self, event: Event) -> None:
        if isinstance(event, SupervisorGaveUp):
            self._failure = event.error
        if self._on_event is not None:
            self._on_event(event)


def positive[N: (int, float)](name: str, number: N) -> N:
    if not 0 < number < inf:
        raise ConfigurationError(f"{name} is more than 0, not {number!r}")
    return number
