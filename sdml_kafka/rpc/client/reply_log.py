"""An operator's log of a client: a line for each thing that happens, and none twice."""

from collections.abc import Sequence
from logging import ERROR, INFO, WARNING, getLogger

import anyio

from sdml_kafka.consuming.trouble_logs import (
    NODE_AWAY,
    jump_fields,
    node_log,
    outage_log,
    partition_fields,
    why_away,
)
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.group import OutageHooks
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Health, Jump
from sdml_kafka.transport.partition_names import partitions

_log = getLogger("sdml_kafka.rpc")


class ReplyLog:
    """Logs what happens to a client's connection and replies, over all lives of its actors."""

    def __init__(self, hooks: Hooks) -> None:
        self._outage_hooks = OutageHooks(hooks)
        common = hooks.log_fields
        self._limited = RateLimitedLog(_log, anyio.current_time, common)
        self._outage = outage_log(_log, "calls wait for their deadline", common)
        self._nodes = node_log(_log, common)
        self._reads = frozenset[TopicPartition]()

    def look(self, health: Health, *, is_sending: bool) -> None:
        """Log what has changed since the last look, which was a moment ago."""
        now, connected = anyio.current_time(), health.connected and is_sending
        reason, extra = why_away(health.unreachable)
        self._outage.look(now, {} if connected else {None: reason}, extra)
        self._outage_hooks.look(now, None if connected else reason)
        self._nodes.look(now, health.unreachable if connected else {}, NODE_AWAY)
        self._limited.flush()

    def reads(self, own: frozenset[TopicPartition]) -> None:
        """Log which partitions are read, if that is news."""
        if self._reads != own:
            self._reads = own
            extra = partition_fields(own)
            self._limited.log(INFO, "reads", "reads replies from %s", partitions(own), extra=extra)

    def jumped(self, jumps: Sequence[Jump]) -> None:
        """Log that reading goes on elsewhere."""
        for jump in jumps:
            self._limited.log(WARNING, f"jump {jump.reason}", "%s", jump, extra=jump_fields(jump))

    def trouble(self, error: Exception, advice: str = "") -> None:
        """Log why replies may not come."""
        extra = fields(error=error)
        self._limited.log(ERROR, type(error).__name__, "%s%s", error, advice, extra=extra)
