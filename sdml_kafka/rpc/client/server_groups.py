"""Look-ups of whether a group of servers has a live member, for calls that shall fail at once."""

from math import inf

import anyio

from sdml_kafka.errors import RemoteError, SendFailed
from sdml_kafka.producing.outbox import Outbox

MEMBERS_TIMEOUT_S = 2.0
MEMBERS_KNOWN_S = 1.0
"""Seconds for which an answer about a group's members is believed."""
MAX_GROUPS = 100


class ServerGroups:
    """Asks the broker for the members of groups, and believes an answer for a second."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._members: dict[str, tuple[float, int]] = {}
        """By group: when the broker was asked, and the number of members."""

    async def check_alive(self, group_id: str) -> None:
        """Raise RemoteError (`unavailable`) if the group has no member; return if nobody knows."""
        known_at, members = self._members.get(group_id, (-inf, 0))
        if anyio.current_time() - known_at > MEMBERS_KNOWN_S:
            producer = self._outbox.producer
            if producer is None:
                return  # the producer is being replaced: the call's deadline decides
            try:
                members = await producer.live_members(group_id, MEMBERS_TIMEOUT_S)
            except SendFailed:
                return
            if len(self._members) >= MAX_GROUPS:
                self._members.clear()
            self._members[group_id] = (anyio.current_time(), members)
        if not members:
            error = RemoteError("unavailable", f"no member of group {group_id!r} is alive")
            error.received = True
            raise error
