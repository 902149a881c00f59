# pyright: basic
# aiokafka is not typed.
"""Ask for many partitions without naming all of them each time: fetch sessions (KIP-227).

How this works
--------------
aiokafka names every partition in every fetch request, and the broker does so in its answer: with a
thousand partitions to which nothing comes, encoding and decoding them are most of what a consumer
does. In a session the broker remembers the partitions and their offsets. A request then names what
has changed since the last one, and the answer the partitions that have records, another end, or an
error. Requests wait as long as before, so that nothing comes later.

`FetchSessions` stands in three places of aiokafka's fetcher. It takes the place of the method that
chooses what to fetch, which looks at each partition several times a second: while nothing has
changed its last choice is repeated. It takes the place of the fetcher's client, where it sends
the difference to what the broker remembers. Requests outside of sessions, those of consumers with
few partitions, encode themselves from there on (`fetch_codec.py`). And it takes the place of
`close`, to end the sessions, of which a broker keeps a thousand: after the leave, which waits for
nothing here, and over the coordinator's connection, since the broker reads a request on the usual
one only when it has answered the fetch that waits there.

Rules for whoever edits this file:

- A request that was not answered leaves open what the broker remembers: the next one begins a new
  session (epoch 0), which names all partitions. So does each assignment, whose partitions begin
  without their ends.
- What an answer leaves out is as it was. What it names and aiokafka ignores (since the position has
  moved meanwhile) is not named again, so the ends are noted here.
- A broker without room for a session answers with the session 0, and is asked the long way.
- Private attributes of aiokafka's fetcher and requests are used here and in `internals.py` alone.
  `install` looks for them, and leaves the fetches to aiokafka where they are not as expected.
"""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from logging import getLogger
from typing import Any

from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest

from sdml_kafka.log_fields import fields
from sdml_kafka.transport.aiokafka import fetch_codec
from sdml_kafka.transport.aiokafka.client import Client, connections_of
from sdml_kafka.transport.aiokafka.factory import OwnWait
from sdml_kafka.transport.aiokafka.fetch_codec import QuickFetchRequest

_log = getLogger("sdml_kafka.transport")

SWITCH = "SDML_KAFKA_FETCH_SESSIONS"
"""The environment variable that leaves the fetches to aiokafka, if it is `off`."""
MIN_PARTITIONS = 32
"""The number of partitions of an assignment from which on there are sessions. Fewer cost little."""
FIRST_VERSION = 7
"""The version of fetch requests that brought sessions."""
IDLE_WAIT_MS = 500
"""The milliseconds that a fetch waits while nothing comes, unless the user has chosen a time. It is
aiokafka's default: a rebalance waits no longer for the answer than it does there."""
IDLE_REPEATS = 4
"""The number of fetches without any change after which the next ones wait for so long."""
MIN_BUSY_WAIT_MS, MAX_BUSY_WAIT_MS = 5, 100
"""The bounds of the milliseconds that a fetch waits while records of other partitions are at hand.
Those are fetched on only when the answer is there, so a long wait would hold them up: with one
partition that is behind, and others that are read to their ends, by `fetch_max_wait_ms` each time.
"""
TICK_S = 1.0
"""Seconds between two looks at what is fetched while all brokers are being asked."""
CLOSE_TIMEOUT_S = 0.5
"""Seconds that a consumer that stops waits at most for the ends of its sessions."""
NO_SESSION, INITIAL_EPOCH, MAX_EPOCH = 0, 0, 2**31 - 1

Entry = tuple[int, int, int]
"""A partition's number, the offset to fetch from, and the bytes to fetch at most."""


