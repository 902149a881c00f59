"""The calls that wait for their replies, and the actor that ends them at their deadlines."""

from collections.abc import Callable
from math import inf
from typing import Any

import anyio
from attrs import define, field

from sdml_kafka.errors import CallTimeout, ClientClosed, ReplyInvalid, SendFailed
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rpc.client.call_table import Call, CallTable
from sdml_kafka.rpc.client.expectations import Expectation
from sdml_kafka.rpc.dialects.messages import Reply
from sdml_kafka.rpc.dialects.native import ID_NAMES, cancel_headers
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.runtime.waiter import Waiter, wake
from sdml_kafka.transport.interfaces import Message

MAX_RESENDS = 5
"""Of a record that never went out; after that the deadline decides."""


@define(eq=False)
class Counters:
    """Since the client was entered."""

    calls: int = 0
    replies: int = 0
    timeouts: int = 0
    late: int = 0
    foreign: int = 0
    ambiguous: int = 0
    invalid: int = 0


@define(eq=False, kw_only=True)
class Pending(Call):
    """A call of which the caller waits for the outcome; settled exactly once."""

    message: Message
    waiter: Waiter
    calls: "Calls"
    expectation: Expectation | None = None
    timeout_s: float | None = None
    trouble: Exception | None = None
    """What went wrong on the way and may still turn out well."""
    waits_for_ack: bool = False
    """One way: over when the broker has the record."""
    resends: int = field(default=0, init=False)
    parsing: int = field(default=0, init=False)
    """Replies that an async parser is working on."""
    settled: bool = field(default=False, init=False)
    value: Any = field(default=None, init=False)
    error: BaseException | None = field(default=None, init=False)

    def is_waiting(self) -> bool:
        return not self.settled

    async def result(self) -> Any:
        """Wait for the outcome. Cancelled or not, nothing of the call is left afterwards."""
        try:
            await self.waiter
        finally:
            if not self.settled:
                self.calls.forget(self)
        if self.error is not None:
            raise self.error
        return self.value

    def arrived(self, reply: Reply, parsed: Any, error: Exception | None) -> None:
        """A reply, parsed; or the error that it means for the call."""
        self.calls.counters.replies += 1
        if reply.sequence is not None and error is None:
            error = ReplyInvalid("The server answers with a stream: use stream(...)")
            self.calls.cancel(self, reply.cancel_partition)
        self.settle(parsed, error)

    def settle(self, value: Any, error: BaseException | None = None) -> None:
        if not self.settled:
            self.calls.forget(self)
            self.value, self.error = value, error
            wake(self.waiter)

    def break_off(self) -> None:
        """Tell a server that asked for it that nobody waits any more."""

    def on_sent(self, error: Exception | None) -> None:
        if error is None:
            if self.waits_for_ack:
                self.settle(None)
        elif not self.settled:
            self._not_sent(error)

    def _not_sent(self, error: Exception) -> None:
        if type(error) is not SendFailed:  # trying again cannot mend it
            self.settle(None, error)
        elif not error.in_doubt and self.resends < MAX_RESENDS:
            self.resends += 1
            self.trouble = error
            self.calls.send(self)
        elif self.waits_for_ack:
            self.settle(None, error)
        else:
            self.trouble = error  # it may have arrived: the deadline decides


class Calls:
    """All calls of a client. Outlives the actors that work on it."""

    def __init__(self, outbox: Outbox, trouble_now: Callable[[], Exception | None]) -> None:
        self._outbox = outbox
        self._trouble_now = trouble_now
        self.table: CallTable[Pending] = CallTable()
        self.counters: Counters = Counters()
        self.closed: bool = False
        self._wakes_at = inf
        self._earlier: Callable[[], object] = lambda: None

    def add(self, call: Pending) -> bool:
        """False: its id is in use."""
        if not self.table.add(call):
            return False
        if call.due < self._wakes_at:
            self._earlier()
        return True

    def send(self, call: Pending) -> None:
        self._outbox.send(call.message, call.on_sent, call.is_waiting)

    def cancel(self, call: Pending, partition: int | None) -> None:
        """Tell a server that asked for it that nobody reads its stream any more."""
        if partition is not None and not self.closed:
            request = call.message
            carriers = (name for name, value in request.headers if value == call.id)
            headers = cancel_headers(call.id, next(carriers, ID_NAMES[0]))
            message = Message(request.topic, b"", request.key, headers, partition)
            self._outbox.send(message, lambda error: None)

    def forget(self, call: Pending) -> None:
        call.settled = True
        self.table.remove(call)

    def close(self, failure: BaseException | None = None) -> None:
        """Settle all that wait; nothing can be added any more."""
        if not self.closed:
            for call in self.table:
                call.break_off()
            self.closed = True
            for call in self.table:
                error = ClientClosed("The client was left while the call waited for its reply")
                error.__cause__ = failure
                call.settle(None, error)

    def expire(self, now: float) -> None:
        for call in self.table.take_due(now):
            self.counters.timeouts += 1
            call.settle(None, self._timeout(call))

    def _timeout(self, call: Pending) -> CallTimeout:
        trouble = call.trouble or self._trouble_now()
        what = "acknowledgement" if call.waits_for_ack else "reply"
        text = f"No {what} from {call.message.topic!r} within {call.timeout_s:.3g} s"
        if trouble is None and not call.waits_for_ack:
            text += ". Is a server running that serves it, and fast enough?"
        error = CallTimeout(text)
        error.__cause__ = trouble
        return error

    async def wait_due(self, now: float) -> None:
        """Until a deadline may have passed."""
        earlier = anyio.Event()
        due = self.table.next_due()
        self._wakes_at, self._earlier = due if due is not None else inf, earlier.set
        with anyio.move_on_after(None if due is None else max(0.0, due - now)):
            await earlier.wait()


class CallRegistry(Actor):
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def run(self, life: Life) -> None:
        life.started()
        with life.cancel_on_stop():
            while True:
                await self._calls.wait_due(anyio.current_time())
                self._calls.expire(anyio.current_time())
