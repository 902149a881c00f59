"""From a record to a call.

Reads what the record asks for, and settles at once what no handler needs to see: a request whose
deadline has passed, one that was answered before, and a record that cancels another request.
"""

from collections.abc import Callable, Sequence
from math import inf

from attrs import define

from sdml_kafka.rpc.deadline import in_seconds
from sdml_kafka.rpc.dialects.messages import (
    DEADLINE_EXCEEDED,
    FlatHeaders,
    Request,
)
from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.rpc.dialects.union import Union
from sdml_kafka.rpc.server.call import Answer, ServerCall
from sdml_kafka.rpc.server.cancellations import Cancellations
from sdml_kafka.rpc.server.dedupe import Repeats
from sdml_kafka.rpc.server.own_ids import OwnIds
from sdml_kafka.rpc.server.reply_topic_policy import ReplyTopicPolicy
from sdml_kafka.rpc.server.replying.replies import Replies
from sdml_kafka.rpc.server.request_queue import Lane
from sdml_kafka.rpc.server.status import Counts
from sdml_kafka.transport.fetched.parts import rows_of
from sdml_kafka.transport.interfaces.records import Record

MAX_SIGHT_S = 1.0
"""Seconds between two sightings of a partition's end by a server that keeps up, at most."""


@define(eq=False)
class RequestIntake:
    """Makes calls of records, and counts them."""

    wire: Wire
    reads_native: bool
    """True if requests in the project's own dialect are replied to."""
    foreign: Union | None
    """Reads requests of Spring and NestJS, and writes the replies; None if nobody shall."""
    own_ids: OwnIds | None
    reply_topic_policy: ReplyTopicPolicy
    replies: Replies
    cancellations: Cancellations
    repeats: Repeats[ServerCall, Answer] | None
    counts: Counts
    max_age_s: float | None
    """Seconds after which a request that waits is not started, with a deadline or without."""
    default_timeout_ms: int | None
    """The timeout of a request that has none of its own."""
    wall_clock: Callable[[], float]
    """Returns the seconds since the epoch, from which the records' timestamps count."""

    def calls_of(self, lane: Lane, records: Sequence[Record], now: float) -> list[ServerCall]:
        """Return the calls of records that follow each other in a lane, in order.

        Nothing of them counts before they are taken, and they are taken unless the lane ends.
        """
        read = self.wire.read_flat_request if self.reads_native else self._read_without_replies
        handler, chunk = lane.handler, lane.chunk
        admitted, known = self.reply_topic_policy.admitted, None
        topics: tuple[str, ...] = ()
        is_special = (
            handler.kind == "stream" or self.repeats is not None or self.max_age_s is not None
        )
        epoch, sent_ms, sent_at = self.wall_clock() - now, -1, lane.there_at
        if self.own_ids is not None:
            records = list(records)  # the program's function looks at each
        rows, made = rows_of(records)
        calls: list[ServerCall] = []
        for index, (_, _, _, timestamp, _, key, value, _, flat_headers) in enumerate(rows):
            request = read(flat_headers, key)
            if self.own_ids is not None:
                request = self.own_ids.put_into(request, records[index])
            _, _, reply_topics, refused, _, timeout_ms, is_cancel = request
            due = inf
            if timeout_ms is not None or (timeout_ms := self.default_timeout_ms) is not None:
                if timestamp != sent_ms:
                    sent_ms, sent_at = timestamp, self._sent_at(timestamp, lane, epoch)
                due = sent_at + timeout_ms / 1000
            if reply_topics is not known:  # most requests ask for the same as the one before
                known, topics = reply_topics, admitted(request)
            call = ServerCall(
                request, handler, chunk, index, due, topics, timestamp, key, value, flat_headers
            )
            refused += len(reply_topics) - len(topics)
            if is_special or refused or is_cancel or not topics:
                call.is_special, call.is_cancel, call.refused_topics = True, is_cancel, refused
            calls.append(call)
        for call, record in zip(calls, made, strict=False):
            call.record = record
        return calls

    def _read_without_replies(self, headers: FlatHeaders, key: bytes | None) -> Request:
        return self.wire.read_flat_request(headers, key)._replace(reply_topics=(), refused_topics=0)

    def admits(self, call: ServerCall, lane: Lane, now: float) -> bool:
        """Count a call that was taken; return whether a handler needs to see it.

        Any other call is settled.
        """
        counts = self.counts
        if call.is_cancel:
            self.cancellations.pass_over(lane, call.id)
            self.replies.release(call)
            return False
        if not (call.reply_topics or call.refused_topics) and self.foreign is not None:
            self._read_foreign(call, self.foreign)
        counts.requests += 1
        counts.refused_topics += call.refused_topics
        if not (call.reply_topics or call.refused_topics):
            counts.one_way += 1
        if lane.handler.kind == "stream":
            call.sequence = 0
            if not self.cancellations.begin(lane, call):
                counts.cancelled += 1
                self.replies.release(call)
                return False
        if call.due <= now:
            self.cancellations.end(call)
            counts.expired += 1
            self.replies.finish(call, self._too_late(call, lane, now))
            return False
        if self.max_age_s is not None:
            sent_at = self._sent_at(call.timestamp, lane, self.wall_clock() - now)
            if now - sent_at > self.max_age_s:
                self.cancellations.end(call)
                counts.expired += 1
                self.replies.finish(call, Answer(b"", DEADLINE_EXCEEDED, self._too_old))
                return False
        if self.repeats is not None and call.id_name is not None and call.sequence is None:
            return self._is_new(call, self.repeats, now)
        return True

    def _read_foreign(self, call: ServerCall, foreign: Union) -> None:
        """Read where Spring or NestJS wants the reply, in a request that asks for none of ours."""
        request = foreign.read_request(call.flat_headers, call.chunk.tenancy.topic)
        if request is not None:
            call.writer = foreign
            call.request_id, call.id_name, asked, refused, call.reply_partition, _, _ = request
            call.reply_topics = topics = self.reply_topic_policy.admitted(request)
            call.refused_topics = refused + len(asked) - len(topics)

    def _sent_at(self, sent_ms: int, lane: Lane, epoch: float) -> float:
        """Return when a request was sent, on the event loop's clock.

        The timestamp is of somebody else's clock, so it counts only within what the server has
        seen itself. A request that is older than it can be comes from a clock that is behind; then
        what this server has seen decides alone, less the time that may lie between two looks.
        Without a timestamp, which Kafka writes as -1, a request is as young as it can be.

        Args:
            sent_ms: The record's timestamp.
            lane: The lane that the request is taken from, or waits in.
            epoch: How far the wall clock is ahead of the event loop's.
        """
        sent_at = sent_ms / 1000 - epoch if sent_ms > 0 else inf
        if sent_at >= lane.there_at:
            return lane.there_at
        if sent_at >= lane.sent_after:
            return sent_at
        return min(lane.there_at, lane.sent_after + MAX_SIGHT_S)

    def _too_late(self, call: ServerCall, lane: Lane, now: float) -> Answer:
        """Return the answer to a request whose deadline has passed, with what that is known by."""
        timeout_ms = self.wire.read_flat_request(call.flat_headers, None).timeout_ms
        if timeout_ms is None:
            timeout_ms = self.default_timeout_ms
        timeout_s, waited_s = (timeout_ms or 0) / 1000, now - lane.there_at
        text = "the deadline passed before the request was started: "
        if timeout_s <= waited_s:
            text += f"it had {in_seconds(timeout_s)}, and has waited for {in_seconds(waited_s)}"
        else:
            age_s = self.wall_clock() - call.timestamp / 1000
            text += (
                f"it had {in_seconds(timeout_s)}, and by its timestamp is {in_seconds(age_s)} old. "
                "It waited that long before this server read it, or the clocks of its sender and "
                "of this server are apart"
            )
        return Answer(b"", DEADLINE_EXCEEDED, text)

    @property
    def _too_old(self) -> str:
        return f"the request is older than the {self.max_age_s:g} s that this server answers"

    def _is_new(self, call: ServerCall, repeats: Repeats[ServerCall, Answer], now: float) -> bool:
        """Return whether the call is new; a repeat gets the first call's answer."""
        call.repeat_key = (call.topic, call.id, call.writer)
        seen = repeats.begin(call.repeat_key, call, now)
        if seen is True:
            return True
        call.repeat_key = None
        self.counts.duplicates += 1
        if seen is False:
            self.replies.add_waiting()
        else:
            self.replies.finish(call, seen)
        return False
