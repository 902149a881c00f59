"""Makes calls: what a program asks for becomes a record to send and a call that waits."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from attrs import define, field, frozen

from sdml_kafka.errors import CallIdInUse, CallTimeout, ClientClosed, ConfigurationError
from sdml_kafka.rpc.client.expectations import Expectation, Expectations
from sdml_kafka.rpc.client.pending_calls import Calls, Pending
from sdml_kafka.rpc.client.reply_dispatcher import ReplyMatcher
from sdml_kafka.rpc.client.reply_loop import Reading
from sdml_kafka.rpc.client.request_options import (
    PropagateCorrTo,
    RequestHeaders,
    call_id,
    check_propagation,
    check_timeout,
    in_bytes,
    in_ms,
    own_headers,
    payload,
)
from sdml_kafka.rpc.deadline import DEADLINE
from sdml_kafka.rpc.dialects.messages import Headers
from sdml_kafka.rpc.dialects.native import ID_NAMES, reply_to_headers, request_headers
from sdml_kafka.runtime.waiter import Waiter
from sdml_kafka.transport.interfaces import Message

MAX_ID_NAMES = 20
MAX_PLANS = 1000


@frozen(eq=False)
class Plan:
    """What calls with the same options have in common: checked and made once."""

    expectation: Expectation
    timeout_s: float
    id_name: str | None
    """The header that carries the id; None: the key alone does."""
    id_is_key: bool
    headers_with: Callable[[float], Headers]
    """All but the id's, for so many seconds."""
    headers: Headers
    """For `timeout_s`."""


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
    _plans: dict[tuple[Any, ...], Plan] = field(factory=dict[tuple[Any, ...], Plan], init=False)

    def call[C: Pending](
        self,
        kind: type[C],
        topic: str,
        value: bytes | None,
        key: bytes | str | None,
        headers: RequestHeaders | None,
        reply_to: Sequence[str] | None,
        timeout_s: float | None,
        expect_type: Any,
        correlation_id: bytes | str | None,
        propagate_to: PropagateCorrTo,
        id_name: str,
    ) -> C:
        """A call for one reply or many, not begun yet. ConfigurationError, CallTimeout."""
        options = (timeout_s, expect_type, propagate_to, id_name, key is None)
        if headers is None and reply_to is None:
            try:
                plan = self._plans.get(options)
            except TypeError:  # something in it is not hashable: that is refused below
                plan = None
            if plan is None:
                plan = self._plan(*options)
                if len(self._plans) < MAX_PLANS:
                    self._plans[options] = plan
        else:
            plan = self._plan(*options, headers, reply_to)
        if topic in plan.expectation.specs:
            raise ConfigurationError(
                f"{topic!r} is a reply topic of this client: it would take its own request for the "
                "reply"
            )
        id_ = self._new_id() if correlation_id is None else call_id(correlation_id)
        sent, left_s = plan.headers, plan.timeout_s
        due = self.now() + left_s
        if DEADLINE.get() is not None:
            due, left_s = self._due(left_s)
            sent = plan.headers_with(left_s)
        if plan.id_name is not None:
            sent = [(plan.id_name, id_), *sent]
        if key is not None:
            key = in_bytes("req_key", key)
        return kind(
            id=id_,
            due=due,
            key=key,
            message=Message(
                topic,
                payload(value),
                id_ if plan.id_is_key else key,
                sent,
                by_key=not plan.id_is_key,  # no two ids are alike: hashing them leads nowhere
            ),
            waiter=self.new_waiter(),
            calls=self.calls,
            expectation=plan.expectation,
            timeout_s=left_s,
        )

    def _plan(
        self,
        timeout_s: float | None,
        expect_type: Any,
        propagate_to: PropagateCorrTo,
        id_name: str,
        is_keyless: bool,
        headers: RequestHeaders | None = None,
        reply_to: Sequence[str] | None = None,
    ) -> Plan:
        seconds = check_timeout(timeout_s)
        expectation = self.expectations.of(expect_type)
        check_propagation(propagate_to, id_name, is_keyless=is_keyless)
        if not self.matcher.wire.carries_id(id_name):
            self._read_too(id_name)
        extra: Headers = ()
        if headers is not None:
            extra, named = own_headers(headers, self.matcher.wire)
            if isinstance(reply_to, str):
                reply_to = (reply_to,)  # its one topic, rather than its letters
            reply_to = [*named, *(reply_to or ())] or None
        topics = self._reply_to_headers(_reply_topics(expectation, reply_to))

        def headers_with(timeout_s: float) -> Headers:
            return request_headers(None, None, topics, in_ms(timeout_s), extra)

        return Plan(
            expectation,
            seconds,
            None if propagate_to == "key" else id_name,
            is_keyless and propagate_to != "header",
            headers_with,
            headers_with(seconds),
        )

    def notification(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | str | None,
        headers: RequestHeaders | None,
        timeout_s: float | None,
    ) -> Pending:
        """A call that is over when the broker has it."""
        due, left_s = self._due(check_timeout(timeout_s))
        extra: Headers = ()
        if headers is not None:
            extra, named = own_headers(headers, self.matcher.wire)
            if named:
                raise ConfigurationError("notify asks for no reply: leave x-reply-topic out")
        id_ = self._new_id()
        sent = request_headers(id_, ID_NAMES[0], (), in_ms(left_s), extra)
        sent_key = None if key is None else in_bytes("req_key", key)
        return Pending(
            id=id_,
            due=due,
            message=Message(topic, payload(value), sent_key, sent),
            waiter=self.new_waiter(),
            calls=self.calls,
            timeout_s=left_s,
            waits_for_ack=True,
        )

    def begin(self, call: Pending) -> None:
        if self.calls.closed:
            raise ClientClosed("The client was left")
        if not self.calls.add(call):
            raise CallIdInUse(
                "A call with this correlation id is still waiting: each call needs its own"
            )
        self.calls.counters.calls += 1
        self.calls.send(call)

    def forget_partitions(self) -> None:
        """After a rebalance the client's own partition may be another."""
        self._plans.clear()

    def _new_id(self) -> bytes:
        return b"%s%d" % (self.id_prefix, next(self._numbers))

    def _due(self, timeout_s: float) -> tuple[float, float]:
        """When a call is over, and in how many seconds that is: a handler's own budget counts."""
        now = self.now()
        due, inherited = now + timeout_s, DEADLINE.get()
        if inherited is None or inherited >= due:
            return due, timeout_s
        if inherited <= now:
            raise CallTimeout("The budget of the handler that makes this call is used up")
        return inherited, inherited - now

    def _read_too(self, id_name: str) -> None:
        """A reply may carry the id in this header from now on."""
        wire = self.matcher.wire
        if len(wire.id_names) >= MAX_ID_NAMES:
            raise ConfigurationError(
                f"{MAX_ID_NAMES} different correlation_header_key are the most: use the same one "
                "for all calls"
            )
        try:
            self.matcher.wire = wire.with_name(id_name)
        except ValueError as error:
            raise ConfigurationError(f"correlation_header_key: {error}") from None

    def _reply_to_headers(self, topics: tuple[str, ...]) -> Headers:
        own = {self.reading.own_partition(topic) for topic in topics} - {None}
        if len(own) > 1:
            raise ConfigurationError(
                f"With own_partition a request can ask for one partition: {list(topics)} are "
                "topics of this client with different ones. Ask for one of them."
            )
        return reply_to_headers(topics, next(iter(own), None))


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
