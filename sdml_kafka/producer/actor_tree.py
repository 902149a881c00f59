"""The actors of a producer, and what they share."""

from collections.abc import Callable
from functools import partial
from logging import getLogger

import anyio

from sdml_kafka.consuming.trouble_logs import outage_log, why_away
from sdml_kafka.errors import (
    AuthenticationFailed,
    AuthorizationFailed,
    ConfigurationError,
    ProducerFenced,
)
from sdml_kafka.health.facts import Facts, Limits
from sdml_kafka.health.rules import judge
from sdml_kafka.health.standing import Outage, Silence
from sdml_kafka.health.verdicts import Health
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.group import OutageHooks
from sdml_kafka.lifecycle import ACTOR_GRACE_S, Lifecycle, is_expected
from sdml_kafka.producer.hooked_sends import sends_with
from sdml_kafka.producer.pending_sends import PendingSends
from sdml_kafka.producer.status import ProducerStatus
from sdml_kafka.producer.transactions import TransactionKeeper, TransactionOutbox
from sdml_kafka.producing.outbox import Outbox, Sender
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime import Actor, ChildSpec, Life, Restarts, Supervisor
from sdml_kafka.runtime.snapshot import all_actors
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions

FATAL = (AuthenticationFailed, AuthorizationFailed, ConfigurationError, ProducerFenced)
"""The errors that a restart cannot mend. Who was fenced would fence the other one, and so on."""
LOOK_S = 0.1
"""Seconds between two looks at the deadlines while records wait."""

_log = getLogger("sdml_kafka.producer")


class DeadlineWatch(Actor):
    """Fails records that are not acknowledged in time."""

    def __init__(self, sends: PendingSends, look: Callable[[float], None]) -> None:
        self._sends = sends
        self._look = look

    async def run(self, life: Life) -> None:
        """Look at the deadlines now and then, which costs nothing for each record."""
        life.started()
        with life.cancel_on_stop():
            while True:
                await anyio.sleep(LOOK_S)
                self._sends.expire(now := anyio.current_time())
                self._look(now)


class ProducerActors:
    """Builds and wires the sender and the watch of the deadlines."""

    def __init__(
        self,
        connect: ConnectProducer | None,
        transactions: ConnectTransactions | None,
        client: str,
        max_waiting: int,
        start_timeout_s: float,
        restarts: Restarts,
        hooks: Hooks,
    ) -> None:
        self._client, self._outage, self._silence = client, Outage(), Silence()
        self._outage_hooks = OutageHooks(hooks)
        consequence = "records wait for their deadline"
        self._outage_log = outage_log(_log, consequence, hooks.log_fields)
        self.log: RateLimitedLog = RateLimitedLog(_log, common=hooks.log_fields)
        self.transactions: TransactionOutbox | None = None
        self.outbox: Outbox
        sender: Callable[[], Actor]
        if transactions is not None:
            self.outbox = self.transactions = outbox = TransactionOutbox()
            sender = partial(TransactionKeeper, transactions, outbox, start_timeout_s)
        else:
            assert connect is not None
            self.outbox = Outbox()
            sender = partial(Sender, connect, self.outbox, start_timeout_s, creates_topics=True)
        self.sends: PendingSends = PendingSends(
            self.outbox, max_waiting, self.log, sends_with(hooks), self.outbox.note_failed
        )
        self.supervisor: Supervisor = Supervisor(
            "producer",
            [
                ChildSpec("sender", sender, start_timeout_s=start_timeout_s + ACTOR_GRACE_S),
                ChildSpec("deadlines", partial(DeadlineWatch, self.sends, self._look)),
            ],
            restarts=restarts,
            is_fatal=lambda error: isinstance(error, FATAL),
            is_expected=is_expected,
            on_event=hooks.on_event,
        )

    def _look(self, now: float) -> None:
        is_connected = self.outbox.connected
        reason, extra = why_away(self.outbox.unreachable)
        self._outage.note(now, is_connected=is_connected)
        self._outage_log.look(now, {} if is_connected else {None: reason}, extra)
        self._outage_hooks.look(now, None if is_connected else reason)
        self._note_silence(now)

    def _note_silence(self, now: float) -> None:
        sends, is_connected = self.sends, self.outbox.connected
        answered = sends.counts.sent + sends.late
        since = sends.waits_since()
        self._silence.note(now, answered, sends.timed_out, since, is_connected=is_connected)

    def health(self, lifecycle: Lifecycle, limits: Limits) -> Health:
        """Return whether the producer does its work."""
        if lifecycle.state == "running" and not lifecycle.is_elsewhere:
            self._note_silence(lifecycle.now())  # something may have been acknowledged just now
        return judge(
            Facts(
                what=lifecycle.what,
                state=lifecycle.state,
                tree=self.supervisor.snapshot(),
                failure=lifecycle.failure,
                away_s=self._outage.seconds(lifecycle.now()),
                away_why=next(iter(self.outbox.unreachable.values()), ""),
                under_way={"sends": self.sends.waiting},
                silent_s=self._silence.seconds(lifecycle.now()),
            ),
            limits,
        )

    def status(self) -> ProducerStatus:
        """Return what the producer is doing right now."""
        tree = self.supervisor.snapshot()
        return ProducerStatus(
            tree=tree,
            connected=self.outbox.connected,
            waiting=self.sends.waiting,
            sent=self.sends.counts.sent,
            failed=self.sends.counts.failed,
            restarts=sum(actor.restarts for actor in all_actors(tree)),
            client=self._client,
            committed=0 if self.transactions is None else self.transactions.counts.committed,
            aborted=0 if self.transactions is None else self.transactions.counts.aborted,
            recent=self.supervisor.recent_events(),
        )
