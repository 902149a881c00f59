"""The parts of a server: what its actors share, and the tree of the actors."""

from collections.abc import Callable, Mapping, Sequence
from logging import getLogger
from math import ceil, inf

from attrs import evolve, frozen

from sdml_kafka.consuming.commit_schedule import AutoCommit
from sdml_kafka.consuming.committer import CommitScheduler, Committer
from sdml_kafka.consuming.consumer_loop import ConsumerLoop
from sdml_kafka.consuming.current_consumer import CurrentConsumer
from sdml_kafka.consuming.drain import Drain
from sdml_kafka.consuming.operator_log import OperatorLog
from sdml_kafka.consuming.partitions import Intake, check_max_bytes
from sdml_kafka.consuming.status import ConsumerFacts
from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    ConfigurationError,
    RestartsExhausted,
)
from sdml_kafka.health.facts import Limits
from sdml_kafka.health.rules import judge
from sdml_kafka.health.verdicts import Health
from sdml_kafka.hooks.batches import CommitHooks, on_finished
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.lifecycle import (
    ACTOR_GRACE_S,
    SUPERVISOR_GRACE_S,
    Lifecycle,
    check_timeouts,
    is_expected,
)
from sdml_kafka.producing.outbox import Outbox, Sender
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects.choice import Dialect, check_dialects
from sdml_kafka.rpc.dialects.messages import CorrelationFromRecord
from sdml_kafka.rpc.dialects.native import wire_of
from sdml_kafka.rpc.server.call import Answer, ServerCall
from sdml_kafka.rpc.server.call_lifecycle import CallLifecycle, WorkerPool, oldest_in_handlers
from sdml_kafka.rpc.server.cancellations import Cancellations
from sdml_kafka.rpc.server.dedupe import Dedupe, Repeats
from sdml_kafka.rpc.server.handlers import Handler, check_concurrency
from sdml_kafka.rpc.server.hooked.replies import replies_of
from sdml_kafka.rpc.server.hooked.requests import delivering, lifecycle_of, runner_of
from sdml_kafka.rpc.server.own_ids import OwnIds
from sdml_kafka.rpc.server.reply_topic_policy import ReplyTopicPolicy, ReplyTopics
from sdml_kafka.rpc.server.replying.replies import Replies
from sdml_kafka.rpc.server.request_intake import RequestIntake
from sdml_kafka.rpc.server.request_queue import RequestQueue
from sdml_kafka.rpc.server.status import Counts, ServerStatus, server_status
from sdml_kafka.rpc.server.threads import Threads
from sdml_kafka.runtime import ChildSpec, Restarts, Supervisor
from sdml_kafka.runtime.waiter import clock, waiter_maker
from sdml_kafka.transport.connect import OnCorrupt, check_create_topics, clock_of, skips_corrupt
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import ConsumerSettings
from sdml_kafka.transport.interfaces.transports import Transport
from sdml_kafka.workers.pool import Pool

_log = getLogger("sdml_kafka.server")

FATAL = (AuthenticationFailed, AuthorizationFailed, ConfigurationError, RestartsExhausted)
"""The errors that no restart can mend."""
REQUESTS_GRACE_S = (ACTOR_GRACE_S + SUPERVISOR_GRACE_S) / 2
"""Seconds that the start of "requests", itself a supervisor, may take beyond its actors' own."""
COMMIT_INTERVAL_S = 1.0
"""Seconds between commits, at most: after a crash, what finished since the last runs again."""


@frozen
class Bounds:
    """How many requests run at once, how much is fetched, and how many seconds things may take."""

    concurrency: int
    max_bytes_in_flight: int
    start_timeout_s: float
    stop_timeout_s: float
    drain_timeout_s: float

    def __attrs_post_init__(self) -> None:
        check_timeouts(self.start_timeout_s, self.stop_timeout_s, self.drain_timeout_s)
        check_concurrency(self.concurrency)
        check_max_bytes(self.max_bytes_in_flight)


@frozen
class IntakeOptions:
    """How requests are read."""

    id_names: Sequence[str]
    extract_id: CorrelationFromRecord | None
    dialects: Sequence[Dialect]
    default_timeout_s: float | None
    dedupe: Dedupe | None
    max_age_s: float | None
    wall_clock: Callable[[], float] | None
    create_topics: bool
    on_corrupt: OnCorrupt

    def __attrs_post_init__(self) -> None:
        if self.dedupe is not None and not isinstance(self.dedupe, Dedupe):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"dedupe is a Dedupe, dedupe=Dedupe(), not {self.dedupe!r}")
        _check_seconds("max_age_s", self.max_age_s)
        _check_seconds("default_timeout", self.default_timeout_s)
        check_dialects(self.dialects)
        check_create_topics(self.create_topics)
        skips_corrupt(self.on_corrupt)


