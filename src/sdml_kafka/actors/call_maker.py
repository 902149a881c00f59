"""Makes calls: what a program asks for becomes a record to send and a call that waits."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from attrs import define, field

from sdml_kafka.actors.budget import DEADLINE
from sdml_kafka.actors.expectations import Expectation, Expectations
from sdml_kafka.actors.pending import Calls, Pending
from sdml_kafka.actors.reply_dispatcher import ReplyMatcher
from sdml_kafka.actors.reply_loop import Reading
from sdml_kafka.actors.request_input import (
    PropagateCorrTo,
    RequestHeaders,
    call_id,
    identity,
    in_bytes,
    in_ms,
    own_headers,
    payload,
)
from sdml_kafka.core.wire import Headers, reply_to_headers, request_headers
from sdml_kafka.errors import CallIdInUse, CallTimeout, ClientClosed, ConfigurationError
from sdml_kafka.kafka.port import Message
from sdml_kafka.runtime.waiter import Waiter

MOST_ID_NAMES = 20
MOST_REPLY_TO = 1000


@define(eq=False)
class CallMaker:
    calls: Calls
    expectations: Expectations
    reading: Reading
    matcher: ReplyMatcher
    id_prefix: bytes
    now: Callable[[], float]
    new_waiter: Callable[[], Waiter]
    _numbers: "count[int]" = field(factory=lambda: count(1), init=False)
    _reply_to: dict[tuple[str, ...], Headers] = field(
        factory=dict[tuple[str, ...], Headers], init=False
    )

    def call[C: Pending](
        self,
        kind: type[C],
        topic: str,
        value: bytes | None,
        key: bytes | str | None,
        headers: RequestHeaders | None,
        reply_to: Sequence[str] | None,
        timeout_s: float,
        expect_type: Any,
        correlation_id: bytes | str | None,
        propagate_to: PropagateCorrTo,
        id_name: str,
    ) -> C:
        """A call for one reply or many, not begun yet. ConfigurationError, CallTimeout."""
        expectation = self.expectations.of(expect_type)
        id_ = self._new_id() if correlation_id is None else call_id(correlation_id)
        due, timeout_s = self.due(timeout_s)
        where = identity(id_, key, propagate_to, id_name)
        if where.id_name is not None and not self.matcher.wire.carries_id(where.id_name):
            self._read_too(where.id_name)
        extra: Headers = ()
        if headers is not None:
            extra, named = own_headers(headers, self.matcher.wire)
            reply_to = [*named, *(reply_to or ())] or None
        topics = self._reply_to_headers(_reply_topics(expectation, reply_to))
        sent = request_headers(id_, where.id_name, topics, in_ms(timeout_s), extra)
        return kind(
            id_,
            due,
            where.by_key,
            message=Message(topic, payload(value), where.key, sent),
            waiter=self.new_waiter(),
            calls=self.calls,
            expectation=expectation,
            timeout_s=timeout_s,
        )

    def notification(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | str | None,
        headers: RequestHeaders | None,
        timeout_s: float,
    ) -> Pending:
        """A call that is over when the broker has it."""
        id_ = self._new_id()
        due, timeout_s = self.due(timeout_s)
        where = identity(id_, key, "header", "request_id")
        extra: Headers = ()
        if headers is not None:
            extra, named = own_headers(headers, self.matcher.wire)
            if named:
                raise ConfigurationError(
                    "notify asks for no reply: leave x-reply-topic out"
                )
        sent = request_headers(id_, where.id_name, (), in_ms(timeout_s), extra)
        return Pending(
            id_,
            due,
            message=Message(topic, payload(value), where.key, sent),
            waiter=self.new_waiter(),
            calls=self.calls,
            timeout_s=timeout_s,
            waits_for_ack=True,
        )

    def begin(self, call: Pending) -> None:
        if self.calls.closed is not None:
            raise ClientClosed("The client was left")
        if not self.calls.add(call):
            raise CallIdInUse(
                "A call with this correlation id is still waiting: each call needs its own"
            )
        self.calls.counters.calls += 1
        self.calls.send(call)

    def forget_partitions(self) -> None:
        """After a rebalance the client's own partition may be another."""
        self._reply_to.clear()

    def due(self, timeout_s: float) -> tuple[float, float]:
        """When a call is over, and in how many seconds that is: a handler's own budget counts."""
        now = self.now()
        due, inherited = now + timeout_s, DEADLINE.get()
        if inherited is None or inherited >= due:
            return due, timeout_s
        if inherited <= now:
            raise CallTimeout("The budget of the handler that makes this call is used up")
        return inherited, inherited - now

    def _new_id(self) -> bytes:
        return b"%s%d" % (self.id_prefix, next(self._numbers))

    def _read_too(self, id_name: str) -> None:
        """A reply may carry the id in this header from now on."""
        wire = self.matcher.wire
        if len(wire.id_names) >= MOST_ID_NAMES:
            raise ConfigurationError(
                f"{MOST_ID_NAMES} different correlation_header_key are the most: use the same one "
                "for all calls"
            )
        try:
            self.matcher.wire = wire.with_name(id_name)
        except ValueError as error:
            raise ConfigurationError(f"correlation_header_key: {error}") from None

    def _reply_to_headers(self, topics: tuple[str, ...]) -> Headers:
        """Made once for many calls."""
        headers = self._reply_to.get(topics)
        if headers is None:
            own = {self.reading.own_partition(topic) for topic in topics} - {None}
            if len(own) > 1:
                raise ConfigurationError(
                    f"With own_partition a request can ask for one partition: {list(topics)} are "
                    "topics of this client with different ones. Ask for one of them."
                )
            headers = reply_to_headers(topics, next(iter(own), None))
            if len(self._reply_to) < MOST_REPLY_TO:
                self._reply_to[topics] = headers
        return headers


def _reply_topics(expectation: Expectation, asked: Sequence[str] | None) -> tuple[str, ...]:
    if asked is None:
        return (next(iter(expectation.specs)),)
    if isinstance(asked, str):
        asked = (asked,)  # its one topic, rather than its letters
    topics = tuple(in_bytes("req_headers_reply_to", topic).decode() for topic in asked)
    if not any(topic in expectation.specs for topic in topics):
        raise ConfigurationError(
            f"req_headers_reply_to is {list(topics)}: none of these is a topic from which this "
            f"client takes such replies ({', '.join(sorted(expectation.specs))})"
        )
    return topics
