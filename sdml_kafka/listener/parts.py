"""The parts that the actors of a listener share, built and wired. Nothing here waits."""

from collections.abc import Collection, Container
from functools import partial
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
from sdml_kafka.listener.batch_parser import BatchParser
from sdml_kafka.listener.dispatch.dispatch_signal import DispatchSignal
from sdml_kafka.listener.dropped import Dropped, warn_of
from sdml_kafka.listener.hooked.records import RecordHooks
from sdml_kafka.listener.hooked.streams import loops_with
from sdml_kafka.listener.options import Settings
from sdml_kafka.listener.parse_failures import ParseFailures
from sdml_kafka.listener.processing.exactly_once.stage import SharedRecords
from sdml_kafka.listener.processing.exactly_once.transacting import Transacting
from sdml_kafka.listener.processing.job import places_of
from sdml_kafka.listener.processing.policies import NO_PRODUCER, DeadLetter
from sdml_kafka.listener.processing.processor import Surroundings
from sdml_kafka.listener.processing.processors import Processors
from sdml_kafka.listener.reader import MAX_RUN, Readers
from sdml_kafka.listener.router import Router
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.connect import clock_of
from sdml_kafka.transport.interfaces.reports import ConsumerSettings

QUEUES = 8
"""The least number of queues that take all of `max_bytes_in_flight`: what waits for a stream that
is closed must not stop the others. Parsed records may take more memory, too."""

_log = getLogger("sdml_kafka.listener")


class ListenerParts:
    """The parts of one listener, each with those that it calls."""

    def __init__(self, settings: Settings) -> None:
        """Join the parts of a listener with these settings."""
        self._settings, self._hooks = settings, settings.hooks
        self._current, self._paused = CurrentConsumer(), Pauses()
        self._limited_log = RateLimitedLog(_log, anyio.current_time, self._hooks.log_fields)
        self.outbox: Outbox = Outbox()
        self.signal: DispatchSignal = DispatchSignal()
        self.router: Router = self._make_router()
        self.intake: Intake = self._make_intake()
        self._parse_failures = self._make_failures()
        self._parser = self._make_parser()
        self.readers: Readers = self._make_readers()
        self.committer: Committer = self._make_committer()
        self.processors: Processors = self._make_processors()
        self.drain: Drain = Drain(settings.timeouts.drain_s, self.readers.flush, self._cut_off)
        self._log = self._make_operator_log()
        self._health_facts = self._make_health_facts()
        self.seeks: Seeks = Seeks(
            self.intake,
            self._paused,
            self.router.withdraw,
            self.committer,
            self.drain,
            settings.reading.start_from,
        )

    def _make_router(self) -> Router:
        return Router(
            self._settings.specs,
            self._settings.reading.max_bytes / QUEUES,
            self._routes_changed,
            self.signal.notify,
            self._withdrawn,
            Dropped(partial(warn_of, self._limited_log)),
        )

    def _make_intake(self) -> Intake:
        reading = self._settings.reading
        return Intake(
            self.router.is_read,
            self._current,
            reading.max_bytes,
            keeps_maps=reading.offset_map,
            paused=self._paused,
            on_finished=on_finished(self._hooks),
        )

    def _make_parser(self) -> BatchParser:
        policy = self._settings.on_parse_error
        return BatchParser(
            "skip" if isinstance(policy, DeadLetter) else policy,
            self.signal.fail,
            self._limited_log,
            self._parse_failures,
            self.intake.preparations,
        )

    def _make_readers(self) -> Readers:
        auto_commit = self._settings.auto_commit
        every = None if auto_commit is None else auto_commit.every
        max_run = min(MAX_RUN, every or MAX_RUN)
        dropped = self.router.dropped
        return Readers(self._parser, dropped, max_run, *loops_with(self._hooks))

    def _make_committer(self) -> Committer:
        return Committer(
            self.intake.ledger,
            self._current,
            self._choose_policy,
            self._limited_log,
            CommitHooks(self._hooks),
            self.readers.flush,
        )

    def _make_operator_log(self) -> OperatorLog:
        return OperatorLog(
            _log,
            self._limited_log,
            self.intake,
            flush=self.readers.flush,
            may_wait=self.router.is_retry_topic,
            hooks=self._hooks,
        )

    def _make_health_facts(self) -> ConsumerFacts:
        router = self.router
        return ConsumerFacts(
            self.intake,
            self._log,
            lambda: router.own_topics,
            router.is_read,
            router.is_retry_topic,
            router.taker,
            unacknowledged=self._unacknowledged,
        )

    def _unacknowledged(self) -> Container[Place]:
        failures = self._parse_failures
        places = set[Place]() if failures is None else places_of(failures.unacknowledged())
        return places | places_of(self.processors.unacknowledged())

    def _make_failures(self) -> ParseFailures | None:
        policy = self._settings.on_parse_error
        if not isinstance(policy, DeadLetter):
            return None
        if self._settings.transport.producer is None:
            raise ConfigurationError(NO_PRODUCER)
        policy.check_topics(self.router.own_topics)
        return ParseFailures(
            policy,
            self.outbox,
            self.intake.ledger,
            lambda: self.readers.flush(),
            self._limited_log,
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

    def _make_processors(self) -> Processors:
        transport = self._settings.transport
        around = Surroundings(
            self._parser,
            self.outbox,
            self._settings.serializers,
            self._limited_log,
            self._group,
            clock_of(transport),
            self.signal.fail,
            can_send=transport.producer is not None,
            hooks=self._hooks,
        )
        start_timeout_s = self._settings.timeouts.start_s
        return Processors(
            self.router, around, transport.producer, start_timeout_s, self._make_transacting()
        )

    def _make_transacting(self) -> Transacting:
        transport, reading = self._settings.transport, self._settings.reading
        return Transacting(
            transport.transactions,
            reading.offset_map,
            # With all that may be in hand of a partition, no more would come before the commit.
            max(1, reading.max_in_flight // 2),
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
        auto_commit = self._settings.auto_commit
        if auto_commit is not None or settings.auto_commit_interval_s is None:
            return auto_commit
        return AutoCommit(interval_s=settings.auto_commit_interval_s)
