"""Calls whose beginnings, requests and outcomes hooks observe."""

from collections.abc import Callable
from typing import Literal

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
    observed = hooks.sending, hooks.call_begun, hooks.call_settled
    if observed == (None, None, None):
        return PendingCalls(outbox, *parts)
    return HookedCalls(hooks, outbox, *parts)


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


class _HookedTable(CallTable[PendingCall]):
    """The calls that wait; each that is settled is reported."""

    def __init__(self, on_settled: Callable[[PendingCall], None]) -> None:
        super().__init__()
        self._on_settled = on_settled

    def drop(self, call: PendingCall) -> None:
        super().remove(call)

    def remove(self, call: PendingCall) -> bool:
        is_removed = super().remove(call)
        self._on_settled(call)
        return is_removed


class HookedCalls(PendingCalls):
    """All calls of a client that wait, observed by hooks."""

    def __init__(
        self,
        hooks: Hooks,
        outbox: Outbox,
        trouble_now: Callable[[], Exception | None],
        on_timeouts: Callable[[], object],
    ) -> None:
        sends: Outgoing = outbox if hooks.sending is None else _HookedOutbox(outbox)
        self._hooks, self._own_table = hooks, _HookedTable(self._settled)
        super().__init__(sends, trouble_now, on_timeouts, self._own_table)
        self._now: Callable[[], float] | None = None

    def begin(self, call: PendingCall) -> None:
        """Let the call wait, after hooks have taken part in it; see `PendingCalls.begin`."""
        hooks, topic = self._hooks, call.message.topic
        if self._now is None:
            self._now = clock()
        if (begun := hooks.call_begun) is not None:
            begun(CallBegun(hooks.origin, topic, call.id, _method_of(call), call.timeout_s))
        if hooks.sending is not None:
            purpose: Literal["notification", "request"]
            purpose = "notification" if call.waits_for_ack else "request"
            call.message = take_part(hooks, call.message, purpose, call_id=call.id)
        try:
            super().begin(call)
        except Exception as error:
            self._report(call, error, type(error).__name__)
            raise

    def _settled(self, call: PendingCall) -> None:
        error = call.error
        self._report(call, error, "ok" if error is None else type(error).__name__)

    def forget(self, call: PendingCall) -> None:
        """Remove a call whose caller waits no more."""
        self._own_table.drop(call)
        self._report(call, None, "cancelled")

    def _report(self, call: PendingCall, error: BaseException | None, outcome: str) -> None:
        hooks, message = self._hooks, call.message
        if outcome != "ok":
            text = "the call was over before its request was acknowledged"
            settle(message, SendFailed(text, in_doubt=True))
        if (settled := hooks.call_settled) is not None:
            assert self._now is not None
            seconds = self._now() - (call.due - call.timeout_s)
            parts = message.topic, call.id, _method_of(call), seconds, outcome, error
            settled(CallSettled(hooks.origin, *parts))


def _method_of(call: PendingCall) -> Method:
    if call.waits_for_ack:
        return "notify"
    return "stream" if isinstance(call, PendingStream) else "request"
