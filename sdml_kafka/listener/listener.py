"""KafkaListener: what a program that listens uses."""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from inspect import isroutine
from types import UnionType
from typing import Any, Self, TypeVar, Unpack, overload
from weakref import WeakSet

import anyio
import anyio.lowlevel

from sdml_kafka.client_config import ClientConfig, client_given
from sdml_kafka.consuming.commit_schedule import AutoCommit, AutoCommitDict, auto_commit_of
from sdml_kafka.consuming.moving.seeks import Seeks
from sdml_kafka.consuming.moving.start_from import Start, StartFrom, check_partition, check_target
from sdml_kafka.consuming.partitions import MAX_BYTES_IN_FLIGHT
from sdml_kafka.declarations import Declaration, Reading
from sdml_kafka.errors import ClientClosed, ConfigurationError
from sdml_kafka.health.facts import Limits
from sdml_kafka.health.verdicts import Health
from sdml_kafka.hooks.calls import hooks_of
from sdml_kafka.hooks.hook import Hook
from sdml_kafka.lifecycle import Enterable, Lifecycle, was_cancelled
from sdml_kafka.listener.actor_tree import ListenerActors
from sdml_kafka.listener.batch_parser import OnParseError
from sdml_kafka.listener.options import ReadOptions, Settings, Timeouts
from sdml_kafka.listener.parse_failures import check_on_parse_error
from sdml_kafka.listener.processing.handler import (
    BatchDecorator,
    BatchHandlerFunction,
    Decorator,
    HandlerFunction,
    Outcome,
)
from sdml_kafka.listener.processing.options import ProcessOptions, compile_options
from sdml_kafka.listener.processing.policies import Batch, DeadLetter
from sdml_kafka.listener.processing.processors import Declared
from sdml_kafka.listener.rebalance_callbacks import RebalanceListener, callbacks_of
from sdml_kafka.listener.status import ListenerStatus
from sdml_kafka.listener.streams import TypeStream
from sdml_kafka.parsing.exact_class import Exactly, K, V
from sdml_kafka.parsing.parsers import ParserSpec
from sdml_kafka.parsing.specs import CompiledSpec, compile_specs
from sdml_kafka.producing.serializers import Serializer, Serializers
from sdml_kafka.runtime import Event, Restarts
from sdml_kafka.transport.client_choice import Client, ClientArguments, ClientChoice
from sdml_kafka.transport.connect import OnCorrupt, listener_transport
from sdml_kafka.transport.interfaces.consumer import Connect, ConsumerFactory, Target
from sdml_kafka.transport.interfaces.producer import ProducerFactory
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.transports import Transport, transport_of

T = TypeVar("T")


