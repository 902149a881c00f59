"""Builds what a client consists of: the state that its actors share, and the actors themselves."""

from collections.abc import Callable
from functools import partial
from secrets import randbits, token_hex
from weakref import finalize

from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    BrokerUnreachable,
    ConfigurationError,
    TopicMissing,
)
from sdml_kafka.health.facts import Facts, GroupFacts, Limits
from sdml_kafka.health.rules import judge
from sdml_kafka.health.verdicts import Health
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.lifecycle import ACTOR_GRACE_S, Lifecycle, is_expected
from sdml_kafka.producing.outbox import Outbox, Sender
from sdml_kafka.rpc.client.building.call_builder import CallBuilder
from sdml_kafka.rpc.client.building.call_plans import CallPlans
from sdml_kafka.rpc.client.building.request_dialects import dialect_of
from sdml_kafka.rpc.client.expectations import Expectations
from sdml_kafka.rpc.client.hooked.calls import calls_of
from sdml_kafka.rpc.client.pending_calls import CallRegistry, PendingCalls
from sdml_kafka.rpc.client.reply_dispatcher import (
    Backlog,
    PolledReplies,
    ReplyDispatcher,
    ReplyMatcher,
)
from sdml_kafka.rpc.client.reply_log import ReplyLog
from sdml_kafka.rpc.client.reply_loop import ReplyLoop
from sdml_kafka.rpc.client.reply_topics import Reading, ReplyTopics
from sdml_kafka.rpc.client.server_groups import ServerGroups
from sdml_kafka.rpc.client.status import RPCStatus, rpc_status
from sdml_kafka.rpc.dialects.foreign import ForeignDialect
from sdml_kafka.rpc.dialects.messages import CorrelationFromRecord
from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.runtime import ChildSpec, Event, Mailbox, Restarts, Supervisor, SupervisorGaveUp
from sdml_kafka.transport.interfaces.transports import Transport

FATAL = (AuthenticationFailed, AuthorizationFailed, ConfigurationError, TopicMissing)
"""The errors that a restart cannot mend."""
MAX_POLLS = 16
"""How many polls' replies may wait for the dispatcher."""


