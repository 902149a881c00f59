"""KafkaRPCServer: wires the actors of a server together, and no more."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from logging import getLogger
from typing import Any, Self

import anyio

from sdml_kafka.consuming.commit_schedule import AutoCommit
from sdml_kafka.consuming.committer import CommitScheduler, Committer
from sdml_kafka.consuming.consumer_loop import ConsumerLoop
from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.drain import Drain
from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    ConfigurationError,
    RestartsExhausted,
)
from sdml_kafka.lifecycle import Lifecycle, check_timeouts
from sdml_kafka.parsing.parsers import Parser
from sdml_kafka.producing.outbox import Outbox, Sender
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects.messages import MAX_REPLY_TOPICS, CorrelationFromRecord
from sdml_kafka.rpc.dialects.native import ID_NAMES, wire_of
from sdml_kafka.rpc.server.call import Answer, Call
from sdml_kafka.rpc.server.cancellations import Cancels
from sdml_kafka.rpc.server.dedupe import Dedupe, Repeats
from sdml_kafka.rpc.server.handler_runner import Answering
from sdml_kafka.rpc.server.handlers import Handler, check_topics, compile_handler
from sdml_kafka.rpc.server.replies import RepliesOut
from sdml_kafka.rpc.server.reply_topic_policy import Admission, ReplyTopics
from sdml_kafka.rpc.server.request_intake import OwnIds, Reception
from sdml_kafka.rpc.server.request_queue import RequestQueue
from sdml_kafka.rpc.server.status import Counts, ServerStatus, server_status
from sdml_kafka.rpc.server.threads import Threads
from sdml_kafka.rpc.server.worker_pool import WorkerPool, Workers
from sdml_kafka.runtime import ChildSpec, Event, Restarts, Supervisor
from sdml_kafka.runtime.waiter import waiter_maker
from sdml_kafka.transport.connect import rpc_server_transport
from sdml_kafka.transport.interfaces import (
    ConsumerFactory,
    ConsumerSettings,
    ProducerFactory,
    Transport,
)

_log = getLogger("sdml_kafka.server")

FATAL = (AuthenticationFailed, AuthorizationFailed, ConfigurationError, RestartsExhausted)
"""A restart cannot mend these."""
COMMIT_INTERVAL_S = 1.0
"""What finished since the last commit runs again after a crash."""


class KafkaRPCServer(anyio.AsyncContextManagerMixin):
    """Answers the requests of some topics, many at a time.

    ```python
    server = KafkaRPCServer(bootstrap_servers="localhost:9092", group_id="pricing")

    @server.handler("request", parser=parse_json)
    async def price(order: Any, call: Call) -> bytes: ...

    async with server:
        await anyio.sleep_forever()
    ```

    Every request is answered: with what the handler returns, or with an error. It has finished,
    and may be committed, when its replies are acknowledged by the broker. Servers of one group
    share the requests; after a crash what had not finished is handled again.
    """

    def __init__(
        self,
        *,
        group_id: str | None = None,
        bootstrap_servers: str | None = None,
        consumer_factory: ConsumerFactory | None = None,
        producer_factory: ProducerFactory | None = None,
        concurrency: int = 100,
        drain_timeout: float = 5.0,
        start_timeout: float = 10.0,
        stop_timeout: float = 10.0,
        reply_topics: ReplyTopics = None,
        most_reply_topics: int = MAX_REPLY_TOPICS,
        dedupe: Dedupe | None = None,
        expose_errors: bool = False,
        corr_header_keys: Sequence[str] = ID_NAMES,
        correlation_from_record: CorrelationFromRecord | None = None,
        restarts: Restarts | None = None,
        on_event: Callable[[Event], None] | None = None,
        clock: Callable[[], float] = time.time,
        transport: Transport | None = None,
        **client_options: Any,
    ) -> None:
        """Nothing is connected before the server is entered.

        group_id, bootstrap_servers: and aiokafka's own options (TLS, SASL) as `client_options`.
            Or `consumer_factory` and `producer_factory`, that return a new `AIOKafkaConsumer`
            (with a group_id, without topics) and `AIOKafkaProducer` each time, not started;
            without the latter the producer connects to `bootstrap_servers`, or to 127.0.0.1:9092.
            With `bootstrap_servers` a group that is new begins at the earliest request there is,
            unless `auto_offset_reset="latest"` is among the options.
        concurrency: requests that are handled at once, at most.
        drain_timeout: seconds that handlers get to finish when their partition is taken away or
            the server is left. The requests of those that take longer come again: at a rebalance
            they run on beside that, on leaving they are cancelled.
        start_timeout, stop_timeout: seconds that entering and leaving may take.
        reply_topics: the topics that may be replied to: names, or a function that takes one.
            Without: any but internal ones (`__...`) and those that this server serves.
        most_reply_topics: of one request, 16 at most; more are not replied to.
        dedupe: a request that comes again, with the id that its header carries, gets the stored
            answer, and the handler does not run again. Not for streams.
        expose_errors: tell callers the text of a handler's exception.
        corr_header_keys: the headers that may carry a request's correlation id, the first that is
            there counts, then the key. correlation_from_record: takes it from the record instead.
        restarts: how often a failed actor is restarted before the failure comes out.
        on_event: called for each start, crash, restart and stop of an actor.
        clock: the time in seconds since the epoch, from which deadlines are counted.
        transport: another one than aiokafka, for tests with `MemoryBroker`.

        Raises ConfigurationError for what cannot work.
        """
        if type(concurrency) is not int or concurrency < 1:
            raise ConfigurationError(f"concurrency is 1 or more, not {concurrency!r}")
        check_timeouts(start_timeout, stop_timeout, drain_timeout)
        self._transport = transport or rpc_server_transport(
            consumer_factory, producer_factory, bootstrap_servers, group_id, client_options
        )
        self._concurrency = concurrency
        self._start_timeout_s = start_timeout
        self._stop_timeout_s = stop_timeout
        self._expose_errors = expose_errors
        self._restarts = restarts or Restarts()
        self._handlers: dict[str, Handler] = {}
        if dedupe is not None and not isinstance(dedupe, Dedupe):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"dedupe is a Dedupe, dedupe=Dedupe(), not {dedupe!r}")
        self._seldom = RateLimitedLog(_log)
        self._counts = Counts()
        self._outbox = Outbox()
        self._current = CurrentConsumer()
        self._intake = Intake(lambda topic: True, self._current)
        self._drain = Drain(drain_timeout)
        self._committer = Committer(self._intake.ledger, self._current, _commit_policy, _log)
        self._replies = RepliesOut(self._outbox, self._counts, self._seldom)
        wire = wire_of(corr_header_keys)
        self._reception = Reception(
            wire=wire,
            own_ids=None
            if correlation_from_record is None
            else OwnIds(correlation_from_record, wire.id_names[0], self._seldom),
            admission=Admission(reply_topics, most_reply_topics, self._handlers, self._seldom),
            replies=self._replies,
            cancels=Cancels(wire, self._counts),
            repeats=None if dedupe is None else Repeats[Call, Answer](dedupe),
            counts=self._counts,
            wall_clock=clock,
        )
        self._queue = RequestQueue(self._intake, self._handlers, self._reception.cancels.look_ahead)
        self._workers = Workers(
            concurrency, self._queue, self._reception, self._replies, self._counts
        )
        self._supervisor = Supervisor(
            "server",
            self._children(),
            strategy="one_for_one",
            restarts=self._restarts,
            is_fatal=_is_fatal,
            on_event=on_event,
        )
        self._lifecycle = Lifecycle("server", self._supervisor, start_timeout, stop_timeout)

    def handler[F: Callable[[Any, Any], Any]](
        self,
        *topics: str,
        parser: Parser[Any] | None = None,
        serializer: Callable[[Any], bytes] | None = None,
        concurrency: int | None = None,
    ) -> Callable[[F], F]:
        """Decorates the function that answers the requests of these topics, before entering.

        It is called with the value and the `Call`, and returns bytes, None (an empty reply) or
        what `serializer` makes bytes of. `async def`; a plain `def` runs in a thread; an async
        generator answers with a stream. It raises `RemoteError` to choose the error's status.

        parser: takes the record; what it raises is answered with `invalid_argument`. Without: the
        value is the record's, as bytes. concurrency: of this handler alone.

        Raises ConfigurationError for what cannot work.
        """
        if self._lifecycle.state != "new":
            raise ConfigurationError("Handlers have to be there before the server is entered")
        check_topics(topics, self._handlers)
        limit = self._concurrency if concurrency is None else concurrency

        def register(function: F) -> F:
            handler = compile_handler(topics, function, parser, serializer, limit)
            self._handlers.update(dict.fromkeys(topics, handler))
            return function

        return register

    # -- the tree ------------------------------------------------------------------------

    def _children(self) -> list[ChildSpec]:
        def sender() -> Sender:
            # Names of reply topics come from strangers: they may be written to, never created.
            return Sender(
                self._transport.producer,
                self._outbox,
                self._start_timeout_s,
                creates_topics=False,
            )

        def requests() -> Supervisor:
            return Supervisor(
                "requests",
                self._serving(),
                strategy="rest_for_one",
                restarts=self._restarts,
                is_fatal=_is_fatal,
            )

        patience_s = self._start_timeout_s + 1.0
        return [
            ChildSpec("sender", sender, start_timeout_s=patience_s),
            ChildSpec(
                "requests",
                requests,
                start_timeout_s=patience_s + 0.5,
                stop_timeout_s=self._stop_timeout_s,
            ),
        ]

    def _serving(self) -> list[ChildSpec]:
        """In this order, so that workers are still there when the consumer loop drains."""

        def workers() -> WorkerPool:
            return WorkerPool(self._workers, self._replies, self._answering)

        def consumer_loop() -> ConsumerLoop:
            return ConsumerLoop(
                self._transport.consumer,
                self._current,
                self._intake,
                self._queue,
                self._committer,
                self._drain,
                _log,
                start_timeout_s=self._start_timeout_s,
                on_records=self._workers.has_come,
            )

        def commit_scheduler() -> CommitScheduler:
            return CommitScheduler(self._committer, self._intake.ledger, _log)

        return [
            ChildSpec("workers", workers),
            ChildSpec(
                "consumer-loop",
                consumer_loop,
                # Its own deadline comes first, with the clearer error.
                start_timeout_s=self._start_timeout_s + 1.0,
                stop_timeout_s=self._stop_timeout_s,
            ),
            ChildSpec("commit-scheduler", commit_scheduler),
        ]

    def _answering(self) -> Answering:
        return Answering(
            self._replies,
            Threads(self._workers.has_place),
            self._seldom,
            waiter_maker(),
            expose_errors=self._expose_errors,
        )

    # -- entering and leaving ------------------------------------------------------------

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        if not self._handlers:
            raise ConfigurationError("The server has no handler: @server.handler('request')")
        self._queue.topics = frozenset(self._handlers)
        try:
            async with self._lifecycle.entered():
                yield self
        finally:
            self._outbox.close()

    async def serve_forever(self) -> None:
        """Serve until cancelled; raises what the server failed with. Enters a server that is not
        entered yet."""
        self._lifecycle.check_open()
        if self._lifecycle.was_started:
            await self._lifecycle.ended()
        elif self._lifecycle.state == "new":
            async with self:
                await anyio.sleep_forever()
        else:
            await anyio.sleep_forever()

    async def start(self) -> None:
        """The same as entering; asyncio only, since a trio task cannot outlive its nursery.

        A failure afterwards comes out of `serve_forever()` and of `stop()`.
        """
        await self._lifecycle.start(self)

    async def stop(self) -> None:
        """The same as leaving. Again is harmless. Raises what the server failed with."""
        await self._lifecycle.stop()

    def status(self) -> ServerStatus:
        """What the server is doing right now, as a frozen value. Cheap; asks nobody."""
        return server_status(
            self._intake, self._supervisor.snapshot(), self._counts, self._outbox.connected
        )


def _commit_policy(settings: ConsumerSettings) -> AutoCommit:
    interval_s = settings.auto_commit_interval_s or COMMIT_INTERVAL_S
    return AutoCommit(interval_s=min(interval_s, COMMIT_INTERVAL_S))


def _is_fatal(error: Exception) -> bool:
    return isinstance(error, FATAL)