class KafkaListener(Enterable):
    """Streams of parsed records by type, each record finished before it is committed.

    ```python
    async with KafkaListener(parsers=[...], bootstrap_servers="localhost:9092",
                             group_id="billing") as listener:
        stream = await listener.subscribe(Order)
        async for order in stream: ...
    ```

    Nothing is connected before the listener is entered. It may be made before a fork and entered in
    each process after it; once entered it is for that process alone (`EnteredBeforeFork`).

    Args:
        parsers: Which topics hold what, and how to parse it; see `ParserSpec`.
        consumer_factory: Returns a new `AIOKafkaConsumer` each time, with a group_id, without
            topics, not started. It is called where an asyncio loop runs, on trio too, and
            again for each restart. Or give `bootstrap_servers` and `group_id`.
        producer_factory: Returns a new `AIOKafkaProducer` each time, not started, for what handlers
            return, retry topics and dead letters; beside a `consumer_factory`.
        bootstrap_servers: The addresses of some brokers, asked side by side: one string with
            commas, or a list.
        group_id: The group that shares the records.
        auto_commit: Commit after `every` finished records or `interval_s` seconds, whichever
            comes first. Without it commits happen at the consumer's own interval (5 s), or
            only on `commit()` if the consumer was built with `enable_auto_commit=False`.
        rebalance_listener: An object whose `on_partitions_assigned` and
            `on_partitions_revoked` (plain or async) are called on this side of the client;
            the latter after the drain. Both are bounded in time.
        on_parse_error: "skip" (the error is logged and counted, the record is finished),
            "raise" (the listener stops), a callable that takes the record and the error,
            after which the record is finished, or `DeadLetter(...)`, to write the record to a
            topic of its own before it is finished.
        serializers: How values of a type become bytes that handlers return to be sent (`Send`):
            `{Order: to_json}`. A value's own class decides, then its bases. Bytes and None need
            none.
        on_corrupt: What to do about a batch that does not decode at all: "hold" its partition, as
            the status shows, or "skip" it, counted in `status().counters.corrupt` and logged with
            its offsets.
        max_in_flight: The number of records of a partition that may be handed to the streams
            and not finished. What waits in a processor behind a busy key does not count.
        max_bytes_in_flight: The bytes of records, as they came, that were fetched and have not
            finished, over all partitions. A partition gets no more while it holds as much as is
            free, so that there is something left for the others; one that holds nothing always
            gets a record, however large. The client's own buffer comes on top. By default 64 MiB.
        drain_timeout: Seconds that records in hand get to finish when their partition is
            revoked or the listener is left.
        start_timeout: Seconds that entering may take.
        stop_timeout: Seconds that leaving may take.
        create_topics: Whether starting creates the topics that are missing, with the number of
            partitions and the settings that the broker is configured with. Reading alone creates
            none, whatever the broker does by itself: a missing topic is read once it exists.
        offset_map: Whether each commit says as well what has finished beyond its offset, so that
            those records do not come again after a hand-over or a restart. It is written into the
            commit's metadata as Confluent's parallel-consumer does. Without it the metadata is
            empty, and what others wrote there is ignored.
        start_from: Where to begin in partitions for which the group has committed nothing:
            "earliest", "latest", a `datetime` (the first record that is as late), or offsets by
            `TopicPartition`. Without it the client's `auto_offset_reset` decides.
        force: Whether to begin there in all partitions of the first assignment, whatever the group
            has committed. Those that come later, in a rebalance, are read on.
        restarts: How often a failed actor is restarted before the failure is raised.
        on_event: Called for each start, crash, restart and stop of an actor.
        hooks: Observers of what happens; see `Hook`.
        client: "aiokafka", or "librdkafka", which needs the extra of that name.
        client_options: librdkafka's options by its own names: `{"fetch.wait.max.ms": 50}`.
        transport: Another client than these: `MemoryBroker.connect(...)` in a test.
        **aiokafka_options: aiokafka's own options (TLS, SASL, `auto_offset_reset`,
            `group_instance_id`) beside `bootstrap_servers` and `group_id`.

    Raises:
        ConfigurationError: Something that was passed cannot work: a wrong address, a topic that
            cannot be, an option or value that is misspelt. No value is shown.
    """

    def __init__(
        self,
        parsers: Sequence[ParserSpec[Any]],
        *,
        consumer_factory: ConsumerFactory | None = None,
        producer_factory: ProducerFactory | None = None,
        bootstrap_servers: str | Sequence[str] | None = None,
        group_id: str | None = None,
        auto_commit: AutoCommit | AutoCommitDict | None = None,
        rebalance_listener: RebalanceListener | None = None,
        on_parse_error: OnParseError | DeadLetter = "skip",
        serializers: Mapping[Any, Serializer] | None = None,
        on_corrupt: OnCorrupt = "hold",
        max_in_flight: int = 1000,
        max_bytes_in_flight: int = MAX_BYTES_IN_FLIGHT,
        drain_timeout: float = 3.0,
        start_timeout: float = 10.0,
        stop_timeout: float = 10.0,
        create_topics: bool = False,
        offset_map: bool = True,
        start_from: Start | None = None,
        force: bool = False,
        restarts: Restarts | None = None,
        on_event: Callable[[Event], None] | None = None,
        hooks: Sequence[Hook] = (),
        client: Client = "aiokafka",
        client_options: Mapping[str, Any] | None = None,
        transport: Connect | Transport | None = None,
        **aiokafka_options: Any,
    ) -> None:
        start, most = StartFrom(start_from, force), max_bytes_in_flight
        reading = ReadOptions(max_in_flight, most, create_topics, offset_map, on_corrupt, start)
        timeouts = Timeouts(start_timeout, stop_timeout, drain_timeout)
        where = bootstrap_servers, group_id, consumer_factory, producer_factory, aiokafka_options
        given = ClientArguments(*where, ClientChoice(client, client_options), _own_names())
        self._client = partial(client_given, given)
        driver = transport_of(transport) or listener_transport(given, most)
        what = compile_specs(parsers), auto_commit_of(auto_commit), callbacks_of(rebalance_listener)
        seen = hooks_of("listener", group_id, client_options, aiokafka_options, hooks, on_event)
        failing = check_on_parse_error(on_parse_error), restarts or Restarts()
        written_by = Serializers(serializers or {})
        self._prepare(Settings(reading, timeouts, driver, *what, seen, *failing, written_by))

    def _prepare(self, settings: Settings) -> None:
        specs, timeouts, origin = settings.specs, settings.timeouts, settings.hooks.origin
        self._specs: Sequence[CompiledSpec] = specs
        topics = ", ".join(topic for spec in specs for topic in spec.topics)
        self._words: Sequence[str] = origin.group_id, topics, origin.client_id
        self._settings, self._declared = settings, list[Declared]()
        self._actors = ListenerActors(settings)
        self._streams = WeakSet[TypeStream[Any]]()  # which end with the life
        self._lifecycle = Lifecycle(
            "listener",
            timeouts.start_s,
            timeouts.stop_s,
            self._end_streams,
            self._forsake_streams,
            "subscribe() or start()",
        )

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        lifecycle = self._lifecycle
        lifecycle.check_new()
        actors = self._actors = ListenerActors(self._settings, self._declared)
        actors.readers.dropped.open()
        try:
            async with lifecycle.entered(actors.supervisor):
                try:
                    yield self
                except BaseException as error:
                    if was_cancelled(error):
                        actors.drain.skip()  # loops that are cancelled finish nothing any more
                    raise
                finally:
                    if not lifecycle.runs_in_own_task:
                        actors.end_streams()
                        self._give_back_pulled()
        finally:
            if not lifecycle.was_started:
                actors.end_streams()
            actors.signal.close()
            actors.outbox.close()
            actors.processors.end()

    # -- for programs that cannot use `async with` ---------------------------------------

    async def start(self) -> None:
        """Enter the listener; asyncio only, since a trio task cannot outlive its nursery.

        A failure afterwards comes out of the streams' loops and of `stop()`. Calling it again is
        harmless.

        Raises:
            ClientClosed: The listener was left.
            ClientNotStarted: Another task is entering the listener, or this is trio.
            BrokerUnreachable: No broker answered, or cannot be reached at the address that it
                advertises (`AdvertisedAddressUnreachable`). The text says what happened there.
            JoinTimeout: The group gave no partitions in time; `CoordinatorUnavailable` or
                `GroupFull` if the broker says why.
        """
        await self._lifecycle.start(self)

    async def stop(self) -> None:
        """Leave the listener that `start()` entered, and raise what it failed with.

        Calling it again is harmless.
        """
        self._lifecycle.check_process()
        if self._lifecycle.was_started:
            self._give_back_pulled()
        await self._lifecycle.stop()

    def _give_back_pulled(self) -> None:
        task = anyio.get_current_task().id
        for stream in list(self._streams):
            stream.let_go(task)

    def _declaration(self) -> Declaration:
        reads = [Reading(each.topics, each.type, each.parser) for each in self._specs]
        group, actors = self._words[0], self._actors
        processes, unparsed = actors.declarations(self._declared), actors.unparsed_topics
        return Declaration("listener", group, self._client(), reads, processes, (), unparsed)

    def _end_streams(self, failure: Exception | None) -> None:
        self._actors.end_streams(failure)

    def _forsake_streams(self, error: Exception) -> None:
        self._actors.router.forsake(error)
        self._actors.readers.stop_all()

    # -- what a program does with it -----------------------------------------------------

    @overload
    async def subscribe(
        self, tp: Exactly[dict[K, V]], queue_maxsize: int = 0, fresh: bool = False
    ) -> TypeStream[dict[K, V]]: ...
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
        """Open a stream of the records that parse to a type. Streams of a type share its records.

        A listener that was not started is started (asyncio only).

        Args:
            tp: The type, as a parser's spec has it. A class also stands for the one generic type of
                it that the specs have (`dict` for `dict[str, int]`), and the other way round.
            queue_maxsize: The number of records that may wait in the stream; 0 leaves the bound
                to `max_in_flight`.
            fresh: Whether the stream sees every record that is not dispatched yet, while the
                others go on seeing theirs. A record is finished when all have finished it.

        Returns:
            The stream, to be read with `async for`.

        Raises:
            UnknownType: No parser yields `tp`, or it could be several of the types that are there.
            ConfigurationError: The size is negative.
            ClientClosed: The listener was left.
        """
        if type(queue_maxsize) is not int or queue_maxsize < 0:
            raise ConfigurationError(f"queue_maxsize is 0 or more, not {queue_maxsize!r}")
        await self._ensure_running()
        actors = self._actors
        queue = actors.router.subscribe(tp, queue_maxsize, fresh=fresh)
        stream = TypeStream[Any](
            queue,
            actors.readers,
            lambda: actors.router.unsubscribe(queue, queue_maxsize),
            actors.signal.fail,
        )
        self._streams.add(stream)
        return stream

    async def _ensure_running(self) -> None:
        self._lifecycle.check_open()
        if self._lifecycle.state != "running":
            await self.start()
            self._lifecycle.check_open()  # somebody may have stopped what was starting

    @overload
    async def process[T](
        self,
        tp: type[T],
        handler: HandlerFunction[T, Outcome],
        *,
        batch: None = None,
        **options: Unpack[ProcessOptions],
    ) -> None: ...
    @overload
    async def process[T](
        self,
        tp: type[T],
        handler: BatchHandlerFunction[T, Outcome],
        *,
        batch: Batch,
        **options: Unpack[ProcessOptions],
    ) -> None: ...
    @overload
    async def process(
        self,
        tp: UnionType,
        handler: HandlerFunction[Any, Outcome],
        *,
        batch: None = None,
        **options: Unpack[ProcessOptions],
    ) -> None: ...
    @overload
    async def process(
        self,
        tp: UnionType,
        handler: BatchHandlerFunction[Any, Outcome],
        *,
        batch: Batch,
        **options: Unpack[ProcessOptions],
    ) -> None: ...
    async def process(
        self,
        tp: Any,
        handler: Callable[..., Any],
        *,
        batch: Batch | None = None,
        **options: Unpack[ProcessOptions],
    ) -> None:
        """Handle the records of a type side by side, until cancelled or the listener is left.

        A record finishes when its handler has returned and what the handler returned to be sent
        (`Send`) is acknowledged. Several processors, and the streams of a type, share its records.

        Args:
            tp: The type, as for `subscribe`.
            handler: Called as `handler(value, delivery)`: an async function, or a plain one, which
                runs in a thread. It returns None, a `Send` or several of them.
            batch: Calls the handler with a list of deliveries instead: `handler(deliveries)`.
            **options: How records are processed; see `ProcessOptions`.

        Raises:
            UnknownType: No parser yields `tp`, or it could be several of the types that are there.
            ConfigurationError: An option cannot work, or needs a producer where there is none.
            ClientClosed: The listener was left.
        """
        compiled = compile_options(handler, batch, options)
        await self._ensure_running()
        await self._actors.processors.run(tp, compiled)

    @overload
    def processor[T](
        self, tp: type[T], *, batch: None = None, **options: Unpack[ProcessOptions]
    ) -> Decorator[T]: ...
    @overload
    def processor[T](
        self, tp: type[T], *, batch: Batch, **options: Unpack[ProcessOptions]
    ) -> BatchDecorator[T]: ...
    @overload
    def processor(
        self, tp: UnionType, *, batch: None = None, **options: Unpack[ProcessOptions]
    ) -> Decorator[Any]: ...
    @overload
    def processor(
        self, tp: UnionType, *, batch: Batch, **options: Unpack[ProcessOptions]
    ) -> BatchDecorator[Any]: ...
    def processor(
        self, tp: Any, *, batch: Batch | None = None, **options: Unpack[ProcessOptions]
    ) -> Any:
        """Declare a handler before the listener is entered, to run as long as the listener does.

        Args:
            tp: The type, as for `subscribe`.
            batch: Calls the handler with a list of deliveries instead: `handler(deliveries)`.
            **options: How records are processed; see `ProcessOptions`.

        Returns:
            A decorator, which returns the function as it is. Type checkers see what it takes: a
            function of the type and its delivery that returns None, a `Send` or several of them.

        Raises:
            UnknownType: No parser yields `tp`, or it could be several of the types that are there.
            ConfigurationError: An option cannot work, or the listener was entered already.
        """
        if isroutine(tp):
            raise ConfigurationError("A processor needs its type: write @listener.processor(Order)")
        self._actors.router.check_type(tp)

        def declare(handler: Callable[..., Any]) -> Callable[..., Any]:
            if self._lifecycle.state != "new":
                raise ConfigurationError("The listener was entered: await listener.process(...)")
            self._declared.append(Declared(tp, compile_options(handler, batch, options)))
            return handler

        return declare

    async def commit(self) -> None:
        """Commit everything that has finished, now.

        Raises:
            CommitFailed: The commit did not get through within 5 s.
            CommitRejected: The partitions have just been revoked.
            ClientClosed: The listener is not running.
        """
        self._lifecycle.check_process()
        if self._lifecycle.state != "running":
            raise ClientClosed("The listener is not running, so there is nothing to commit")
        await self._actors.committer.commit()

    async def pause(self, what: str | TopicPartition) -> None:
        """Let no further record of a topic or a partition begin, until it is resumed.

        Records in hand finish, and are committed. What waits is taken back, and read again later.
        It stays so over rebalances, in whichever partitions of the topic are assigned.

        Args:
            what: A topic, or one of its partitions.

        Raises:
            ConfigurationError: No parser reads that topic.
            ClientClosed: The listener is not running.
        """
        self._moves(what).pause(what)
        await anyio.lowlevel.checkpoint()

    async def resume(self, what: str | TopicPartition) -> None:
        """Go on with what was paused, as soon as the records have finished that are in hand.

        The later call decides: a partition may be resumed although its topic is paused.

        Args:
            what: A topic with all of its partitions, or one of them.

        Raises:
            ConfigurationError: No parser reads that topic.
            ClientClosed: The listener is not running.
        """
        self._moves(what).resume(what)
        await anyio.lowlevel.checkpoint()

    async def seek(self, what: str | TopicPartition, to: Target) -> None:
        """Read from elsewhere on, and commit that, backwards too.

        Records in hand have `drain_timeout` to finish, handlers are cut off after it. With
        `enable_auto_commit=False` only `commit()` commits. In `on_partitions_assigned` of a
        `rebalance_listener` it comes before any record of the partitions. An offset that was
        deleted is treated as ever: reading goes on at the log's beginning, which is counted as a
        jump.

        Args:
            what: A partition that is assigned here, or a topic for all of those that are.
            to: An offset, a `datetime` (the first record that is as late), "earliest" or "latest".

        Raises:
            SeekFailed: It is not assigned here, or is being revoked, or no broker has said in time
                where to begin. Then reading goes on where it was, once all in hand has finished.
            OffsetBeyondEnd: The log of a partition ends before the offset; none is moved, of a
                topic neither. Seek its partitions one by one, or a `datetime`.
            ConfigurationError: No parser reads that topic, or nothing can begin there.
            ClientClosed: The listener is not running.
        """
        check_target(to, "to")
        await self._moves(what).seek(what, to)

    def _moves(self, what: str | TopicPartition) -> Seeks:
        """Return what pauses and moves partitions, also while the listener is being entered."""
        self._lifecycle.check_process()
        if self._lifecycle.state not in ("starting", "running"):
            raise ClientClosed("The listener is not running, so there is nothing to pause or seek")
        if not isinstance(what, str):
            check_partition(what)
        self._actors.router.check_topic(what if isinstance(what, str) else what[0])
        return self._actors.seeks

    def assigned_table(self) -> dict[str, list[int]]:
        """Return the partitions that are assigned right now.

        Returns:
            The numbers of the partitions, in order, by topic.
        """
        self._lifecycle.check_process()
        table: dict[str, list[int]] = {}
        for topic, partition in sorted(self._actors.intake.partitions):
            table.setdefault(topic, []).append(partition)
        return table

    def status(self) -> ListenerStatus:
        """Return what the listener is doing right now. Cheap: no broker is asked.

        Returns:
            A frozen value.
        """
        self._lifecycle.check_process()
        return self._actors.status(self._lifecycle)

    def health(self, *, stuck_after_s: float = 60.0, away_after_s: float = 1.0) -> Health:
        """Return whether the listener does its work, and if not, why. Cheap: no broker is asked.

        It answers in every state, and once the context has ended with an error as well.

        Args:
            stuck_after_s: Seconds that the lowest unfinished record of a partition may take
                before its partition counts as stuck.
            away_after_s: Seconds that there may be no connection to any broker.

        Returns:
            A frozen value, with a reason for the whole and for each part.
        """
        return self._actors.health(self._lifecycle, Limits(stuck_after_s, away_after_s))


def dead_letter_topics(listener: KafkaListener) -> Collection[str]:
    """Return the topics that a listener's dead letters go to, as far as options name them."""
    declared = listener._declared  # pyright: ignore[reportPrivateUsage]  # of its module
    return listener._actors.dead_letter_topics(declared)  # pyright: ignore[reportPrivateUsage]  # too


def declaration_of(listener: KafkaListener) -> Declaration:
    """Return what a listener declares: its types, and its processors so far."""
    return listener._declaration()  # pyright: ignore[reportPrivateUsage]  # of its module


def client_of(listener: KafkaListener) -> ClientConfig | None:
    """Return a listener's client and its options, None if something else has made the client."""
    return listener._client()  # pyright: ignore[reportPrivateUsage]  # of its module


def words_of(listener: KafkaListener) -> Sequence[str]:
    """Return the words that may distinguish a listener from others, the best first."""
    return listener._words  # pyright: ignore[reportPrivateUsage]  # of its module


def _own_names() -> Collection[str]:
    return KafkaListener.__init__.__kwdefaults__ or ()
