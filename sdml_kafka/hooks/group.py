"""Calls the hooks of a consumer for what happens to it in its group."""

from collections.abc import Collection

from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.events import Assigned, BrokerBack, BrokerGone, Drained, Lost
from sdml_kafka.transport.interfaces.records import TopicPartition

PATIENCE_S = 1.0
"""Seconds that there may be no connection: brokers close idle ones, and are restarted in turn."""


class OutageHooks:
    """Calls hooks when no broker can be reached any more, and when one can again."""

    def __init__(self, hooks: Hooks) -> None:
        """Begin with a broker that can be reached."""
        self._hooks = hooks
        self._since: float | None = None
        self._is_reported = False

    def look(self, now: float, reason: str | None) -> None:
        """Look at whether a broker can be reached: `reason` says why none can, None if one can."""
        if reason is None:
            since, self._since = self._since, None
            if self._is_reported and since is not None:
                self._is_reported = False
                if (back := self._hooks.broker_back) is not None:
                    back(BrokerBack(self._hooks.origin, now - since))
            return
        if self._since is None:
            self._since = now
        if not self._is_reported and now >= self._since + PATIENCE_S:
            self._is_reported = True
            if (gone := self._hooks.broker_gone) is not None:
                gone(BrokerGone(self._hooks.origin, reason))


class GroupHooks:
    """Calls hooks for assignments and revocations."""

    def __init__(self, hooks: Hooks) -> None:
        """Begin before the first assignment."""
        self._hooks = hooks
        self._rebalance_since: float | None = None
        self.outage: OutageHooks = OutageHooks(hooks)

    def began(self, group_id: str) -> None:
        """Note the group of a consumer that has started."""
        self._hooks.note_group(group_id)

    def assigned(self, now: float, partitions: frozenset[TopicPartition]) -> None:
        """Call hooks for partitions that are new here."""
        since, self._rebalance_since = self._rebalance_since, None
        if (assigned := self._hooks.assigned) is not None:
            assigned(
                Assigned(self._hooks.origin, partitions, None if since is None else now - since)
            )

    def revoking(self, now: float) -> None:
        """Note that a rebalance takes partitions away."""
        self._rebalance_since = now

    def lost(self, partitions: frozenset[TopicPartition], in_hand: int) -> None:
        """Call hooks for partitions that were lost."""
        if (lost := self._hooks.lost) is not None:
            lost(Lost(self._hooks.origin, partitions, in_hand))

    def drained(
        self,
        partitions: Collection[tuple[str, int]],
        seconds: float,
        unfinished: int,
        *,
        is_leaving: bool,
    ) -> None:
        """Call hooks for partitions that are about to be released."""
        if (drained := self._hooks.drained) is not None and partitions:
            of = frozenset(TopicPartition(*each) for each in partitions)
            drained(Drained(self._hooks.origin, of, seconds, unfinished, is_leaving))