class SessionRequest:
    """Stands for aiokafka's request for all partitions of a broker; what has changed is sent."""

    def __init__(self, full: Any, assignment: Any, session: "Session") -> None:
        self._full = full
        self.session: Session = session
        self.wanted: dict[tuple[str, int], Entry] = {
            (topic, entry[0]): entry for topic, entries in full.topics for entry in entries
        }
        states = assignment._tp_state
        self._states = {each: states[each] for each in self.wanted}
        self._wait_ms = full._max_wait_ms
        self._answered: list[tuple[str, list[Entry]]] | None = None

    def __getattr__(self, name: str) -> Any:
        """Return what aiokafka wants of its own request."""
        return getattr(self._full, name)

    def repeat(self, wait_ms: int) -> "SessionRequest":
        """Return the same request, to be sent again, for which the broker waits so long."""
        again = SessionRequest.__new__(SessionRequest)
        again.__dict__.update(self.__dict__, _answered=None, _wait_ms=wait_ms)
        return again

    @property
    def topics(self) -> Sequence[tuple[str, Sequence[Entry]]]:
        """The partitions that the answer names, once it is there: aiokafka looks up no others."""
        topics: Sequence[tuple[str, Sequence[Entry]]] = (
            self._full.topics if self._answered is None else self._answered
        )
        return topics

    @property
    def is_as_before(self) -> bool:
        """True if the partitions are still to be fetched from the same offsets."""
        wanted = self.wanted
        return all(
            state._position == wanted[key][1] and not state._paused
            for key, state in self._states.items()
        )

    def prepare(self, versions: Any) -> Any:
        """Return what is sent to a broker that speaks these versions."""
        prepare: Any = FetchRequest.prepare
        return prepare(self, versions)

    def build(self, struct_class: Any) -> Any:
        """Return what is sent, in the version that was chosen."""
        session = self.session
        if struct_class.API_VERSION < FIRST_VERSION or session.is_refused:
            return self._full.build(struct_class)
        named, forgotten = session.difference(self.wanted)
        request = copy(self._full)
        request._topics, request._max_wait_ms = named, self._wait_ms
        struct = request.build(struct_class)
        struct.session_id, struct.session_epoch = session.number, session.epoch
        struct.forgotten_topics_data = forgotten
        return struct

    def take_answer(self, answer: Any) -> None:
        """Note what a broker has answered, and that all else is as before.

        Raises:
            KafkaError: The answer names partitions that nobody asked for.
        """
        session, states = self.session, self._states
        if answer.API_VERSION < FIRST_VERSION or session.is_refused:
            return
        answered = list[tuple[str, list[Entry]]]()
        try:
            for topic, partitions in answer.topics:
                answered.append((topic, [self.wanted[topic, each[0]] for each in partitions]))
        except KeyError as error:
            session.restart()
            raise KafkaError(f"the answer to a fetch names {error}") from error
        session.answered(answer, self.wanted)
        self._answered = answered
        if answer.error_code:
            return
        for topic, partitions in answer.topics:
            for number, code, high_watermark, last_stable, *_ in partitions:
                if not code:
                    state = states[topic, number]
                    state.highwater, state.lso = high_watermark, last_stable
        now_ms = int(1000 * time.time())
        for state in states.values():
            if state.highwater is not None:
                state.timestamp = now_ms


class Session:
    """A broker's memory of this consumer's partitions."""

    def __init__(self) -> None:
        self.number: int = NO_SESSION
        self.epoch: int = INITIAL_EPOCH
        self.is_refused: bool = False
        """True if the broker has refused to begin a session."""
        self._held: Mapping[tuple[str, int], Entry] = {}

    def restart(self) -> None:
        """Begin a new session with the next request, which ends this one."""
        self.epoch, self._held = INITIAL_EPOCH, {}

    def difference(
        self, wanted: Mapping[tuple[str, int], Entry]
    ) -> tuple[list[tuple[str, list[Entry]]], list[tuple[str, list[int]]]]:
        """Return by topics what the broker has to learn, and which partitions to forget."""
        held = self._held
        if held is wanted:
            return [], []
        named, forgotten = defaultdict[str, list[Entry]](list), defaultdict[str, list[int]](list)
        for key, entry in wanted.items():
            if held.get(key) != entry:
                named[key[0]].append(entry)
        for topic, number in held.keys() - wanted.keys():
            forgotten[topic].append(number)
        return list(named.items()), list(forgotten.items())

    def answered(self, answer: Any, wanted: Mapping[tuple[str, int], Entry]) -> None:
        """Note the answer to a request for the partitions that are `wanted`."""
        if answer.error_code:  # the broker has dropped the session, or takes none
            self.is_refused = self.epoch == INITIAL_EPOCH
            self.restart()
        elif answer.session_id == NO_SESSION:
            self.restart()
        else:
            self.number, self._held = answer.session_id, wanted
            self.epoch = 1 if self.epoch == MAX_EPOCH else self.epoch + 1


class FinalRequest:
    """Ends a session, and fetches nothing."""

    def __init__(self, number: int) -> None:
        self._number = number

    def prepare(self, versions: Any) -> Any:
        """Return what is sent to a broker that speaks these versions."""
        struct: Any = FetchRequest(0, 0, 0, 0, []).prepare(versions)
        struct.session_id = self._number  # the epoch is the final one, as in all of aiokafka's
        return struct


