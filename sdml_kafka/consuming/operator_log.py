"""The operator's log of a consumer: a line for each thing that happens, and none twice.

INFO says what the consumer does, WARNING what may need a person. Every line is on the page
docs/operations.md with what to do about it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from logging import ERROR, WARNING, Logger

import anyio

from sdml_kafka.consuming.loop_stalls import LoopStalls, Stall
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.consuming.partitions import Intake
from sdml_kafka.consuming.trouble_logs import (
    NODE_AWAY,
    WAITS_PATIENCE_S,
    held_log,
    jump_fields,
    missing_log,
    node_log,
    outage_log,
    partition_fields,
    stuck_log,
    unread_log,
    waits_log,
    why_away,
)
from sdml_kafka.health.facts import Sightings
from sdml_kafka.health.standing import MAX_LOOK_S, Outage, Standing
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.group import GroupHooks
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.runtime.waiter import clock
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Assignment, ConsumerSettings, Jump, Revocation
from sdml_kafka.transport.partition_names import partitions

LOOK_S = MAX_LOOK_S
"""Seconds between two looks at what lasts, and at how late the event loop is."""
STUCK_LOOK_S = 5.0


class OperatorLog:
    """Logs what happens to one consumer, over all of its lives."""

    _revoked_at: float | None

    def __init__(
        self,
        log: Logger,
        limited: RateLimitedLog,
        intake: Intake,
        is_sending: Callable[[], bool] = lambda: True,
        flush: Callable[[], None] = lambda: None,
        may_wait: Callable[[str], bool] = lambda topic: False,
        *,
        hooks: Hooks,
    ) -> None:
        """Begin before the first life.

        Args:
            log: The log of the part that the consumer works for.
            limited: Its lines that may come often, which are completed here.
            intake: What is assigned, and the client's health.
            is_sending: Returns whether the producer beside the consumer has a connection.
            flush: Brings the ledger up to date with the readers that have records in hand.
            may_wait: Returns whether the records of a topic wait on purpose.
            hooks: Observe the same.
        """
        self._log, self._intake = log, intake
        self.limited: RateLimitedLog = limited
        self._is_sending = is_sending
        self._flush, self._may_wait = flush, may_wait
        self._common = common = hooks.log_fields
        self._outage_log = outage_log(log, "nothing is read or committed", common)
        self._nodes = node_log(log, common)
        self._missing = missing_log(log, common)
        self._held = held_log(log, common)
        self._waits = waits_log(log, common)
        self._stuck = stuck_log(log, common)
        self._unread = unread_log(log, common)
        self._look_for_stuck_at, self._late_finishes = 0.0, 0
        self._hooks = GroupHooks(hooks)
        self.standing: Standing = Standing()
        self.outage: Outage = Outage()
        self._missing_since = Sightings[str, None]()
        self._assigned = frozenset[TopicPartition]()
        self._has_joined, self._is_incremental, self._revoked_at = False, False, None

    # -- what happens --------------------------------------------------------------------

    def began(self, settings: ConsumerSettings) -> None:
        """Note that a life has begun."""
        self._is_incremental = settings.incremental
        self.standing.begins(settings.group_id, anyio.current_time())
        self._hooks.began(settings.group_id)

    def joined(self, assignment: Assignment) -> None:
        """Log an assignment."""
        self.standing.joined(anyio.current_time())
        before, self._assigned = self._assigned, frozenset(assignment.positions)
        if assignment.adds:
            self._assigned |= before
        if assignment.positions or not assignment.adds:
            self._hooks.assigned(anyio.current_time(), frozenset(assignment.positions))
        if not self._has_joined:
            self._has_joined = True
            text = "joined group %r: this member %s"
            self._log.info(text, self.standing.group_id, self._reads(), extra=self._common())
        elif assignment.positions or not assignment.adds:
            self._log_rebalance(before, None if assignment.adds else self._revoked_at)

    def released(self, revocation: Revocation) -> None:
        """Log that partitions were released, if no assignment need follow that says so."""
        if revocation.lost or not self._is_incremental:
            self.standing.left(anyio.current_time())
        if self._is_incremental:
            before, self._assigned = self._assigned, self._assigned - revocation.partitions
            if not revocation.lost:
                self._log_rebalance(before, self._revoked_at)

    def _log_rebalance(self, before: frozenset[TopicPartition], since: float | None) -> None:
        took = "" if since is None else f" in {anyio.current_time() - since:.1f} s"
        self._log.info(
            "group %r has rebalanced%s: this member %s (%s)",
            self.standing.group_id,
            took,
            self._reads(),
            _difference(before, self._assigned),
            extra=self._common(),
        )

    def _reads(self) -> str:
        return f"reads {partitions(self._assigned)}" if self._assigned else "has no partition"

    def revoking(self, revocation: Revocation, tenancies: Sequence[Tenancy]) -> None:
        """Log a revocation that found the member out of its group already."""
        self._revoked_at = now = anyio.current_time()
        self._hooks.revoking(now)
        if revocation.lost:
            self._hooks.lost(revocation.partitions, _in_hand(tenancies))
            self.limited.log(
                WARNING,
                "lost",
                "this member was out of group %r, so others may read %s by now, and its %d records "
                "in hand come again: the broker was away for longer than session_timeout_ms, or "
                "the event loop stood still, or a drain took longer than rebalance_timeout_ms",
                self.standing.group_id,
                partitions(revocation.partitions),
                _in_hand(tenancies),
                extra=partition_fields(revocation.partitions, records=_in_hand(tenancies)),
            )

    def drained(self, tenancies: Sequence[Tenancy], since: float, *, is_leaving: bool) -> None:
        """Log what had not finished when partitions are released, and that the member leaves.

        `since` is when the drain began.
        """
        left, took_s = _in_hand(tenancies), anyio.current_time() - since
        places = [(tenancy.topic, tenancy.partition) for tenancy in tenancies]
        self._hooks.drained(places, took_s, left, is_leaving=is_leaving)
        rest = "records in hand have not finished in time, and come again"
        if is_leaving:
            self.standing.left(anyio.current_time())
            self._has_joined, self._assigned = False, frozenset[TopicPartition]()
            more = f"; {left} {rest}" if left else ""
            extra = {**self._common(), **fields(records=left, seconds=took_s)}
            self._log.info("leaves group %r%s", self.standing.group_id, more, extra=extra)
        elif left:
            self.limited.log(
                WARNING,
                "not drained",
                f"%d {rest}: a rebalance of group %r takes their partitions away. Allow more with "
                "drain_timeout, or make the work on one record shorter",
                left,
                self.standing.group_id,
                extra=fields(records=left, seconds=took_s),
            )

    def jumped(self, jumps: Sequence[Jump]) -> None:
        """Log that reading goes on elsewhere."""
        for jump in jumps:
            self.limited.log(WARNING, f"jump {jump.reason}", "%s", jump, extra=jump_fields(jump))

    def skipped(self, corrupt: Sequence[Jump]) -> None:
        """Log each batch that was skipped, since it does not decode."""
        for jump in corrupt:
            kind = f"corrupt {jump.partition} {jump.expected}"
            self.limited.log(ERROR, kind, "%s", jump, extra=jump_fields(jump))

    def looked(self, now: float) -> None:
        """Note whether a broker can be reached, now that the client's health is known."""
        self._missing_since.look(now, dict.fromkeys(self._intake.health.missing_topics))
        is_connected = self._intake.health.connected and self._is_sending()
        self.outage.note(now, is_connected=is_connected)

    def missing_s(self, now: float) -> Mapping[str, float]:
        """Return for how many seconds each topic is known not to exist."""
        return self._missing_since.look(now, dict.fromkeys(self._intake.health.missing_topics))

    # -- what lasts ----------------------------------------------------------------------

    async def watch(self, settings: ConsumerSettings) -> None:
        """Look again and again, as long as one life lasts."""
        now, stalls = clock(), LoopStalls(settings.stall_limit_s)
        while True:
            due = now() + LOOK_S
            await anyio.sleep(LOOK_S)
            if (stall := stalls.fired(due, now())) is not None:
                self._log_stall(stall, settings.stall_limit_s)
            self._look(now())

    def _look(self, now: float) -> None:
        health = self._intake.health
        connected = health.connected and self._is_sending()
        reason, extra = why_away(health.unreachable)
        self._outage_log.look(now, {} if connected else {None: reason}, extra)
        self._hooks.outage.look(now, None if connected else reason)
        self._nodes.look(now, health.unreachable if connected else {}, NODE_AWAY)
        self._missing.look(now, dict.fromkeys(health.missing_topics, hints(health.nearest_topics)))
        self._held.look(now, health.held)
        held = self._intake.preparations.held(now, WAITS_PATIENCE_S)
        self._waits.look(
            now, {key: f"record {each.offset} waits: {each.why}" for key, each in held.items()}
        )
        self._flush()
        self._intake.look(now)
        if now >= self._look_for_stuck_at:
            self._look_for_stuck_at = now + STUCK_LOOK_S
            self._look_for_stuck(now)
        late = self._intake.ledger.finishes.late - self._late_finishes
        if late:
            self._late_finishes += late
            self.limited.log(
                WARNING,
                "late",
                "%d records finished after their partition was taken away: they come again, and "
                "whoever reads it now may have handled them as well",
                late,
                extra=fields(records=late),
            )
        self.limited.flush()

    def _look_for_stuck(self, now: float) -> None:
        """Look at the lowest unfinished record of each partition that has any."""
        in_hand: dict[tuple[TopicPartition, int], str] = {}
        waiting: dict[tuple[TopicPartition, int], str] = {}
        for key, partition in self._intake.partitions.items():
            tenancy = partition.tenancy
            if tenancy.frontier_since() is None:
                continue
            if tenancy.in_hand > 0:
                in_hand[key, tenancy.frontier()] = ""
            elif not self._may_wait(key.topic):
                waiting[key, tenancy.frontier()] = ""
        self._stuck.look(now, in_hand)
        self._unread.look(now, waiting)

    def _log_stall(self, stall: Stall, limit_s: float) -> None:
        what = "once" if stall.times == 1 else f"in all, {stall.times} times in the last 30 s"
        self.limited.log(
            WARNING,
            "stall",
            "the event loop stood still for at least %.1f s, %s: meanwhile nothing is read, "
            "committed or handed over. After %g s of that the group takes the partitions away, and "
            "their records come again. Run what blocks in a thread: by anyio.to_thread.run_sync, "
            "in a server by a handler that is a plain def",
            stall.seconds,
            what,
            limit_s,
            extra=fields(seconds=stall.seconds),
        )

    def close(self) -> None:
        """Write what was left out so far."""
        self.limited.flush(at_once=True)


def _difference(before: frozenset[TopicPartition], now: frozenset[TopicPartition]) -> str:
    gained, given_up = now - before, before - now
    parts = [f"gained {partitions(gained)}"] if gained else []
    if given_up:
        parts.append(f"gave up {partitions(given_up)}")
    return ", ".join(parts) or "as before"


def _in_hand(tenancies: Collection[Tenancy]) -> int:
    return sum(max(0, tenancy.in_hand) for tenancy in tenancies)


def hints(nearest_topics: Mapping[str, str]) -> str:
    """Return the question that ends the line on missing topics, empty if no topic is near."""
    pairs = [f"{near!r} for {topic!r}" for topic, near in sorted(nearest_topics.items())]
    return f"; did you mean {', '.join(pairs)}?" if pairs else ""
