# pyright: basic
# aiokafka is not typed.
"""Replace connections on which a broker does not answer any more.

A load balancer or a firewall may forget a connection without a word: packets vanish, nothing is
reset. aiokafka waits for `request_timeout_ms` then, and for answers about metadata again and again
on the same connection. A connection that is closed is opened anew for the next request, and what
waited on the old one is sent again by aiokafka, as after a broken connection.

How this works
--------------
Brokers answer the requests of a connection one by one. So a connection is silent while its oldest
request stays the same and no byte of it moves, neither into the network nor out of it. Looks at
that are counted, not seconds: a loop that stood still would find answers that it has not read yet.

A broker may be merely slow, and every answer that it gives on a closed connection is lost. So each
time the patience with the next connection to it is doubled, up to what aiokafka itself has, and
halved again while all goes well. A batch that was written already is not written twice: the
producer is idempotent, or its requests are left alone. What is uploaded slowly moves bytes.
"""

import asyncio
from logging import getLogger
from typing import Any

from attrs import define

from sdml_kafka.log_fields import fields
from sdml_kafka.transport.aiokafka.client import (
    close_silent,
    connections_of,
    moved_bytes,
    oldest_request,
)

LOOK_INTERVAL_S = 0.5
"""Seconds between two looks at all connections."""
PATIENCE_LOOKS = 6
"""The number of looks at a connection that stays silent until it is closed."""
MAX_PATIENCE_LOOKS = 32
"""The most looks: aiokafka has ended most requests by itself after that."""
FORGIVE_LOOKS = 20
"""The number of looks that see something move after which the patience is halved."""

PRODUCE, FETCH = 0, 1
_ANSWERED_AT_ONCE = frozenset((2, 3, 8, 9, 10, 12, 15, 18, 22))
"""ListOffsets, Metadata, OffsetCommit, OffsetFetch, FindCoordinator, Heartbeat, DescribeGroups,
ApiVersions and InitProducerId. A JoinGroup and a SyncGroup wait for other members, and what creates
or deletes topics waits for other brokers."""

_log = getLogger("sdml_kafka.transport")


@define(eq=False)
class _Watched:
    patience: int = PATIENCE_LOOKS
    silent: int = 0
    """The number of looks since something has moved."""
    seen: object = None
    """The state that the last look has seen."""
    calm: int = 0
    """The number of looks that saw something move since the patience was changed."""


class SilentConnections:
    """Watches the connections of one consumer or producer."""

    def __init__(self, client: Any, *, repeats_produce: bool) -> None:
        """Watch nothing yet.

        Args:
            client: The `AIOKafkaClient` of a consumer or a producer.
            repeats_produce: Whether a batch may be sent again without being doubled.
        """
        self._client = client
        self._repeats_produce = repeats_produce
        self._watched: dict[Any, _Watched] = {}

    async def close_repeatedly(self) -> None:
        """Close connections that have become silent, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            try:
                self.look()
            except Exception as error:
                _log.exception("looking at the connections failed", extra=fields(error=error))

    def look(self) -> None:
        """Close the connections that have been silent for too many looks by now."""
        for place, connection in connections_of(self._client):
            watched = self._watched.setdefault(place, _Watched())
            number, request = oldest_request(connection)
            extra_s = None if request is None else self._expected_s(request)
            seen = None if extra_s is None else (connection, number, moved_bytes(connection))
            if seen is None or seen != watched.seen:
                watched.seen, watched.silent = seen, 0
                watched.calm += 1
                if watched.calm >= FORGIVE_LOOKS:
                    watched.calm = 0
                    watched.patience = max(PATIENCE_LOOKS, watched.patience // 2)
                continue
            watched.silent += 1
            if watched.silent >= watched.patience + (extra_s or 0.0) / LOOK_INTERVAL_S:
                self._close(connection, watched)

    def _expected_s(self, request: Any) -> float | None:
        """Return the seconds that an answer may take by design, None if nobody can say."""
        kind = request.API_KEY
        if kind == FETCH:
            return float(request.max_wait_time) / 1000
        if kind in _ANSWERED_AT_ONCE or (kind == PRODUCE and self._repeats_produce):
            return 0.0
        return None

    def _close(self, connection: Any, watched: _Watched) -> None:
        _log.info(
            "%s:%s has not answered for %g s: the connection is replaced",
            connection.host,
            connection.port,
            watched.silent * LOOK_INTERVAL_S,
            extra=fields(
                broker=f"{connection.host}:{connection.port}",
                seconds=watched.silent * LOOK_INTERVAL_S,
            ),
        )
        watched.patience = min(2 * watched.patience, MAX_PATIENCE_LOOKS)
        watched.calm, watched.seen = 0, None
        close_silent(connection)