class FetchSessions:
    """Chooses what a consumer fetches next, and sends the requests."""

    def __init__(self, fetcher: Any) -> None:
        self._fetcher = fetcher
        self._client = fetcher._client
        self.cluster: Any = self._client.cluster
        """The client's own, which the fetcher looks at for each partition."""
        self._choose_anew = fetcher._get_actions_per_node
        self._close_fetcher = fetcher.close
        self._is_quick = fetch_codec.is_supported()
        self._sessions = defaultdict[int, Session](Session)
        """The session with each broker."""
        self._requests: dict[int, Any] = {}
        """The last request to each broker, as long as the partitions and leaders stay the same."""
        self._assignment: Any = None
        self._leaders: Any = None
        self._repeated = 0
        """The number of requests that were sent since anything has changed."""
        self._wait_ms: int = fetcher._fetch_max_wait_ms
        self._idle_wait_ms = IDLE_WAIT_MS if isinstance(self._wait_ms, OwnWait) else self._wait_ms

    def __getattr__(self, name: str) -> Any:
        """Return what the fetcher wants of its client beside `send`."""
        return getattr(self._client, name)

    def choose(self, assignment: Any) -> Any:
        """Return what aiokafka's `_get_actions_per_node` does: the requests that are to be sent."""
        if len(assignment.tps) < MIN_PARTITIONS:
            return self._choose_and_shorten(assignment)
        leaders = self.cluster._partitions  # another dict after each answer
        if assignment is not self._assignment or leaders is not self._leaders:
            if assignment is not self._assignment:
                for session in self._sessions.values():
                    session.restart()
            self._assignment, self._leaders = assignment, leaders
            self._requests.clear()
        elif self._is_as_before(assignment):
            return self._repeat(), {}, TICK_S, False, []
        self._repeated = 0
        requests, *others = self._choose_and_shorten(assignment)
        for node, request in requests:
            self._requests[node] = SessionRequest(request, assignment, self._sessions[node])
        return [(node, self._requests[node]) for node, _ in requests], *others

    def _choose_and_shorten(self, assignment: Any) -> Any:
        """Return what aiokafka does; requests wait no longer than records at hand have waited."""
        chosen = self._choose_anew(assignment)
        at_hand = self._fetcher._records.values()
        if chosen[0] and at_hand:
            age_s = time.monotonic() - max(getattr(each, "_created", 0.0) for each in at_hand)
            busy_wait_ms = min(max(int(age_s * 1000), MIN_BUSY_WAIT_MS), MAX_BUSY_WAIT_MS)
            for _, request in chosen[0]:
                request._max_wait_ms = min(request._max_wait_ms, busy_wait_ms)
        return chosen

    def _repeat(self) -> list[tuple[int, Any]]:
        in_flight = self._fetcher._in_flight
        idle_wait_ms = self._idle_wait_ms if self._repeated >= IDLE_REPEATS else self._wait_ms
        due = [(at, each) for at, each in self._requests.items() if at not in in_flight]
        self._repeated += len(due)
        return [(node, request.repeat(idle_wait_ms)) for node, request in due]

    def _is_as_before(self, assignment: Any) -> bool:
        """Return whether each partition is in a request that would be made so again."""
        requests = self._requests.values()
        return (
            not self._fetcher._records
            and not self._fetcher._client_rack  # with which other replicas may be asked
            and sum(len(each.wanted) for each in requests) == len(assignment.tps)
            and all(each.is_as_before for each in requests)
        )

    async def send(self, node: int, request: Any, **options: Any) -> Any:
        """Send a request of the fetcher."""
        if type(request) is not SessionRequest:
            if type(request) is FetchRequest and self._is_quick:
                request = QuickFetchRequest(request)
            return await self._client.send(node, request, **options)
        try:
            answer = await self._client.send(node, request, **options)
        except BaseException:
            request.session.restart()
            raise
        request.take_answer(answer)
        return answer

    async def close(self) -> None:
        """Close the fetcher, and end the sessions with the brokers that are there."""
        await self._close_fetcher()
        sessions, self._sessions = self._sessions, defaultdict(Session)
        there = {node for (node, _), _ in connections_of(self._client)}
        ends = [
            self._client.send(node, FinalRequest(each.number), group=ConnectionGroup.COORDINATION)
            for node, each in sessions.items()
            if node in there and each.number != NO_SESSION
        ]
        with suppress(TimeoutError):  # the broker ends what is oldest when it has no more room
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await asyncio.gather(*ends, return_exceptions=True)


def begin_sessions(consumer: Client) -> None:
    """Have a consumer that was started fetch in sessions, if its aiokafka is as expected."""
    if os.environ.get(SWITCH) == "off":
        return
    fetcher = consumer._fetcher
    try:
        latest = FetchRequest._CLASSES[-1]
        if latest.API_VERSION < FIRST_VERSION:
            return  # an older aiokafka
        names = {"session_id", "session_epoch", "forgotten_topics_data"}
        if missing := names.difference(latest.SCHEMA.names):
            raise ValueError(f"a fetch has no {missing}")
        for name in ("_records", "_in_flight", "_fetch_max_wait_ms", "_client_rack"):
            getattr(fetcher, name)
        _ = consumer._client.cluster._partitions
        sessions = FetchSessions(fetcher)
    except Exception as error:
        _log.warning(
            "aiokafka's fetches are not as expected, so it names all partitions each time, which "
            "is slower: %r. Is there a newer version of this package?",
            error,
            extra=fields(error=error),
        )
        return
    fetcher._get_actions_per_node, fetcher._client = sessions.choose, sessions
    fetcher.close = sessions.close
