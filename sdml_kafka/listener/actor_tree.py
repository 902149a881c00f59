"""The actors of a listener, and what they share."""

from collections.abc import Collection, Container, Sequence
from functools import partial
from logging import getLogger

import anyio
from attrs import evolve, frozen

from sdml_kafka.consuming.commit_schedule import AutoCommit
from sdml_kafka.consuming.committer import CommitScheduler, Committer
from sdml_kafka.consuming.consumer_loop import ConsumerLoop
from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.drain import Drain
from sdml_kafka.consuming.moving.pauses import Pauses
from sdml_kafka.consuming.moving.seeks import Seeks
from sdml_kafka.consuming.moving.start_from import StartFrom
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.consuming.operator_log import OperatorLog
from sdml_kafka.consuming.partitions import Intake, check_max_bytes
from sdml_kafka.consuming.status import ConsumerFacts, Place
from sdml_kafka.declarations import Processing
from sdml_kafka.errors import AuthenticationFailed, AuthorizationFailed, ConfigurationError
from sdml_kafka.health.facts import Limits
from sdml_kafka.health.rules import judge
from sdml_kafka.health.verdicts import Health
from sdml_kafka.hooks.batches import CommitHooks, on_delivered, on_finished
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.lifecycle import ACTOR_GRACE_S, Lifecycle, check_timeouts, is_expected
from sdml_kafka.listener.batch_parser import BatchParser, OnParseError
from sdml_kafka.listener.dispatch.dispatch_signal import DispatchSignal
from sdml_kafka.listener.dispatch.dispatcher import Dispatcher
from sdml_kafka.listener.hooked.records import RecordHooks
from sdml_kafka.listener.hooked.streams import loops_with
from sdml_kafka.listener.parse_failures import ParseFailures, ParseFailuresActor
from sdml_kafka.listener.processing.exactly_once.stage import SharedRecords
from sdml_kafka.listener.processing.exactly_once.transactions import Transacting
from sdml_kafka.listener.processing.job import places_of
from sdml_kafka.listener.processing.policies import NO_PRODUCER, DeadLetter
from sdml_kafka.listener.processing.processor import Surroundings
from sdml_kafka.listener.processing.processors import (
    Declared,
    Processors,
    processing_supervisor,
)
from sdml_kafka.listener.reader import MAX_RUN, Readers
from sdml_kafka.listener.rebalance_callbacks import RebalanceCallbacks
from sdml_kafka.listener.router import Router
from sdml_kafka.listener.status import ListenerStatus, listener_status
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.producing.serializers import Serializers
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime import ChildSpec, Restarts, Supervisor
from sdml_kafka.transport.connect import OnCorrupt, check_create_topics, clock_of, skips_corrupt
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.reports import ConsumerSettings
from sdml_kafka.transport.interfaces.transports import ListenerTransport

FATAL = (AuthenticationFailed, AuthorizationFailed, ConfigurationError)
"""Errors that no restart can mend."""

QUEUES = 8
"""The least number of queues that take all of `max_bytes_in_flight`: what waits for a stream that
is closed must not stop the others. Parsed records may take more memory, too."""

_log = getLogger("sdml_kafka.listener")


DEFAULT_START = StartFrom()
"""The client decides."""


@frozen
class ReadOptions:
    """How much may be handed out and fetched, unfinished, and what is done about missing topics."""

    max_in_flight: int
    max_bytes: int
    create_topics: bool
    offset_map: bool = True
    on_corrupt: OnCorrupt = "hold"
    start_from: StartFrom = DEFAULT_START

    def __attrs_post_init__(self) -> None:
        if type(self.max_in_flight) is not int or self.max_in_flight < 1:
            raise ConfigurationError(f"max_in_flight is 1 or more, not {self.max_in_flight!r}")
        check_max_bytes(self.max_bytes)
        check_create_topics(self.create_topics)
        skips_corrupt(self.on_corrupt)
        if type(self.offset_map) is not bool:
            raise ConfigurationError(f"offset_map is True or False, not {self.offset_map!r:.300}")


