"""From a record to a call: reads what it asks for, and settles at once what no handler needs to
see: what is over already, was answered before, or is a word about another request."""

from collections.abc import Callable
from logging import WARNING
from math import inf

from attrs import define

from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects.messages import (
    DEADLINE_EXCEEDED,
    CorrelationFromRecord,
    Request,
    is_id,
)
from sdml_kafka.rpc.dialects.native import Wire
from sdml_kafka.rpc.server.call import Answer, Call
from sdml_kafka.rpc.server.cancellations import Cancels
from sdml_kafka.rpc.server.dedupe import Repeats
from sdml_kafka.rpc.server.replies import RepliesOut
from sdml_kafka.rpc.server.reply_topic_policy import Admission
from sdml_kafka.rpc.server.request_queue import Lane
from sdml_kafka.rpc.server.status import Counts
from sdml_kafka.transport.interfaces import Record

_EXPIRED = Answer(b"", DEADLINE_EXCEEDED, "the deadline passed before the request was started")


@define(eq=False)
class OwnIds:
    """The program's own way to a request's id; what it finds is echoed in the header `id_name`."""

    extract: CorrelationFromRecord
    id_name: str
    seldom: RateLimitedLog

    def of(self, record: Record, request: Request) -> Request:
        try:
            found = self.extract(record)
            id_ = found.encode() if isinstance(found, str) else found
            if id_ is not None and is_id(id_):
                return request._replace(id=id_, id_name=self.id_name)
        except Exception as error:  # the record is a stranger's
            self.seldom.log(
                WARNING, "correlation_from_record", "correlation_from_record raised", error=error
            )
        return request._replace(id=None, id_name=None)


@define(eq=False)
class Reception:
    wire: Wire
    own_ids: OwnIds | None
    admission: Admission
    replies: RepliesOut
    cancels: Cancels
    repeats: Repeats[Call, Answer] | None
    counts: Counts
    wall_clock: Callable[[], float]
    """Seconds since the epoch, as the records' timestamps count."""

    def receive(
        self, lane: Lane, index: int, now: float, clock: Callable[[], float]
    ) -> Call | None:
        """None: there is nothing left to do for it."""
        counts, record, chunk = self.counts, lane.records[index], lane.chunk
        request = self.wire.read_request(record.headers, record.key)
        if self.own_ids is not None:
            request = self.own_ids.of(record, request)
        due = inf if request.timeout_ms is None else now + self._left_s(request.timeout_ms, record)
        topics = self.admission.admitted(request)
        call = Call(record, request, lane.handler, chunk, index, due, topics, clock)
        chunk.tenancy.taken += 1
        counts.in_flight += 1
        if request.is_cancel:
            self.cancels.read(lane, request.id)
            self.replies.release(call)
            return None
        counts.requests += 1
        asked = len(request.reply_topics) + request.refused_topics
        if asked != len(topics):
            counts.refused_topics += asked - len(topics)
        elif not asked:
            counts.one_way += 1
        if lane.handler.kind == "stream":
            call.sequence = 0
            if not self.cancels.begin(lane, call):
                counts.cancelled += 1
                self.replies.release(call)
                return None
        if due <= now:
            self.cancels.end(call)
            counts.expired += 1
            self.replies.finish(call, _EXPIRED)
            return None
        if self.repeats is not None and request.id_name is not None and call.sequence is None:
            return self._first(call, self.repeats, now)
        return call

    def _left_s(self, timeout_ms: int, record: Record) -> float:
        """The clocks may differ: a request is never older than its time-out, nor from the future.
        Kafka knows records without a timestamp, too: -1."""
        sent_ms = record.timestamp
        age_ms = self.wall_clock() * 1000 - sent_ms if sent_ms > 0 else 0.0
        if age_ms <= 0.0:
            return timeout_ms / 1000
        return (timeout_ms - age_ms) / 1000 if age_ms < timeout_ms else 0.0

    def _first(self, call: Call, repeats: Repeats[Call, Answer], now: float) -> Call | None:
        call.repeat_key = (call.record.topic, call.request.id)
        seen = repeats.begin(call.repeat_key, call, now)
        if seen is True:
            return call
        call.repeat_key = None
        self.counts.duplicates += 1
        if seen is False:
            self.replies.hold(call)
        else:
            self.replies.finish(call, seen)
        return None
