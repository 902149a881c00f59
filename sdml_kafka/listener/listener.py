"""KafkaListener: wires the actors together, and no more."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypedDict, TypeVar, overload
from weakref import WeakSet, finalize

import anyio

from sdml_kafka.consuming.commit_schedule import AutoCommit
from sdml_kafka.consuming.committer import CommitScheduler, Committer
from sdml_kafka.consuming.consumer_loop import ConsumerLoop, Patience
from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    ClientClosed,
    ConfigurationError,
)
from sdml_kafka.lifecycle import Lifecycle, check_timeouts
from sdml_kafka.listener.batch_parser import BatchParser, OnParseError
from sdml_kafka.listener.dispatcher import Dispatcher, Work, tell_work
from sdml_kafka.listener.reader import Readers
from sdml_kafka.listener.rebalance_callbacks import callbacks_of
from sdml_kafka.listener.router import Router
from sdml_kafka.listener.status import ListenerStatus, listener_status
from sdml_kafka.listener.streams import TypeStream
from sdml_kafka.parsing.parsers import ParserSpec
from sdml_kafka.parsing.specs import compile_specs
from sdml_kafka.runtime import ChildSpec, Event, Mailbox, Restarts, Supervisor
from sdml_kafka.transport.connect import listener_connect
from sdml_kafka.transport.interfaces import Connect, ConsumerFactory, ConsumerSettings

T = TypeVar("T")

FATAL = (AuthenticationFailed, AuthorizationFailed, ConfigurationError)
"""A restart cannot mend these."""


class AutoCommitDict(TypedDict, total=False):
    every: int
    interval_s: float


class KafkaListener(anyio.AsyncContextManagerMixin):
    """Streams of parsed records by type, each record finished before it is committed.

    ```python
    async with KafkaListener(parsers=[...], bootstrap_servers="localhost:9092",
                             group_id="billing") as listener:
        stream = await listener.subscribe(Order)
        async for order in stream: ...
    ```
    """

    def __init__(
        self,
        parsers: Sequence[ParserSpec[Any]],
        *,
        consumer_factory: ConsumerFactory | None = None,
        bootstrap_servers: str | None = None,
        group_id: str | None = None,
        auto_commit: AutoCommit | AutoCommitDict | None = None,
        rebalance_listener: object | None = None,
        on_parse_error: OnParseError = "skip",
        max_in_flight: int = 1000,
        drain_timeout: float = 3.0,
        start_timeout: float = 10.0,
        stop_timeout: float = 10.0,
        restarts: Restarts | None = None,
        on_event: Callable[[Event], None] | None = None,
        transport: Connect | None = None,
        **client_options: Any,
    ) -> None:
        """Nothing is connected before the listener is entered.

        parsers: which topics hold what, and how to parse it; see `ParserSpec`.
        consumer_factory: returns a new `AIOKafkaConsumer` each time, with a group_id, without
            topics, not started. Called where an asyncio loop runs, on trio too, and again for
            each restart. Or give `bootstrap_servers` and `group_id`, and aiokafka's own options
            (TLS, SASL, `auto_offset_reset`, `group_instance_id`) as `client_options`.
        auto_commit: commit after `every` finished records or `interval_s` seconds, whichever
            comes first. Without it: at the consumer's own interval (5 s), or only on `commit()`
            when it was built with `enable_auto_commit=False`.
        rebalance_listener: its `on_partitions_assigned` and `on_partitions_revoked` (plain or
            async) are called on this side of the client; the latter after the drain, bounded.
        on_parse_error: "skip" (logged, counted, finished), "raise" (stops the listener) or a
            callable that takes the record and the error, after which the record is finished.
        max_in_flight: records of a partition handed to the streams and not finished, at most.
        drain_timeout: seconds that records in hand get to finish when their partition is taken
            away or the listener is left.
        start_timeout, stop_timeout: seconds that entering and leaving may take.
        restarts: how often a failed actor is restarted before the failure comes out.
        on_event: called for each start, crash, restart and stop of an actor.
        transport: another port than aiokafka: `MemoryBroker.connect(...)` in a test.

        Raises ConfigurationError for what cannot work.
        """
        if max_in_flight < 1:
            raise ConfigurationError(f"max_in_flight is 1 or more, not {max_in_flight!r}")
        check_timeouts(start_timeout, stop_timeout, drain_timeout)
        if on_parse_error not in ("skip", "raise") and not callable(on_parse_error):
            raise ConfigurationError(
                f"on_parse_error is 'skip', 'raise' or a callable, not {on_parse_error!r}"
            )
        self._connect = transport or listener_connect(
            consumer_factory, bootstrap_servers, group_id, client_options
        )
        self._auto_commit = _auto_commit(auto_commit)
        self._policy = self._auto_commit
        self._on_assigned, self._on_revoked = callbacks_of(rebalance_listener)
        self._patience = Patience(start_timeout, drain_timeout)
        self._stop_timeout_s = stop_timeout
        self._parse_errors = 0
        self._work = Mailbox[Work](1)
        finalize(self, self._work.close)  # of one that is never entered
        self._router = Router(compile_specs(parsers), self._on_routes_changed)
        self._intake = Intake(max_in_flight, lambda topic: bool(self._router.routes(topic)))
        self._intake.on_work = lambda: tell_work(self._work)
        self._parser = BatchParser(on_parse_error, self._count_parse_error, self._intake.fail)
        self._streams = WeakSet[TypeStream[Any]]()
        self._readers = Readers()
        self._intake.flush = self._readers.flush
        self._committer = Committer(self._intake.ledger, self._readers.flush)
        self._supervisor = Supervisor(
            "listener",
            self._children(),
            strategy="rest_for_one",
            restarts=restarts or Restarts(),
            is_fatal=self._is_fatal,
            on_event=on_event,
        )
        self._lifecycle = Lifecycle(
            "listener", self._supervisor, start_timeout, stop_timeout, self._router.close
        )

    def _children(self) -> list[ChildSpec]:
        return [
            ChildSpec(
                "consumer-loop",
                lambda: ConsumerLoop(
                    self._connect,
                    self._intake,
                    self._router,
                    self._committer,
                    self._patience,
                    self._on_connected,
                    self._on_assigned,
                    self._on_revoked,
                ),
                # Its own deadline comes first, with the clearer error.
                start_timeout_s=self._patience.start_s + 1.0,
                stop_timeout_s=self._stop_timeout_s,
            ),
            ChildSpec(
                "dispatcher",
                lambda: Dispatcher(
                    self._work,
                    self._intake,
                    self._router,
                    self._parser,
                ),
            ),
            ChildSpec(
                "commit-scheduler",
                lambda: CommitScheduler(self._policy, self._committer, self._intake.ledger),
            ),
        ]

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        lifecycle = self._lifecycle
        try:
            async with lifecycle.entered():
                try:
                    yield self
                except anyio.get_cancelled_exc_class():
                    self._patience.drain_s = 0.0  # nobody waits for loops in a cancellation
                    raise
                finally:
                    if not lifecycle.runs_in_own_task:
                        self._router.close()
                    self._let_go_of_pulled()
        finally:
            if not lifecycle.was_started:
                self._router.close()
            self._work.close()

    # -- for programs that cannot use `async with` ---------------------------------------

    async def start(self) -> None:
        """The same as entering; asyncio only, since a trio task cannot outlive its nursery.

        A failure afterwards comes out of the streams' loops and of `stop()`.
        """
        await self._lifecycle.start(self)

    async def stop(self) -> None:
        """The same as leaving. Again is harmless. Raises what the listener failed with."""
        if self._lifecycle.was_started:
            self._let_go_of_pulled()
        await self._lifecycle.stop()

    # -- what a program does with it -----------------------------------------------------

    @overload
    async def subscribe(
        self, tp: type[T], queue_maxsize: int = 0, fresh: bool = False
    ) -> TypeStream[T]: ...
    @overload
    async def subscribe(
        self, tp: Any, queue_maxsize: int = 0, fresh: bool = False
    ) -> TypeStream[Any]: ...
    async def subscribe(
        self, tp: Any, queue_maxsize: int = 0, fresh: bool = False
    ) -> TypeStream[Any]:
        """A stream of the records that parse to `tp`. Streams of one type share its records.

        queue_maxsize: how many may wait in the stream; 0: bounded by `max_in_flight` alone.
        fresh: a stream of its own, that sees every record not yet dispatched, while the others
            go on seeing theirs; a record is finished when all have finished it.

        Raises UnknownType when no parser yields `tp`, ConfigurationError for a negative size,
        ClientClosed after the listener was left. One that was not started is started (asyncio).
        """
        if type(queue_maxsize) is not int or queue_maxsize < 0:
            raise ConfigurationError(f"queue_maxsize is 0 or more, not {queue_maxsize!r}")
        self._lifecycle.check_open()
        if self._lifecycle.state != "running":
            await self.start()
        queue = self._router.subscribe(tp, queue_maxsize, fresh=fresh)
        stream = TypeStream[Any](
            queue,
            self._readers,
            lambda: self._router.unsubscribe(queue, queue_maxsize),
            self._intake.fail,
        )
        self._streams.add(stream)
        return stream

    async def commit(self) -> None:
        """Commit everything that has finished, now.

        Raises CommitFailed when it does not get through within 5 s, CommitRejected when the
        partitions have just been taken away.
        """
        if self._lifecycle.state != "running":
            raise ClientClosed("The listener is not running, so there is nothing to commit")
        await self._committer.commit()

    def assigned_table(self) -> dict[str, list[int]]:
        """The partitions that are assigned right now: {topic: [numbers, in order]}."""
        table: dict[str, list[int]] = {}
        for topic, partition in sorted(self._intake.partitions):
            table.setdefault(topic, []).append(partition)
        return table

    def status(self) -> ListenerStatus:
        """What the listener is doing right now, as a frozen value. Cheap; asks nobody."""
        return listener_status(self._intake, self._supervisor.snapshot(), self._parse_errors)

    # -- what the actors call ------------------------------------------------------------

    def _on_connected(self, settings: ConsumerSettings) -> None:
        interval_s = settings.auto_commit_interval_s
        self._policy = self._auto_commit
        if self._policy is None and interval_s is not None:
            self._policy = AutoCommit(interval_s=interval_s)
        self._committer.automatic = self._policy is not None
        if self._policy is not None and self._policy.every is not None:
            self._readers.most = min(self._readers.most, self._policy.every)

    def _let_go_of_pulled(self) -> None:
        task = anyio.get_current_task().id
        for stream in list(self._streams):
            stream.let_go(task)

    def _on_routes_changed(self) -> None:
        self._intake.on_ready()
        tell_work(self._work)

    def _count_parse_error(self) -> None:
        self._parse_errors += 1

    def _is_fatal(self, error: Exception) -> bool:
        return isinstance(error, FATAL) or error is self._intake.failure


def _auto_commit(value: AutoCommit | AutoCommitDict | None) -> AutoCommit | None:
    if value is None or isinstance(value, AutoCommit):
        return value
    try:
        return AutoCommit(**value)
    except TypeError:
        raise ConfigurationError(
            f"auto_commit is {{'every': n, 'interval_s': s}}, either key alone will do, not {value}"
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"{error}; either key alone will do") from error
