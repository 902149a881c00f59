"""Calls whose beginnings, requests and outcomes hooks observe."""

from collections.abc import Callable
from typing import Literal, NoReturn

from sdml_kafka.errors import SendFailed
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.events import CallBegun, CallSettled
from sdml_kafka.hooks.receipts import settle, take_part
from sdml_kafka.producing.outbox import Outbox, Outgoing
from sdml_kafka.rpc.client.call_table import CallTable
from sdml_kafka.rpc.client.pending_calls import PendingCall, PendingCalls
from sdml_kafka.rpc.client.reply_stream import PendingStream
from sdml_kafka.runtime.waiter import clock
from sdml_kafka.transport.interfaces.producer import Message, OnSent, always

Method = Literal["request", "stream", "notify"]


def calls_of(
    hooks: Hooks,
    outbox: Outbox,
    trouble_now: Callable[[], Exception | None],
    on_timeouts: Callable[[], object],
) -> PendingCalls:
    """Return the calls of a client, which hooks observe if one of them wants to."""
    parts = trouble_now, on_timeouts
    if (hooks.sending, hooks.call_begun, hooks.call_settled) != (None, None, None):
        return HookedCalls(hooks, outbox, *parts)
    if hooks.time_call is not None:
        return TimedCalls(hooks, outbox, *parts)
    return PendingCalls(outbox, *parts)


class _Outcome:
    """Takes the outcome of a request, for its call and for hooks."""

    __slots__ = ("_call", "_message")

    def __init__(self, call: PendingCall, message: Message) -> None:
        self._call = call
        self._message = message

    def __call__(self, error: Exception | None) -> None:
        call = self._call
        resends = call.resends
        call(error)
        if call.resends == resends:  # otherwise it is on its way again
            settle(self._message, error)


class _HookedOutbox:
    """Sends requests whose outcomes hooks learn of."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        if isinstance(on_sent, PendingCall) and message.receipt is not None:
            on_sent = _Outcome(on_sent, message)
        self._outbox.send(message, on_sent, is_wanted)


class _ObservedTable(CallTable[PendingCall]):
    """The calls that wait; each that is settled is reported."""

    def __init__(self, report: Callable[[PendingCall, str, BaseException | None], None]) -> None:
        super().__init__()
        self._report = report

    def remove(self, call: PendingCall) -> bool:
        is_removed = super().remove(call)
        error = call.error
        self._report(call, "ok" if error is None else type(error).__name__, error)
        return is_removed


class TimedCalls(PendingCalls):
    """All calls of a client that wait, whose durations hooks measure."""

    def __init__(
        self,
        hooks: Hooks,
        outbox: Outgoing,
        trouble_now: Callable[[], Exception | None],
        on_timeouts: Callable[[], object],
    ) -> None:
        self._hooks = hooks
        self._own_table = _ObservedTable(self._report)
        super().__init__(outbox, trouble_now, on_timeouts, self._own_table)
        self._now: Callable[[], float] = self._first_now
        self._time_call = hooks.time_call

    def _first_now(self) -> float:
        self._now = clock()
        return self._now()

    def _refuse(self, call: PendingCall, error: Exception) -> NoReturn:
        self._report(call, type(error).__name__, error)
        super()._refuse(call, error)

    def forget(self, call: PendingCall) -> None:
        """Remove a call whose caller waits no more."""
        CallTable.remove(self._own_table, call)  # pyright: ignore[reportUnknownMemberType]
        self._report(call, "cancelled", None)

    def _report(self, call: PendingCall, outcome: str, error: BaseException | None) -> None:
        if (time_call := self._time_call) is not None:
            time_call(call.message[0], outcome, self._now() - call.began)


class HookedCalls(TimedCalls):
    """All calls of a client that wait, observed by hooks."""

    def __init__(
        self,
        hooks: Hooks,
        outbox: Outbox,
        trouble_now: Callable[[], Exception | None],
        on_timeouts: Callable[[], object],
    ) -> None:
        sends: Outgoing = outbox if hooks.sending is None else _HookedOutbox(outbox)
        super().__init__(hooks, sends, trouble_now, on_timeouts)

    def begin(self, call: PendingCall) -> None:
        """Let the call wait, after hooks have taken part in it; see `PendingCalls.begin`."""
        hooks = self._hooks
        if (begun := hooks.call_begun) is not None:
            topic = call.message.topic
            begun(CallBegun(hooks.origin, topic, call.id, _method_of(call), call.timeout_s))
        if hooks.sending is not None:
            purpose: Literal["notification", "request"]
            purpose = "notification" if call.waits_for_ack else "request"
            call.message = take_part(hooks, call.message, purpose, call_id=call.id)
        super().begin(call)

    def _report(self, call: PendingCall, outcome: str, error: BaseException | None) -> None:
        super()._report(call, outcome, error)
        hooks, message = self._hooks, call.message
        if outcome != "ok":
            text = "the call was over before its request was acknowledged"
            settle(message, SendFailed(text, in_doubt=True))
        if (settled := hooks.call_settled) is not None:
            seconds = self._now() - call.began
            parts = message.topic, call.id, _method_of(call), seconds, outcome, error
            settled(CallSettled(hooks.origin, *parts))


def _method_of(call: PendingCall) -> Method:
    if call.waits_for_ack:
        return "notify"
    return "stream" if isinstance(call, PendingStream) else "request"
