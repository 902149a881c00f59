"""The actors of a listener, and what they share."""

from collections.abc import Callable, Sequence
from logging import getLogger

from sdml_kafka.consuming.commit_schedule import AutoCommit
from sdml_kafka.consuming.committer import CommitScheduler, Committer
from sdml_kafka.consuming.consumer_loop import ConsumerLoop
from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.drain import Drain
from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.errors import AuthenticationFailed, AuthorizationFailed, ConfigurationError
from sdml_kafka.lifecycle import ACTOR_GRACE_S
from sdml_kafka.listener.batch_parser import BatchParser, OnParseError
from sdml_kafka.listener.dispatch_signal import DispatchSignal
from sdml_kafka.listener.dispatcher import Dispatcher
from sdml_kafka.listener.reader import MAX_RUN, Readers
from sdml_kafka.listener.router import Router
from sdml_kafka.listener.status import ListenerStatus, listener_status
from sdml_kafka.parsing.specs import CompiledSpec
from sdml_kafka.runtime import ChildSpec, Event, Restarts, Supervisor
from sdml_kafka.transport.interfaces import Connect, ConsumerSettings, OnRebalance

FATAL = (AuthenticationFailed, AuthorizationFailed, ConfigurationError)
"""Errors that no restart can mend."""

_log = getLogger("sdml_kafka.listener")


class ListenerActors:
    """Builds and wires the consumer loop, the dispatcher and the commit scheduler."""

    def __init__(
        self,
        connect: Connect,
        specs: Sequence[CompiledSpec],
        *,
        auto_commit: AutoCommit | None,
        on_assigned: OnRebalance | None,
        on_revoked: OnRebalance | None,
        on_parse_error: OnParseError,
        max_in_flight: int,
        drain_timeout_s: float,
        start_timeout_s: float,
        stop_timeout_s: float,
        restarts: Restarts,
        on_event: Callable[[Event], None] | None,
    ) -> None:
        """Build everything, and start nothing; the arguments are those of `KafkaListener`."""
        self._auto_commit = auto_commit
        self.signal = DispatchSignal()
        self._current = CurrentConsumer()
        self.router = Router(specs, self._routes_changed, self.signal.notify)
        self.intake = Intake(self.router.is_read, self._current)
        every = None if auto_commit is None else auto_commit.every
        self.readers = Readers(MAX_RUN if every is None else min(MAX_RUN, every))
        self.drain = Drain(drain_timeout_s, self.readers.flush)
        self.committer = Committer(
            self.intake.ledger, self._current, self._choose_policy, _log, self.readers.flush
        )
        self._parser = BatchParser(on_parse_error, self.signal.fail)

        self.supervisor = Supervisor(
            "listener",
            self._children(
                connect, on_assigned, on_revoked, max_in_flight, start_timeout_s, stop_timeout_s
            ),
            strategy="rest_for_one",
            restarts=restarts,
            is_fatal=self._is_fatal,
            on_event=on_event,
        )

    def _children(
        self,
        connect: Connect,
        on_assigned: OnRebalance | None,
        on_revoked: OnRebalance | None,
        max_in_flight: int,
        start_timeout_s: float,
        stop_timeout_s: float,
    ) -> list[ChildSpec]:
        def consumer_loop() -> ConsumerLoop:
            return ConsumerLoop(
                connect,
                self._current,
                self.intake,
                self.router,
                self.committer,
                self.drain,
                _log,
                start_timeout_s=start_timeout_s,
                on_records=self.signal.notify,
                on_assigned=on_assigned,
                on_revoked=on_revoked,
            )

        def dispatcher() -> Dispatcher:
            return Dispatcher(self.signal, self.intake, self.router, self._parser, max_in_flight)

        def commit_scheduler() -> CommitScheduler:
            return CommitScheduler(self.committer, self.intake.ledger, _log)

        return [
            ChildSpec(
                "consumer-loop",
                consumer_loop,
                start_timeout_s=start_timeout_s + ACTOR_GRACE_S,
                stop_timeout_s=stop_timeout_s,
            ),
            ChildSpec("dispatcher", dispatcher),
            ChildSpec("commit-scheduler", commit_scheduler),
        ]

    def status(self) -> ListenerStatus:
        """Return what the actors are doing right now."""
        self.readers.flush()
        return listener_status(self.intake, self.supervisor.snapshot(), self._parser.parse_errors)

    def _routes_changed(self) -> None:
        self._current.nudge()
        self.signal.notify()

    def _choose_policy(self, settings: ConsumerSettings) -> AutoCommit | None:
        if self._auto_commit is not None or settings.auto_commit_interval_s is None:
            return self._auto_commit
        return AutoCommit(interval_s=settings.auto_commit_interval_s)

    def _is_fatal(self, error: Exception) -> bool:
        return isinstance(error, FATAL) or error is self.signal.failure
