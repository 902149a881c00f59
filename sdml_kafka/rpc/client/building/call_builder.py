"""Builds calls: what a program asks for becomes a record to send and a call that waits."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

from sdml_kafka.errors import CallTimeout, ConfigurationError
from sdml_kafka.producing.serializers import Encoded
from sdml_kafka.rpc.client.building.call_plans import CallPlans, Plan
from sdml_kafka.rpc.client.pending_calls import PendingCall, PendingCalls
from sdml_kafka.rpc.client.request_options import (
    CallOptions,
    PropagateCorrTo,
    RequestHeaders,
    call_id,
    check_timeout,
    in_bytes,
    in_ms,
    payload,
)
from sdml_kafka.rpc.deadline import DEADLINE
from sdml_kafka.rpc.dialects.messages import Headers
from sdml_kafka.rpc.dialects.native import ID_NAMES, request_headers
from sdml_kafka.runtime.waiter import Waiter, clock, soon, waiter_maker
from sdml_kafka.transport.interfaces.producer import Message

OptionsTuple = tuple[
    float | None,
    Any,
    PropagateCorrTo,
    str,
    bool,
    RequestHeaders | None,
    Sequence[str] | None,
]

new_message: Callable[[tuple[Any, ...]], Message]
# Calling the class itself takes twice as long.
new_message = partial(tuple.__new__, Message)  # pyright: ignore[reportUnknownMemberType]


class CallBuilder:
    """Builds the calls of a client, for the event loop on which it is made itself."""

    def __init__(self, calls: PendingCalls, plans: CallPlans, id_prefix: bytes) -> None:
        self._calls = calls
        self._dialect = plans.dialect
        self._id_prefix = id_prefix
        self._kept_plan: Callable[[Any], Plan | None] = plans.kept.get
        self._make_plan = plans.make
        self._numbers = count(1)
        self.begin: Callable[[PendingCall], None] = calls.begin
        """Lets a call wait, and sends its record."""
        self._now = clock()
        self.new_waiter: Callable[[], Waiter] = waiter_maker()
        self.soon: Callable[[Callable[[], object]], object] = soon()

    def build[C: PendingCall](
        self,
        kind: Callable[..., C],
        topic: str,
        value: bytes | Encoded | None,
        key: bytes | str | None,
        correlation_id: bytes | str | None,
        options: OptionsTuple,
    ) -> C:
        """Return a call of this kind that has not begun yet.

        `options` are those of a `CallOptions`, as a plain tuple, which is made in a fifth of the
        time and finds the same plan.

        Raises:
            ConfigurationError: The call cannot be made as asked.
            CallTimeout: The call is made by a handler whose own deadline has passed.
        """
        plan = None
        if options[5] is None:  # the headers of most callers are not hashable
            try:
                plan = self._kept_plan(options)
            except TypeError:
                plan = None  # what else is not hashable, the making of the plan refuses
        if plan is None:
            plan = self._make_plan(CallOptions(*options))
        if topic in plan.expectation.specs:
            raise ConfigurationError(
                f"{topic!r} is a reply topic of this client, which would take its own request for "
                "the reply"
            )
        if correlation_id is None:
            id_ = b"%s%d" % (self._id_prefix, next(self._numbers))
        else:
            id_ = call_id(correlation_id)
            self._dialect.check_id(id_)
        sent, left_s = plan.headers, plan.timeout_s
        now = self._now()
        due = now + left_s
        if DEADLINE.get() is not None:
            due, left_s = self._due(left_s)
            sent = plan.headers_with(left_s)
        if plan.id_name is not None:
            sent = [(plan.id_name, id_), *sent]
        if type(value) is not bytes:
            value, sent = self._encoded(value, sent)
        if key is not None:
            key = in_bytes("req_key", key)
        message = new_message(
            (
                topic,
                value,
                id_ if plan.id_is_key else key,
                sent,
                None,
                not plan.id_is_key,  # no two ids are alike: hashing them leads nowhere
                None,
                None,
            )
        )
        waiter, expectation = self.new_waiter(), plan.expectation
        call = kind(id_, due, key, message, waiter, self._calls, expectation, left_s)
        call.began = now
        return call

    def notification(
        self,
        topic: str,
        value: bytes | Encoded | None,
        key: bytes | str | None,
        headers: RequestHeaders | None,
        timeout_s: float | None,
    ) -> PendingCall:
        """Return a call that is settled when the broker has acknowledged its record."""
        due, left_s = self._due(check_timeout(timeout_s))
        extra: Headers = ()
        if headers is not None:
            extra, named = self._dialect.own_headers(headers)
            if named:
                raise ConfigurationError("notify asks for no reply: leave x-reply-topic out")
        id_ = b"%s%d" % (self._id_prefix, next(self._numbers))
        headers_so_far = request_headers(id_, ID_NAMES[0], (), in_ms(left_s), extra)
        data, sent = self._encoded(value, headers_so_far)
        sent_key = None if key is None else in_bytes("req_key", key)
        message = Message(topic, data, sent_key, sent)
        waiter = self.new_waiter()
        call = PendingCall(
            id_, due, None, message, waiter, self._calls, None, left_s, waits_for_ack=True
        )
        call.began = self._now()
        return call

    def _encoded(
        self, value: bytes | Encoded | None, sent: Headers
    ) -> tuple[bytes | None, Headers]:
        """Return the bytes of a request, and its headers with those that say how to read them."""
        if not isinstance(value, Encoded):
            return payload(value), sent
        headers, topics = self._dialect.own_headers(value.headers)
        if topics:
            raise ConfigurationError("An Encoded names no reply topics: use req_headers_reply_to")
        return payload(value.value), [*sent, *headers]

    def _due(self, timeout_s: float) -> tuple[float, float]:
        """Return a call's deadline and the seconds until then; a handler's own is the latest."""
        now = self._now()
        due, inherited = now + timeout_s, DEADLINE.get()
        if inherited is None or inherited >= due:
            return due, timeout_s
        if inherited <= now:
            raise CallTimeout("The deadline of the handler that makes this call has passed")
        return inherited, inherited - now
