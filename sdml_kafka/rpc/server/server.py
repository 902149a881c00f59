"""KafkaRPCServer, which answers requests."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self, overload

import anyio

from sdml_kafka.client_config import client_given
from sdml_kafka.consuming.partitions import MAX_BYTES_IN_FLIGHT
from sdml_kafka.declarations import Answering, Declaration
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.health.facts import Limits
from sdml_kafka.health.verdicts import Health
from sdml_kafka.hooks.calls import Hooks, hooks_of
from sdml_kafka.hooks.events import Origin
from sdml_kafka.hooks.hook import Hook
from sdml_kafka.lifecycle import Enterable, Lifecycle
from sdml_kafka.parsing.parsers import Parser, Skip
from sdml_kafka.producing.serializers import Encoded
from sdml_kafka.rpc.dialects.choice import Dialect
from sdml_kafka.rpc.dialects.messages import MAX_REPLY_TOPICS, CorrelationFromRecord
from sdml_kafka.rpc.dialects.native import ID_NAMES
from sdml_kafka.rpc.server.actor_tree import Bounds, IntakeOptions, ReplyOptions, ServerActors
from sdml_kafka.rpc.server.decorators import Decorator, SerializedDecorator
from sdml_kafka.rpc.server.dedupe import Dedupe
from sdml_kafka.rpc.server.handlers import (
    Handler,
    check_topics,
    compile_handler,
)
from sdml_kafka.rpc.server.reply_topic_policy import ReplyTopics
from sdml_kafka.rpc.server.status import ServerStatus
from sdml_kafka.runtime import Event, Restarts
from sdml_kafka.transport.client_choice import Client, ClientArguments, ClientChoice
from sdml_kafka.transport.connect import OnCorrupt, rpc_server_transport
from sdml_kafka.transport.interfaces.consumer import ConsumerFactory
from sdml_kafka.transport.interfaces.producer import ProducerFactory
from sdml_kafka.transport.interfaces.records import Record
from sdml_kafka.transport.interfaces.transports import Transport, check_transport


class KafkaRPCServer(Enterable):
    """Answers the requests of some topics, many at a time.

    ```python
    server = KafkaRPCServer(bootstrap_servers="localhost:9092", group_id="pricing")

    @server.handler("request", parser=parse_json)
    async def price(order: Any, call: Call) -> bytes: ...

    async with server:
        await anyio.sleep_forever()
    ```

    Every request is answered: with what the handler returns, or with an error. A request has
    finished, and may be committed, when its replies are acknowledged by the broker. Servers of one
    group share the requests; after a crash the requests that had not finished are handled again.

    Nothing is connected before the server is entered. It may be made before a fork and entered in
    each process after it; once entered it is for that process alone (`EnteredBeforeFork`).

    Args:
        group_id: The consumer group that shares the requests.
        bootstrap_servers: The addresses of some brokers: one string with commas, or a list. A group
            that is new then begins at the earliest request there is, unless
            `auto_offset_reset="latest"` is given as well.
        consumer_factory: Returns a new `AIOKafkaConsumer` each time, not started, with a
            group_id and without topics; in place of `bootstrap_servers` and `group_id`.
        producer_factory: Returns a new `AIOKafkaProducer` each time, not started. Without
            it, the producer connects to `bootstrap_servers`, or to 127.0.0.1:9092.
        concurrency: The number of requests that are handled at once, at most.
        max_bytes_in_flight: The bytes of requests, as they came, that were fetched and have not
            finished, over all partitions. A partition gets no more while it holds as much as is
            free, so that there is something left for the others; one that holds nothing always
            gets a request, however large. The client's own buffer comes on top. By default 64 MiB.
        drain_timeout: Seconds that handlers get to finish when their partition is revoked or
            the server is left. Requests that take longer come again. At a rebalance their
            handlers run on nevertheless; on leaving the handlers are cancelled.
        start_timeout: Seconds that entering may take.
        stop_timeout: Seconds that leaving may take.
        reply_topics: The topics that may be replied to: their names, or a function that
            takes a name. By default any topic but internal ones (`__...`) and those that
            this server serves.
        most_reply_topics: The number of topics that one request is replied on, 16 at most and
            by default; a request that names more is not replied to on the rest.
        dedupe: Answers a request that comes again, with the id that its header carries, with
            the stored answer; the handler does not run again. Streams are not stored.
        max_age_s: Seconds after which a request that waits is passed over, answered with
            `deadline_exceeded`: what is left in the topic when the group is new, was renamed, or
            its offsets have expired. By default only a request's own deadline counts.
        default_timeout: Seconds that a request without a deadline has, from when it was appended
            to its topic; by default it has for ever. Spring and NestJS send no deadlines.
        dialects: The dialects whose requests are replied to: "native", "spring" (or `Spring(...)`)
            and "nestjs". A request in any other one counts as one-way.
        expose_errors: Whether callers get the text of a handler's exception.
        corr_header_keys: The headers that may carry a request's correlation id. The first of
            them that a request has counts, then the request's key. By default `request_id`,
            `correlation_id` and `x-correlation-id`.
        correlation_from_record: Takes the correlation id from the record instead.
        create_topics: Whether starting creates the request topics that are missing, with the
            number of partitions and the settings that the broker is configured with. Serving alone
            creates none: a missing topic is served once it exists.
        on_corrupt: What to do about a batch that does not decode: "hold" its partition, as the
            status shows, or "skip" it, counted in `status().counters.corrupt` and logged.
        restarts: How often a failed actor is restarted before the failure comes out.
        on_event: Called for each start, crash, restart and stop of an actor.
        hooks: Observers of what happens; see `Hook`.
        clock: Returns the time in seconds since the epoch, to compare with the timestamps of
            requests that were in the log before this server could see them come. By default
            `time.time`, or the clock of the `MemoryBroker` that `transport` is of.
        client: "aiokafka", or "librdkafka", which needs the extra of that name.
        client_options: librdkafka's options by its own names.
        transport: Another transport than these, for tests with `MemoryBroker`.
        **aiokafka_options: aiokafka's own options, such as those for TLS and SASL.

    Raises:
        ConfigurationError: What was given cannot work.
    """

    def __init__(
        self,
        *,
        group_id: str | None = None,
        bootstrap_servers: str | Sequence[str] | None = None,
        consumer_factory: ConsumerFactory | None = None,
        producer_factory: ProducerFactory | None = None,
        concurrency: int = 100,
        max_bytes_in_flight: int = MAX_BYTES_IN_FLIGHT,
        drain_timeout: float = 5.0,
        start_timeout: float = 10.0,
        stop_timeout: float = 10.0,
        reply_topics: ReplyTopics = None,
        most_reply_topics: int = MAX_REPLY_TOPICS,
        dedupe: Dedupe | None = None,
        max_age_s: float | None = None,
        default_timeout: float | None = None,
        dialects: Sequence[Dialect] = ("native", "spring", "nestjs"),
        expose_errors: bool = False,
        corr_header_keys: Sequence[str] = ID_NAMES,
        correlation_from_record: CorrelationFromRecord | None = None,
        create_topics: bool = False,
        on_corrupt: OnCorrupt = "hold",
        restarts: Restarts | None = None,
        on_event: Callable[[Event], None] | None = None,
        hooks: Sequence[Hook] = (),
        clock: Callable[[], float] | None = None,
        client: Client = "aiokafka",
        client_options: Mapping[str, Any] | None = None,
        transport: Transport | None = None,
        **aiokafka_options: Any,
    ) -> None:
        where = bootstrap_servers, group_id, consumer_factory, producer_factory, aiokafka_options
        given = ClientArguments(*where, ClientChoice(client, client_options), _own_names())
        limit = Bounds(concurrency, max_bytes_in_flight, start_timeout, stop_timeout, drain_timeout)
        self._given = partial(client_given, given), [*corr_header_keys, ""][0]
        transport = transport or rpc_server_transport(given, max_bytes_in_flight)
        read_as = corr_header_keys, correlation_from_record, dialects, default_timeout
        requests = IntakeOptions(*read_as, dedupe, max_age_s, clock, create_topics, on_corrupt)
        replies = ReplyOptions(reply_topics, most_reply_topics, expose_errors)
        seen = hooks_of("server", group_id, client_options, aiokafka_options, hooks, on_event)
        self._prepare(limit, transport, requests, replies, restarts or Restarts(), seen)

    def _prepare(
        self,
        bounds: Bounds,
        transport: Transport,
        requests: IntakeOptions,
        replies: ReplyOptions,
        restarts: Restarts,
        hooks: Hooks,
    ) -> None:
        check_transport(transport)
        self._origin: Origin = hooks.origin
        self._handlers: dict[str, Handler] = {}
        self._bounds = bounds
        self._build = partial(
            ServerActors, self._handlers, transport, bounds, requests, replies, restarts, hooks
        )
        self._actors = self._build()
        self._lifecycle = Lifecycle("server", bounds.start_timeout_s, bounds.stop_timeout_s)

    @overload
    def handler(
        self,
        *topics: str,
        parser: None = None,
        serializer: None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> Decorator[bytes]: ...
    @overload
    def handler[V](
        self,
        *topics: str,
        parser: Callable[[Record], Awaitable[V | Skip]],
        serializer: None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> Decorator[V]: ...
    @overload
    def handler[V](
        self,
        *topics: str,
        parser: Parser[V],
        serializer: None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> Decorator[V]: ...
    @overload
    def handler[R](
        self,
        *topics: str,
        parser: None = None,
        serializer: Callable[[R], bytes | Encoded],
        concurrency: int | None = None,
        name: str | None = None,
    ) -> SerializedDecorator[bytes, R]: ...
    @overload
    def handler[V, R](
        self,
        *topics: str,
        parser: Callable[[Record], Awaitable[V | Skip]],
        serializer: Callable[[R], bytes | Encoded],
        concurrency: int | None = None,
        name: str | None = None,
    ) -> SerializedDecorator[V, R]: ...
    @overload
    def handler[V, R](
        self,
        *topics: str,
        parser: Parser[V],
        serializer: Callable[[R], bytes | Encoded],
        concurrency: int | None = None,
        name: str | None = None,
    ) -> SerializedDecorator[V, R]: ...
    def handler(
        self,
        *topics: str,
        parser: Callable[[Record], Any] | None = None,
        serializer: Callable[[Any], bytes | Encoded] | None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> Any:
        """Decorate the function that answers the requests of these topics, before entering.

        The function is called with the value and the `Call`. It returns bytes, `Encoded` (bytes and
        headers), None for an empty reply, or what `serializer` makes one of; it raises
        `RemoteError` to choose the error's status. An `async def` runs on the event loop and a
        plain `def` in a thread; an async generator answers with a stream.

        Args:
            *topics: The topics whose requests the function answers.
            parser: Makes the value of the record; what it raises is answered with
                `invalid_argument`, a `RemoteError` with its own status. Without it, the value is
                the record's value as bytes.
            serializer: Makes bytes, or `Encoded`, of what the function returns.
            concurrency: The number of requests that this handler runs at once, at most; by
                default the server's.
            name: The name in logs, errors and hooks; by default the function's.

        Returns:
            A decorator that returns the function unchanged. Type checkers see what it takes: a
            function of what `parser` returns, whose results are bytes or what `serializer` takes.

        Raises:
            ConfigurationError: What was given cannot work, or the server was entered already.
        """
        self._check_handler_of(topics)
        limit = self._bounds.concurrency if concurrency is None else concurrency

        def register(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
            self._check_handler_of(topics)  # the decorator may have been kept for a while
            handler = compile_handler(topics, function, parser, serializer, limit, name)
            self._handlers.update(dict.fromkeys(topics, handler))
            return function

        return register

    def _check_handler_of(self, topics: Sequence[str]) -> None:
        self._lifecycle.check_process()
        if self._lifecycle.state != "new":
            raise ConfigurationError("Handlers have to be there before the server is entered")
        check_topics(topics, self._handlers)

    def _declaration(self) -> Declaration:
        answers = [
            Answering(
                each.name,
                each.topics,
                each.function,
                each.parser,
                each.serializer,
                is_stream=each.kind == "stream",
            )
            for each in dict.fromkeys(self._handlers.values())
        ]
        client, id_header = self._given
        group_id = self._origin.group_id
        return Declaration("server", group_id, client(), answers=answers, id_header=id_header)

    # -- entering and leaving ------------------------------------------------------------

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self._lifecycle.check_new()
        if not self._handlers:
            raise ConfigurationError("The server has no handler: @server.handler('request')")
        actors = self._actors = self._build()
        try:
            async with self._lifecycle.entered(actors.supervisor):
                yield self
        finally:
            actors.outbox.close()

    async def serve_forever(self) -> None:
        """Serve until cancelled. A server that is not entered yet is entered.

        Raises:
            ClientClosed: The server was left.
            Exception: What the server failed with.
        """
        self._lifecycle.check_open()
        if self._lifecycle.was_started:
            await self._lifecycle.ended()
        elif self._lifecycle.state == "new":
            async with self:
                await anyio.sleep_forever()
        else:
            await anyio.sleep_forever()

    async def start(self) -> None:
        """Enter the server. On asyncio only, since a task of trio cannot outlive its nursery.

        A failure afterwards comes out of `serve_forever()` and of `stop()`. Starting a server that
        runs does nothing.

        Raises:
            ClientClosed: The server was left.
            ClientNotStarted: Another task is entering the server, or this is trio.
            BrokerUnreachable: No broker answered, or cannot be reached at the address that it
                advertises (`AdvertisedAddressUnreachable`). The text says what happened there.
            JoinTimeout: The group gave no partitions in time; `CoordinatorUnavailable` or
                `GroupFull` if the broker says why.
        """
        await self._lifecycle.start(self)

    async def stop(self) -> None:
        """Leave a server that `start()` entered. Stopping it again does nothing.

        Raises:
            Exception: What the server failed with.
        """
        await self._lifecycle.stop()

    def status(self) -> ServerStatus:
        """Return what the server is doing at this moment, as a frozen value, without waiting."""
        self._lifecycle.check_process()
        return self._actors.status(self._lifecycle)

    def health(self, *, stuck_after_s: float = 60.0, away_after_s: float = 1.0) -> Health:
        """Return whether the server does its work, and if not, why. Cheap: no broker is asked.

        It answers in every state, and once the context has ended with an error as well.

        Args:
            stuck_after_s: Seconds that the lowest unfinished request of a partition may take
                before its partition counts as stuck.
            away_after_s: Seconds that there may be no connection to any broker.

        Returns:
            A frozen value, with a reason for the whole and for each part.
        """
        return self._actors.health(self._lifecycle, Limits(stuck_after_s, away_after_s))


def declaration_of(server: KafkaRPCServer) -> Declaration:
    """Return what a server declares: its handlers so far."""
    return server._declaration()  # pyright: ignore[reportPrivateUsage]  # of its module


def words_of(server: KafkaRPCServer) -> Sequence[str]:
    """Return the words that may distinguish a server from others, the best first."""
    origin = server._origin  # pyright: ignore[reportPrivateUsage]  # of its module
    topics = server._handlers  # pyright: ignore[reportPrivateUsage]  # too
    return origin.group_id, ", ".join(topics), origin.client_id


def _own_names() -> Collection[str]:
    return KafkaRPCServer.__init__.__kwdefaults__ or ()
