"""The actors of a listener; what they share is in `parts.py`."""

from collections.abc import Collection, Sequence
from functools import partial

from attrs import evolve

from sdml_kafka.consuming.committer import CommitScheduler
from sdml_kafka.consuming.consumer_loop import ConsumerLoop
from sdml_kafka.declarations import Processing
from sdml_kafka.errors import AuthenticationFailed, AuthorizationFailed, ConfigurationError
from sdml_kafka.health.facts import Limits
from sdml_kafka.health.rules import judge
from sdml_kafka.health.verdicts import Health
from sdml_kafka.hooks.batches import on_delivered
from sdml_kafka.lifecycle import ACTOR_GRACE_S, Lifecycle, is_expected
from sdml_kafka.listener.dispatch.dispatcher import Dispatcher
from sdml_kafka.listener.options import Settings
from sdml_kafka.listener.parse_failures import ParseFailuresActor
from sdml_kafka.listener.parts import ListenerParts
from sdml_kafka.listener.processing.processors import Declared, processing_supervisor
from sdml_kafka.listener.status import ListenerStatus, listener_status
from sdml_kafka.runtime import ChildSpec, Supervisor
from sdml_kafka.transport.connect import skips_corrupt

FATAL = (AuthenticationFailed, AuthorizationFailed, ConfigurationError)
"""Errors that no restart can mend."""


class ListenerActors(ListenerParts):
    """Builds the consumer loop, the dispatcher, the commit scheduler and the processors."""

    def __init__(self, settings: Settings, declared: Sequence[Declared] = ()) -> None:
        """Build everything, and start nothing; `declared` run as long as the listener does."""
        super().__init__(settings)
        self.supervisor: Supervisor = Supervisor(
            "listener",
            self._processing(declared) + self._children(),
            strategy="rest_for_one",
            restarts=settings.restarts,
            is_fatal=self._is_fatal,
            is_expected=is_expected,
            on_event=self._hooks.on_event,
        )

    def _children(self) -> list[ChildSpec]:
        reading, timeouts = self._settings.reading, self._settings.timeouts
        callbacks = self._settings.callbacks

        def consumer_loop() -> ConsumerLoop:
            return ConsumerLoop(
                self._settings.transport.consumer,
                self._current,
                self.intake,
                self.router,
                self.committer,
                self.drain,
                self._log,
                start_timeout_s=timeouts.start_s,
                create_topics=reading.create_topics,
                skips_corrupt=skips_corrupt(reading.on_corrupt),
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
                reading.max_in_flight,
                on_delivered(self._hooks),
            )

        def commit_scheduler() -> CommitScheduler:
            return CommitScheduler(
                self.committer,
                self.intake.ledger,
                self._limited_log,
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

    def _processing(self, declared: Sequence[Declared]) -> list[ChildSpec]:
        """Return the actors of the processors. They stop last, when the drain is over."""
        timeouts, connect_producer = self._settings.timeouts, self._settings.transport.producer
        if connect_producer is None and not declared:
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
            connect_producer,
            self._settings.restarts,
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
            parse_errors=self._parser.parse_errors,
            processors=self.processors.status(with_ended=self.signal.failure is not None),
            held=() if failures is None else failures.held(),
            counted_twice=0 if failures is None else failures.counted_twice,
            client=self._settings.transport.client,
            group_id=self._log.standing.group_id,
            recent=self.supervisor.recent_events(),
            sends_waiting=self.outbox.waiting,
            dead_letters=0 if failures is None else failures.dead_letters,
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

    def _is_fatal(self, error: Exception) -> bool:
        return isinstance(error, FATAL) or error is self.signal.failure