@frozen
class ReplyOptions:
    """Where replies go, and what they disclose."""

    topics: ReplyTopics
    max_topics: int
    expose_errors: bool


class ServerActors:
    """Builds and wires the sender, the workers, the consumer loop and the commit scheduler."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        transport: Transport,
        bounds: Bounds,
        intake_options: IntakeOptions,
        reply_options: ReplyOptions,
        restarts: Restarts,
        hooks: Hooks,
    ) -> None:
        self._transport, self._bounds, self._restarts = transport, bounds, restarts
        self._intake_options, self._reply_options = intake_options, reply_options
        self._wall_clock = intake_options.wall_clock or clock_of(transport)
        self._hooks, self._counts = hooks, Counts()
        self._limited_log = RateLimitedLog(_log, common=hooks.log_fields)
        self.outbox: Outbox = Outbox()
        self.pool: Pool[ServerCall, Answer] = Pool(bounds.concurrency)
        self._current = CurrentConsumer()
        self.intake: Intake = self._make_intake()
        self._log = self._make_operator_log()
        self._health_facts = ConsumerFacts(
            self.intake, self._log, lambda: self.queue.topics, handled=self._handled
        )
        self._committer = self._make_committer()
        self.replies: Replies = replies_of(
            hooks, self.outbox, self._counts, self._limited_log, self.pool.wake
        )
        self.request_intake: RequestIntake = self._make_request_intake(handlers)
        self.queue: RequestQueue = RequestQueue(
            self.intake,
            handlers,
            self.request_intake.cancellations.look_ahead,
            delivering(hooks, self.request_intake),
        )
        self.supervisor: Supervisor = self._make_supervisor()

    def _make_intake(self) -> Intake:
        return Intake(
            lambda topic: True,
            self._current,
            self._bounds.max_bytes_in_flight,
            on_finished=on_finished(self._hooks),
        )

    def _make_operator_log(self) -> OperatorLog:
        return OperatorLog(
            _log,
            self._limited_log,
            self.intake,
            is_sending=lambda: self.outbox.connected,
            hooks=self._hooks,
        )

    def _make_committer(self) -> Committer:
        return Committer(
            self.intake.ledger,
            self._current,
            _commit_policy,
            self._limited_log,
            CommitHooks(self._hooks),
        )

    def status(self, lifecycle: Lifecycle) -> ServerStatus:
        """Return what the server is doing at this moment."""
        if not lifecycle.is_elsewhere:
            self.intake.recount()
        return server_status(
            self.intake,
            lifecycle.now(),
            self.supervisor.snapshot(),
            self._counts,
            is_sending=self.outbox.connected,
            client=self._transport.client,
            group_id=self._log.standing.group_id,
            recent=self.supervisor.recent_events(),
            oldest=oldest_in_handlers(self.pool, self._wall_clock),
            sends_waiting=self.outbox.waiting,
        )

    def health(self, lifecycle: Lifecycle, limits: Limits) -> Health:
        """Return whether the server does its work."""
        status = self.status(lifecycle)
        return judge(self._health_facts.collect(lifecycle, status.tree, status.partitions), limits)

    def _handled(self) -> set[tuple[TopicPartition, int]]:
        """Return the requests whose handlers run."""
        places: set[tuple[TopicPartition, int]] = set()
        for worker in list(self.pool.workers):
            if (call := worker.item) is not None:
                tenancy = call.chunk.tenancy
                key = TopicPartition(tenancy.topic, tenancy.partition)
                places.add((key, call.chunk.offsets[call.index]))
        return places

    def _make_request_intake(self, handlers: Mapping[str, Handler]) -> RequestIntake:
        requests, replies, log = self._intake_options, self._reply_options, self._limited_log
        extract, timeout_s = requests.extract_id, requests.default_timeout_s
        reads_native, foreign = check_dialects(requests.dialects)
        sign = None if foreign is None else foreign.sign
        wire = evolve(wire_of(requests.id_names), sign_of_others=sign)
        own_ids = None if extract is None else OwnIds(extract, wire.id_names[0], log)
        return RequestIntake(
            wire=wire,
            reads_native=reads_native,
            foreign=foreign,
            own_ids=own_ids,
            reply_topic_policy=ReplyTopicPolicy(replies.topics, replies.max_topics, handlers, log),
            replies=self.replies,
            cancellations=Cancellations(wire, own_ids, self._counts),
            repeats=None if requests.dedupe is None else Repeats(requests.dedupe),
            counts=self._counts,
            max_age_s=requests.max_age_s,
            default_timeout_ms=None if timeout_s is None else ceil(timeout_s * 1000),
            wall_clock=self._wall_clock,
        )

    # -- the tree ------------------------------------------------------------------------

    def _make_supervisor(self) -> Supervisor:
        return Supervisor(
            "server",
            self._children(),
            strategy="one_for_one",
            restarts=self._restarts,
            is_fatal=_is_fatal,
            is_expected=is_expected,
            on_event=self._hooks.on_event,
        )

    def _children(self) -> list[ChildSpec]:
        start_timeout_s = self._bounds.start_timeout_s

        def sender() -> Sender:
            # Strangers name the reply topics, which may therefore be written to, never created.
            return Sender(
                self._transport.producer, self.outbox, start_timeout_s, creates_topics=False
            )

        def requests() -> Supervisor:
            return Supervisor(
                "requests",
                self._children_of_requests(),
                strategy="rest_for_one",
                restarts=self._restarts,
                is_fatal=_is_fatal,
                is_expected=is_expected,
            )

        return [
            ChildSpec("sender", sender, start_timeout_s=start_timeout_s + ACTOR_GRACE_S),
            ChildSpec(
                "requests",
                requests,
                start_timeout_s=start_timeout_s + REQUESTS_GRACE_S,
                stop_timeout_s=self._bounds.stop_timeout_s,
            ),
        ]

    def _children_of_requests(self) -> list[ChildSpec]:
        """Return them in such an order that workers still run while the consumer loop drains."""

        def workers() -> WorkerPool:
            return WorkerPool(self.pool, self._lifecycle, self.replies.resend_timer)

        def consumer_loop() -> ConsumerLoop:
            return ConsumerLoop(
                self._transport.consumer,
                self._current,
                self.intake,
                self.queue,
                self._committer,
                Drain(self._bounds.drain_timeout_s),
                self._log,
                start_timeout_s=self._bounds.start_timeout_s,
                create_topics=self._intake_options.create_topics,
                skips_corrupt=skips_corrupt(self._intake_options.on_corrupt),
                on_records=self._queue_requests,
                on_health=self.queue.note_ends,
            )

        def commit_scheduler() -> CommitScheduler:
            return CommitScheduler(
                self._committer,
                self.intake.ledger,
                self._limited_log,
                lambda: self.intake.health.connected,
            )

        return [
            ChildSpec("workers", workers),
            ChildSpec(
                "consumer-loop",
                consumer_loop,
                start_timeout_s=self._bounds.start_timeout_s + ACTOR_GRACE_S,
                stop_timeout_s=self._bounds.stop_timeout_s,
            ),
            ChildSpec("commit-scheduler", commit_scheduler),
        ]

    def _lifecycle(self) -> CallLifecycle:
        runner = runner_of(
            self._hooks,
            self.replies,
            Threads(self._give_place),
            self.intake.preparations,
            self._limited_log,
            waiter_maker(),
            expose_errors=self._reply_options.expose_errors,
        )
        parts = self.queue, self.request_intake, self.replies, self._counts, runner
        return lifecycle_of(self._hooks, *parts, clock())

    # -- what the parts call -------------------------------------------------------------

    def _queue_requests(self) -> None:
        """Have the requests handled that have just come."""
        self.queue.refresh()
        self.pool.wake()

    def _give_place(self, handler: Handler) -> None:
        """Start a request that waits, now that this handler runs one fewer."""
        self.queue.unpark(handler)
        self.pool.wake()


def _check_seconds(name: str, seconds: object) -> None:
    if seconds is not None and not (isinstance(seconds, int | float) and 0 < seconds < inf):
        raise ConfigurationError(f"{name} is in seconds, above 0, not {seconds!r}")


def _commit_policy(settings: ConsumerSettings) -> AutoCommit:
    interval_s = settings.auto_commit_interval_s or COMMIT_INTERVAL_S
    return AutoCommit(interval_s=min(interval_s, COMMIT_INTERVAL_S))


def _is_fatal(error: Exception) -> bool:
    return isinstance(error, FATAL)