class ClientActors:
    """The actors of a client below their supervisor, and what outlives their restarts.

    Everything that makes a client unique is drawn here, so a client builds its actors when it is
    entered: programs fork.
    """

    def __init__(
        self,
        transport: Transport,
        choose_topics: Callable[[str], ReplyTopics],
        codec: Wire | ForeignDialect,
        extract: CorrelationFromRecord | None,
        start_timeout_s: float,
        restarts: Restarts,
        hooks: Hooks,
        *,
        own_partition: bool,
    ) -> None:
        name = f"sdml-rpc-{token_hex(6)}"
        topics = choose_topics(name)
        self.failure: BaseException | None = None
        """The error that the client has failed with, once its supervisor gave up."""
        self._hooks, self._on_event, self._client = hooks, hooks.on_event, transport.client
        self.id_prefix: bytes = f"{name.rpartition('-')[2]}-".encode()
        self.outbox: Outbox = Outbox()
        self.groups: ServerGroups = ServerGroups(self.outbox)
        self.calls: PendingCalls = calls_of(
            hooks, self.outbox, self.trouble_now, self._ask_for_other_partitions
        )
        self.reading: Reading = Reading(
            randbits(31) if own_partition else None,
            may_grow=not topics.deleted_on_leaving,
            turn=randbits(31),
        )
        self.polls: Mailbox[PolledReplies] = Mailbox[PolledReplies](MAX_POLLS)
        self._matcher = ReplyMatcher(self.calls, self.id_prefix, codec, extract)
        dialect = dialect_of(self._matcher, self.reading)
        self._plans = CallPlans(Expectations(topics.specs), dialect)
        self.supervisor: Supervisor = Supervisor(
            "rpc",
            self._children(transport, topics, start_timeout_s),
            restarts=restarts,
            is_fatal=lambda error: isinstance(error, FATAL),
            is_expected=is_expected,
            on_event=self._observe,
        )
        finalize(self, self.polls.close)  # for a client that is never entered

    def _children(
        self, transport: Transport, topics: ReplyTopics, start_timeout_s: float
    ) -> list[ChildSpec]:
        backlog = Backlog(self.polls)
        sender = partial(
            Sender, transport.producer, self.outbox, start_timeout_s, creates_topics=True
        )
        reply_loop = partial(
            ReplyLoop,
            transport.consumer,
            topics,
            self.reading,
            backlog,
            self.outbox,
            ReplyLog(self._hooks),
            start_timeout_s,
            self._plans.forget_all,
        )
        dispatcher = partial(ReplyDispatcher, self.polls, backlog, self._matcher)
        patience_s = start_timeout_s + ACTOR_GRACE_S
        return [
            ChildSpec("sender", sender, start_timeout_s=patience_s),
            ChildSpec("call-registry", partial(CallRegistry, self.calls)),
            ChildSpec("dispatcher", dispatcher),
            ChildSpec("reply-loop", reply_loop, start_timeout_s=patience_s),
        ]

    def call_builder(self) -> CallBuilder:
        """Return what builds calls for the event loop that runs here."""
        return CallBuilder(self.calls, self._plans, self.id_prefix)

    def settle_calls(self) -> None:
        """Settle the calls that wait with ClientClosed, and take no more."""
        self.calls.close(self.failure)

    def close(self) -> None:
        """Let nothing wait any more, once the actors have ended."""
        self.settle_calls()
        self.outbox.close()
        self.polls.close()

    def status(self, lifecycle: Lifecycle) -> RPCStatus:
        """Return what the client is doing right now."""
        now = lifecycle.now()
        return rpc_status(
            self.supervisor.snapshot(),
            self.calls.counts,
            connected=self._connected,
            in_flight=len(self.calls.table),
            reply_partitions=self.reading.partitions,
            client=self._client,
            recent=self.supervisor.recent_events(),
            oldest=self.calls.oldest(now),
            sends_waiting=self.outbox.waiting,
            held=self.calls.held.oldest(now),
        )

    def health(self, lifecycle: Lifecycle, limits: Limits) -> Health:
        """Return whether the client does its work."""
        health, now = self.reading.health, lifecycle.now()
        held = self.calls.held.oldest(now)
        return judge(
            Facts(
                what=lifecycle.what,
                state=lifecycle.state,
                tree=self.supervisor.snapshot(),
                failure=lifecycle.failure,
                away_s=self.reading.outage.seconds(now),
                away_why=next(iter(health.unreachable.values()), ""),
                group=GroupFacts(
                    "replies",
                    bool(self.reading.partitions) and self.reading.trouble is None,
                    None,
                    len(self.reading.partitions),
                    self.reading.was_opened,
                    str(self.reading.trouble or health.obstacle or ""),
                ),
                under_way={"calls": len(self.calls.table)},
                waits_for=None if held is None else held.why,
                waits_for_s=0.0 if held is None else held.for_s,
            ),
            limits,
        )

    @property
    def _connected(self) -> bool:
        return self.outbox.connected and self.reading.health.connected

    def trouble_now(self) -> Exception | None:
        """Return what is wrong with the connection at this moment."""
        if self._connected:
            return self.reading.trouble
        children = self.supervisor.snapshot().children
        errors = [child.last_error for child in children if child.last_error]
        return BrokerUnreachable(
            "; ".join(["There is no connection to the broker right now", *errors])
        )

    def _ask_for_other_partitions(self) -> None:
        """Have servers reply to other partitions, since those that were asked for may be stuck."""
        self.reading.turn += 1
        self._plans.forget_all()

    def _observe(self, event: Event) -> None:
        if isinstance(event, SupervisorGaveUp):
            self.failure = event.error
        if self._on_event is not None:
            self._on_event(event)
