"""The parts that the actors of a listener share, built and wired. Nothing here waits."""

from collections.abc import Collection, Container, Sequence
from logging import getLogger

import anyio

from sdml_kafka.consuming.commit_schedule import AutoCommit
from sdml_kafka.consuming.committer import Committer
from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.drain import Drain
from sdml_kafka.consuming.moving.pauses import Pauses
from sdml_kafka.consuming.moving.seeks import Seeks
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.consuming.operator_log import OperatorLog
from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.consuming.status import ConsumerFacts, Place
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.hooks.batches import CommitHooks, on_finished
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.listener.batch_parser import BatchParser, OnParseError
from sdml_kafka.listener.dispatch.dispatch_signal import DispatchSignal
from sdml_kafka.listener.hooked.records import RecordHooks
from sdml_kafka.listener.hooked.streams import loops_with
from sdml_kafka.listener.options import ReadOptions, Timeouts
from sdml_kafka.listener.parse_failures import ParseFailures
from sdml_kafka.listener.processing.exactly_once.stage import SharedRecords
from sdml_kafka.listener.processing.exactly_once.transacting import Transacting
from sdml_kafka.listener.processing.job import places_of
from sdml_kafka.listener.processing.policies import NO_PRODUCER, DeadLetter
from sdml_kafka.listener.processing.processor import Surroundings
from sdml_kafka.listener.processing.processors import Processors
from sdml_kafka.listener.reader import MAX_RUN, Readers
from sdml_kafka.listener.router import Router
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.producing.serializers import Serializers
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.connect import clock_of
from sdml_kafka.transport.interfaces.reports import ConsumerSettings
from sdml_kafka.transport.interfaces.transports import ListenerTransport

QUEUES = 8
"""The least number of queues that take all of `max_bytes_in_flight`: what waits for a stream that
is closed must not stop the others. Parsed records may take more memory, too."""

_log = getLogger("sdml_kafka.listener")


class ListenerParts:
    """The parts of one listener, each with those that it calls."""

    outbox: Outbox

    def __init__(
        self,
        options: ReadOptions,
        timeouts: Timeouts,
        transport: ListenerTransport,
        serializers: Serializers,
        specs: Sequence[CompiledSpec],
        auto_commit: AutoCommit | None,
        on_parse_error: OnParseError | DeadLetter,
        hooks: Hooks,
    ) -> None:
        """Join the parts; the arguments are those of `KafkaListener`."""
        self._auto_commit, self._hooks = auto_commit, hooks
        self._current, paused = CurrentConsumer(), Pauses()
        self.signal: DispatchSignal = DispatchSignal()
        self.router: Router = self._make_router(specs, options)
        self.intake: Intake = self._make_intake(options, paused)
        self.outbox, log = Outbox(), RateLimitedLog(_log, anyio.current_time, hooks.log_fields)
        self._parse_failures = failures = self._make_failures(on_parse_error, transport, log)
        self._parser = BatchParser(
            _policy(on_parse_error), self.signal.fail, log, failures, self.intake.preparations
        )
        taken = self._parser, self.router.dropped, _max_run(auto_commit)
        self.readers: Readers = Readers(*taken, *loops_with(hooks))
        self.committer: Committer = self._make_committer(log)
        parts = transport, serializers, log, timeouts, self._make_transacting(transport, options)
        self.processors: Processors = self._make_processors(*parts)
        self.drain: Drain = Drain(timeouts.drain_s, self.readers.flush, self._cut_off)
        self._log, self._health_facts = self._make_watches(log)
        self.seeks: Seeks = self._make_seeks(paused, options)

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

    def _group(self) -> str:
        settings = self._current.settings
        return "" if settings is None else settings.group_id

    def _routes_changed(self) -> None:
        self._current.nudge()
        self.signal.notify()

    def _choose_policy(self, settings: ConsumerSettings) -> AutoCommit | None:
        if self._auto_commit is not None or settings.auto_commit_interval_s is None:
            return self._auto_commit
        return AutoCommit(interval_s=settings.auto_commit_interval_s)


def _max_run(auto_commit: AutoCommit | None) -> int:
    """Return how many records a reader may take before the ledger learns of them."""
    return MAX_RUN if auto_commit is None else min(MAX_RUN, auto_commit.every or MAX_RUN)


def _policy(on_parse_error: OnParseError | DeadLetter) -> OnParseError:
    return "skip" if isinstance(on_parse_error, DeadLetter) else on_parse_error