@frozen
class Timeouts:
    """Seconds that starting, stopping and draining may take."""

    start_s: float
    stop_s: float
    drain_s: float

    def __attrs_post_init__(self) -> None:
        check_timeouts(self.start_s, self.stop_s, self.drain_s)


class ListenerActors:
    """Builds and wires the consumer loop, the dispatcher and the commit scheduler."""

    outbox: Outbox

    def __init__(
        self,
        options: ReadOptions,
        timeouts: Timeouts,
        transport: ListenerTransport,
        serializers: Serializers,
        specs: Sequence[CompiledSpec],
        auto_commit: AutoCommit | None,
        callbacks: RebalanceCallbacks,
        on_parse_error: OnParseError | DeadLetter,
        restarts: Restarts,
        hooks: Hooks,
        declared: Sequence[Declared] = (),
    ) -> None:
        """Build everything, and start nothing; the arguments are those of `KafkaListener`."""
        self._auto_commit, self._client, self._hooks = auto_commit, transport.client, hooks
        self._current, paused = CurrentConsumer(), Pauses()
        self.signal: DispatchSignal = DispatchSignal()
        self.router: Router = self._make_router(specs, options)
        self.intake: Intake = self._make_intake(options, paused)
        self.outbox, log = Outbox(), RateLimitedLog(_log, anyio.current_time, hooks.log_fields)
        self._parse_failures = failures = self._make_failures(on_parse_error, transport, log)
        self._parser = BatchParser(
            _policy(on_parse_error), self.signal.fail, log, failures, self.intake.preparations
        )
        self.readers: Readers = Readers(self._parser, _max_run(auto_commit), *loops_with(hooks))
        self.committer: Committer = self._make_committer(log)
        parts = transport, serializers, log, timeouts, self._make_transacting(transport, options)
        self.processors: Processors = self._make_processors(*parts)
        self.drain: Drain = Drain(timeouts.drain_s, self.readers.flush, self._cut_off)
        self._log, self._health_facts = self._make_watches(log)
        self.seeks: Seeks = self._make_seeks(paused, options)
        self.supervisor: Supervisor = Supervisor(
            "listener",
            self._processing(declared, transport, restarts, timeouts)
            + self._children(transport.consumer, callbacks, options, timeouts),
            strategy="rest_for_one",
            restarts=restarts,
            is_fatal=self._is_fatal,
            is_expected=is_expected,
            on_event=hooks.on_event,
        )

    def _make_router(self, specs: Sequence[CompiledSpec], options: ReadOptions) -> Router:
        parts = specs, options.max_bytes / QUEUES, self._routes_changed, self.signal.notify
        return Router(*parts, self._withdrawn)

    def _make_intake(self, options: ReadOptions, paused: Pauses) -> Intake:
        reads = self.router.is_read, self._current, options.max_bytes
        observe = on_finished(self._hooks)
        return Intake(*reads, keeps_maps=options.offset_map, paused=paused, on_finished=observe)

    def _make_committer(self, log: RateLimitedLog) -> Committer:
        of = self.intake.ledger, self._current, self._choose_policy, log
        return Committer(*of, CommitHooks(self._hooks), self.readers.flush)

    def _make_seeks(self, paused: Pauses, options: ReadOptions) -> Seeks:
        moves = self.intake, paused, self.router.withdraw, self.committer, self.drain
        return Seeks(*moves, options.start_from)

    def _make_watches(self, log: RateLimitedLog) -> tuple[OperatorLog, ConsumerFacts]:
        router = self.router
        flush, may_wait = self.readers.flush, router.is_retry_topic
        watch = OperatorLog(
            _log, log, self.intake, flush=flush, may_wait=may_wait, hooks=self._hooks
        )
        known = lambda: router.own_topics, router.is_read, may_wait, router.taker
        return watch, ConsumerFacts(self.intake, watch, *known, unacknowledged=self._unacknowledged)

    def _unacknowledged(self) -> Container[Place]:
        failures = self._parse_failures
        places = set[Place]() if failures is None else places_of(failures.unacknowledged())
        return places | places_of(self.processors.unacknowledged())

    def _make_failures(
        self,
        on_parse_error: OnParseError | DeadLetter,
        transport: ListenerTransport,
        log: RateLimitedLog,
    ) -> ParseFailures | None:
        if not isinstance(on_parse_error, DeadLetter):
            return None
        if transport.producer is None:
            raise ConfigurationError(NO_PRODUCER)
        on_parse_error.check_topics(self.router.own_topics)
        return ParseFailures(
            on_parse_error,
            self.outbox,
            self.intake.ledger,
            lambda: self.readers.flush(),
            log,
            self._group,
            self.router.first_topic,
            self.signal.fail,
            RecordHooks(self._hooks, ""),
        )

    def end_streams(self, failure: Exception | None = None) -> None:
        """Hand out nothing more: loops end quietly, or with `failure`."""
        self.router.close(failure)
        self.intake.preparations.close()

    def _withdrawn(self) -> None:
        self.intake.preparations.release_gone()
        if self._parse_failures is not None:
            self._parse_failures.give_back_gone()

    def _cut_off(self, tenancies: Collection[Tenancy]) -> bool:
        parts = [self.processors, self._parse_failures]
        return any([part.cut_off(tenancies) for part in parts if part is not None])

    def _make_processors(
        self,
        transport: ListenerTransport,
        serializers: Serializers,
        log: RateLimitedLog,
        timeouts: Timeouts,
        transacting: Transacting,
    ) -> Processors:
        around = Surroundings(
            self._parser,
            self.outbox,
            serializers,
            log,
            self._group,
            clock_of(transport),
            self.signal.fail,
            can_send=transport.producer is not None,
            hooks=self._hooks,
        )
        parts = transport.producer, timeouts.start_s, transacting
        return Processors(self.router, around, *parts)

    def _make_transacting(self, transport: ListenerTransport, options: ReadOptions) -> Transacting:
        return Transacting(
            transport.transactions,
            options.offset_map,
            # With all that may be in hand of a partition, no more would come before the commit.
            max(1, options.max_in_flight // 2),
            self.committer,
            self._current,
            self._note_doubt,
            SharedRecords(),
            transport.reads_committed,
        )

    def _note_doubt(self, tenancies: Collection[Tenancy]) -> None:
        self.router.withdraw(self.intake.note_doubt(tenancies))

    def _children(
        self,
        connect: Connect,
        callbacks: RebalanceCallbacks,
        options: ReadOptions,
        timeouts: Timeouts,
    ) -> list[ChildSpec]:
        def consumer_loop() -> ConsumerLoop:
            return ConsumerLoop(
                connect,
                self._current,
                self.intake,
                self.router,
                self.committer,
                self.drain,
                self._log,
                start_timeout_s=timeouts.start_s,
                create_topics=options.create_topics,
                skips_corrupt=skips_corrupt(options.on_corrupt),
                on_records=self.signal.notify,
                on_assigned=callbacks.on_assigned,
                on_revoked=callbacks.on_revoked,
                seeks=self.seeks,
            )

        def dispatcher() -> Dispatcher:
            return Dispatcher(
                self.signal,
                self.intake,
                self.router,
                self._parser,
                options.max_in_flight,
                on_delivered(self._hooks),
            )

        def commit_scheduler() -> CommitScheduler:
            return CommitScheduler(
                self.committer,
                self.intake.ledger,
                self._log.limited,
                lambda: self.intake.health.connected,
            )

        return [
            ChildSpec(
                "consumer-loop",
                consumer_loop,
                start_timeout_s=timeouts.start_s + ACTOR_GRACE_S,
                stop_timeout_s=timeouts.stop_s,
            ),
            ChildSpec("dispatcher", dispatcher),
            ChildSpec("commit-scheduler", commit_scheduler),
        ]

    def _processing(
        self,
        declared: Sequence[Declared],
        transport: ListenerTransport,
        restarts: Restarts,
        timeouts: Timeouts,
    ) -> list[ChildSpec]:
        """Return the actors of the processors. They stop last, when the drain is over."""
        if transport.producer is None and not declared:
            return []
        failures = self._parse_failures
        beside = (
            [ChildSpec("parse-failures", lambda: ParseFailuresActor(failures))] if failures else []
        )
        factory = partial(
            processing_supervisor,
            self.processors,
            declared,
            self.outbox,
            transport.producer,
            restarts,
            self._is_fatal,
            is_expected,
            timeouts.start_s,
            beside,
        )
        return [
            ChildSpec(
                "processing",
                factory,
                start_timeout_s=timeouts.start_s + 2 * ACTOR_GRACE_S,
                stop_timeout_s=timeouts.stop_s,
            )
        ]

    def _group(self) -> str:
        consumer = self._current.consumer
        return "" if consumer is None else consumer.settings.group_id

    def status(self, lifecycle: Lifecycle) -> ListenerStatus:
        """Return what the actors are doing right now."""
        if not lifecycle.is_elsewhere:
            self.readers.flush()
            self.intake.recount()
        failures = self._parse_failures
        return listener_status(
            self.intake,
            lifecycle.now(),
            self.supervisor.snapshot(),
            self._parser.parse_errors,
            self.processors.status(with_ended=self.signal.failure is not None),
            () if failures is None else failures.held(),
            0 if failures is None else failures.counted_twice,
            self._client,
            self._log.standing.group_id,
            self.supervisor.recent_events(),
            self.outbox.waiting,
            0 if failures is None else failures.dead_letters,
        )

    def health(self, lifecycle: Lifecycle, limits: Limits) -> Health:
        """Return whether the listener does its work."""
        status = self.status(lifecycle)
        facts = self._health_facts.collect(lifecycle, status.tree, status.partitions)
        held = [*status.held, *(held for each in status.processors.values() for held in each.held)]
        return judge(evolve(facts, not_taken=held, processors=status.processors), limits)

    def dead_letter_topics(self, declared: Sequence[Declared]) -> Collection[str]:
        """Return the topics that dead letters are written to, as far as options name them."""
        topics = {*self.processors.dead_letter_topics, *self.unparsed_topics}
        for each in declared:
            topics.update(self.processors.dead_letters_of(each.type, each.options))
        return topics

    @property
    def unparsed_topics(self) -> Sequence[str]:
        """The topics that records go to which cannot be parsed."""
        failures = self._parse_failures
        return () if failures is None else sorted(map(failures.topic_for, self.router.own_topics))

    def declarations(self, declared: Sequence[Declared]) -> Sequence[Processing]:
        """Return what processors declare."""
        return [self.processors.declaration(each) for each in declared]

    def _routes_changed(self) -> None:
        self._current.nudge()
        self.signal.notify()

    def _choose_policy(self, settings: ConsumerSettings) -> AutoCommit | None:
        if self._auto_commit is not None or settings.auto_commit_interval_s is None:
            return self._auto_commit
        return AutoCommit(interval_s=settings.auto_commit_interval_s)

    def _is_fatal(self, error: Exception) -> bool:
        return isinstance(error, FATAL) or error is self.signal.failure


def _max_run(auto_commit: AutoCommit | None) -> int:
    """Return how many records a reader may take before the ledger learns of them."""
    return MAX_RUN if auto_commit is None else min(MAX_RUN, auto_commit.every or MAX_RUN)


def _policy(on_parse_error: OnParseError | DeadLetter) -> OnParseError:
    return "skip" if isinstance(on_parse_error, DeadLetter) else on_parse_error
