"""From a record to a call.

Reads what the record asks for, and settles at once what no handler needs to see: a request whose
deadline has passed, one that was answered before, and a record that cancels another request.
"""

from collections.abc import Callable
from logging import WARNING
from math import inf

from attrs import define

from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.deadline import in_seconds
from sdml_kafka.rpc.dialects.messages import (
    DEADLINE_EXCEEDED,
    CorrelationFromRecord,
    Request,
    is_id,
)
from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.rpc.server.call import Answer, ServerCall
from sdml_kafka.rpc.server.cancellations import Cancellations
from sdml_kafka.rpc.server.dedupe import Repeats
from sdml_kafka.rpc.server.replies import Replies
from sdml_kafka.rpc.server.reply_topic_policy import ReplyTopicPolicy
from sdml_kafka.rpc.server.request_queue import Lane
from sdml_kafka.rpc.server.status import Counts
from sdml_kafka.transport.interfaces.records import Record

MAX_SIGHT_S = 1.0
"""Seconds between two sightings of a partition's end by a server that keeps up, at most."""


@define(eq=False)
class OwnIds:
    """The program's own way to a request's id, which replies echo in the header `id_name`."""

    extract: CorrelationFromRecord
    id_name: str
    log: RateLimitedLog

    def put_into(self, request: Request, record: Record) -> Request:
        """Return the request with the id that the program finds, or without any."""
        try:
            found = self.extract(record)
            id_ = found.encode() if isinstance(found, str) else found
            if id_ is not None and is_id(id_):
                return request._replace(id=id_, id_name=self.id_name)
        except Exception as error:  # a stranger wrote the record
            self.log.log(
                WARNING, "correlation_from_record", "correlation_from_record raised", error=error
            )
        return request._replace(id=None, id_name=None)


@define(eq=False)
class RequestIntake:
    """Makes calls of records, and counts them."""

    wire: Wire
    own_ids: OwnIds | None
    reply_topic_policy: ReplyTopicPolicy
    replies: Replies
    cancellations: Cancellations
    repeats: Repeats[ServerCall, Answer] | None
    counts: Counts
    max_age_s: float | None
    """Seconds after which a request that waits is not started, with a deadline or without."""
    wall_clock: Callable[[], float]
    """Returns the seconds since the epoch, from which the records' timestamps count."""

    def receive(
        self, lane: Lane, index: int, now: float, clock: Callable[[], float]
    ) -> ServerCall | None:
        """Return the call of the lane's record `index`, or None if nothing is left to do for it."""
        counts, record, chunk = self.counts, lane.records[index], lane.chunk
        request = self.wire.read_request(record.headers, record.key)
        if self.own_ids is not None:
            request = self.own_ids.put_into(request, record)
        due = inf
        if request.timeout_ms is not None:
            left_s = request.timeout_ms / 1000 - self._age_s(record, lane, now)
            due = now + left_s if left_s > 0.0 else now
        topics = self.reply_topic_policy.admitted(request)
        call = ServerCall(record, request, lane.handler, chunk, index, due, topics, clock)
        chunk.tenancy.taken += 1
        counts.in_flight += 1
        if request.is_cancel:
            self.cancellations.pass_over(lane, request.id)
            self.replies.release(call)
            return None
        counts.requests += 1
        asked = len(request.reply_topics) + request.refused_topics
        if asked != len(topics):
            counts.refused_topics += asked - len(topics)
        elif not asked:
            counts.one_way += 1
        is_plain = lane.handler.kind != "stream" and self.repeats is None
        if is_plain and due > now and self.max_age_s is None:
            return call
        return self._unless_settled(call, lane, now)

    def _unless_settled(self, call: ServerCall, lane: Lane, now: float) -> ServerCall | None:
        """Return the call, or None if no handler needs to see it."""
        counts = self.counts
        if lane.handler.kind == "stream":
            call.sequence = 0
            if not self.cancellations.begin(lane, call):
                counts.cancelled += 1
                self.replies.release(call)
                return None
        if call.due <= now:
            self.cancellations.end(call)
            counts.expired += 1
            self.replies.finish(call, self._too_late(call, lane, now))
            return None
        if self.max_age_s is not None and self._age_s(call.record, lane, now) > self.max_age_s:
            self.cancellations.end(call)
            counts.expired += 1
            self.replies.finish(call, Answer(b"", DEADLINE_EXCEEDED, self._too_old))
            return None
        has_own_id = call.request.id_name is not None
        if self.repeats is not None and has_own_id and call.sequence is None:
            return self._unless_repeated(call, self.repeats, now)
        return call

    def _age_s(self, record: Record, lane: Lane, now: float) -> float:
        """Return how many seconds ago the request was sent.

        The timestamp is of somebody else's clock, so it counts only within what the server has
        seen itself. A request that is older than it can be comes from a clock that is behind; then
        what this server has seen decides alone, less the time that may lie between two looks.
        Without a timestamp, which Kafka writes as -1, a request is as young as it can be.
        """
        sent_ms = record.timestamp
        age_s = self.wall_clock() - sent_ms / 1000 if sent_ms > 0 else 0.0
        youngest_s = now - lane.there_at
        if age_s <= youngest_s:
            return youngest_s
        oldest_s = now - lane.sent_after
        return age_s if age_s <= oldest_s else max(youngest_s, oldest_s - MAX_SIGHT_S)

    def _too_late(self, call: ServerCall, lane: Lane, now: float) -> Answer:
        """Return the answer to a request whose deadline has passed, with what that is known by."""
        timeout_s, waited_s = (call.request.timeout_ms or 0) / 1000, now - lane.there_at
        text = "the deadline passed before the request was started: "
        if timeout_s <= waited_s:
            text += f"it had {in_seconds(timeout_s)}, and has waited for {in_seconds(waited_s)}"
        else:
            age_s = self.wall_clock() - call.record.timestamp / 1000
            text += (
                f"it had {in_seconds(timeout_s)}, and by its timestamp is {in_seconds(age_s)} old. "
                "It waited that long before this server read it, or the clocks of its sender and "
                "of this server are apart"
            )
        return Answer(b"", DEADLINE_EXCEEDED, text)

    @property
    def _too_old(self) -> str:
        return f"the request is older than the {self.max_age_s:g} s that this server answers"

    def _unless_repeated(
        self, call: ServerCall, repeats: Repeats[ServerCall, Answer], now: float
    ) -> ServerCall | None:
        """Return the call if it is new, else None: a repeat gets the first call's answer."""
        call.repeat_key = (call.record.topic, call.request.id)
        seen = repeats.begin(call.repeat_key, call, now)
        if seen is True:
            return call
        call.repeat_key = None
        self.counts.duplicates += 1
        if seen is False:
            self.replies.add_waiting()
        else:
            self.replies.finish(call, seen)
        return None
