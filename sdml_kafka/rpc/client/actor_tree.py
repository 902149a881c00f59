"""The parts of a client: what its actors share, and the actors themselves."""

from collections.abc import Callable
from math import inf
from secrets import randbits

import anyio

from sdml_kafka.errors import BrokerUnreachable, RemoteError, SendFailed
from sdml_kafka.producing.outbox import Outbox, Sender
from sdml_kafka.rpc.client.call_builder import CallMaker
from sdml_kafka.rpc.client.expectations import Expectations
from sdml_kafka.rpc.client.pending_calls import CallRegistry, Calls
from sdml_kafka.rpc.client.reply_dispatcher import (
    Backlog,
    Harvest,
    ReplyDispatcher,
    ReplyMatcher,
)
from sdml_kafka.rpc.client.reply_loop import Reading, ReplyLoop, ReplyTopics
from sdml_kafka.rpc.client.status import RPCCounters, RPCStatus
from sdml_kafka.rpc.dialects.messages import CorrelationFromRecord
from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.runtime import ActorSnapshot, ChildSpec, Mailbox
from sdml_kafka.runtime.snapshot import all_actors
from sdml_kafka.runtime.waiter import clock, waiter_maker
from sdml_kafka.transport.interfaces import Transport

HARVESTS = 16
"""Of polls, that may wait for the dispatcher."""
MEMBERS_TIMEOUT_S = 2.0
MEMBERS_KNOWN_S = 1.0
"""How long an answer about a group's members is believed."""
MAX_GROUPS = 100


class RPCParts:
    def __init__(
        self,
        name: str,
        expectations: Expectations,
        wire: Wire,
        extract: CorrelationFromRecord | None,
        snapshot: Callable[[], ActorSnapshot],
        *,
        own_partition: bool,
    ) -> None:
        self.expectations = expectations
        self.reading: Reading = Reading(randbits(31) if own_partition else None)
        self.outbox: Outbox = Outbox()
        self.calls: Calls = Calls(self.outbox, self.trouble_now)
        self._snapshot = snapshot
        self.id_prefix: bytes = f"{name}-".encode()
        self._matcher = ReplyMatcher(self.calls, self.id_prefix, wire, extract)
        self.harvests: Mailbox[Harvest] = Mailbox[Harvest](HARVESTS)
        self._backlog = Backlog()
        self._members: dict[str, tuple[float, int]] = {}
        self._maker: CallMaker | None = None

    def call_maker(self) -> CallMaker:
        """For the event loop that runs here."""
        self._maker = CallMaker(
            self.calls,
            self.expectations,
            self.reading,
            self._matcher,
            self.id_prefix,
            clock(),
            waiter_maker(),
        )
        return self._maker

    def children(
        self, transport: Transport, topics: ReplyTopics, start_timeout_s: float
    ) -> list[ChildSpec]:
        def sender() -> Sender:
            return Sender(transport.producer, self.outbox, start_timeout_s, creates_topics=True)

        def registry() -> CallRegistry:
            return CallRegistry(self.calls)

        def dispatcher() -> ReplyDispatcher:
            return ReplyDispatcher(self.harvests, self._backlog, self._matcher)

        def reply_loop() -> ReplyLoop:
            return ReplyLoop(
                transport.consumer,
                topics,
                self.reading,
                self.harvests,
                self.outbox,
                start_timeout_s,
                self._rebalanced,
            )

        # Their own deadlines come first, with the clearer errors.
        patience_s = start_timeout_s + 1.0
        return [
            ChildSpec("sender", sender, start_timeout_s=patience_s),
            ChildSpec("call-registry", registry),
            ChildSpec("dispatcher", dispatcher),
            ChildSpec("reply-loop", reply_loop, start_timeout_s=patience_s),
        ]

    def _rebalanced(self) -> None:
        if self._maker is not None:
            self._maker.forget_partitions()

    @property
    def connected(self) -> bool:
        return self.outbox.connected and self.reading.health.connected

    def trouble_now(self) -> Exception | None:
        """What is wrong with the connection at this moment."""
        if self.connected:
            return self.reading.trouble
        errors = [child.last_error for child in self._snapshot().children if child.last_error]
        return BrokerUnreachable(
            "; ".join(["There is no connection to the broker right now", *errors])
        )

    async def check_alive(self, group_id: str) -> None:
        """RemoteError `unavailable` when the server group has no member."""
        known_at, members = self._members.get(group_id, (-inf, 0))
        if anyio.current_time() - known_at > MEMBERS_KNOWN_S:
            producer = self.outbox.producer
            if producer is None:
                return  # being replaced: the deadline decides
            try:
                members = await producer.live_members(group_id, MEMBERS_TIMEOUT_S)
            except SendFailed:
                return  # nobody can say
            if len(self._members) >= MAX_GROUPS:
                self._members.clear()
            self._members[group_id] = (anyio.current_time(), members)
        if not members:
            error = RemoteError("unavailable", f"no member of group {group_id!r} is alive")
            error.received = True
            raise error


def rpc_status(parts: RPCParts, tree: ActorSnapshot) -> RPCStatus:
    counters = parts.calls.counters
    return RPCStatus(
        tree=tree,
        connected=parts.connected,
        in_flight=len(parts.calls.table),
        reply_partitions=parts.reading.partitions,
        counters=RPCCounters(
            calls=counters.calls,
            replies=counters.replies,
            timeouts=counters.timeouts,
            late_replies=counters.late,
            foreign_replies=counters.foreign,
            ambiguous_replies=counters.ambiguous,
            invalid_replies=counters.invalid,
            restarts=sum(actor.restarts for actor in all_actors(tree)),
        ),
    )
