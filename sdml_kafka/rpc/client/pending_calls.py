"""The calls that wait for their replies, and the actor that ends them at their deadlines.

How this works: `PendingCalls.begin` puts a call into the table and then sends its record, since a
reply can be faster than the acknowledgement. From then on five things may end the call: a reply, a
failed send, its deadline, the client that is left, and the caller that is cancelled. The first of
them settles it: the call leaves the table, gets its value or its error, and its caller is woken.
The others find `settled` set, or no call in the table, and change nothing.

For whoever edits this file:

- Nothing here awaits between a look at a call and settling it, and all of it runs on the program's
  event loop. Only the producer's thread asks as well whether a call waits, and only looks.
- A call that is settled is not in the table, and the other way round, once it has begun: end calls
  by `settle`, or by `forget` if nobody waits for the outcome.
- The table, the counts and what waits in the outbox outlive every actor: a restart loses no call.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Literal, NoReturn

import anyio

from sdml_kafka.errors import CallIdInUse, CallTimeout, ClientClosed, ReplyInvalid, SendFailed
from sdml_kafka.producing.outbox import Outgoing
from sdml_kafka.rpc.call_in_flight import MAX_SHOWN, CallInFlight, shown_id
from sdml_kafka.rpc.client.call_table import Call, CallTable
from sdml_kafka.rpc.client.expectations import Expectation
from sdml_kafka.rpc.client.held_replies import HeldReplies
from sdml_kafka.rpc.client.status import Counts
from sdml_kafka.rpc.deadline import in_seconds
from sdml_kafka.rpc.dialects.messages import Reply
from sdml_kafka.rpc.dialects.native import ID_NAMES, cancel_headers
from sdml_kafka.runtime import Actor, Life
from sdml_kafka.runtime.waiter import Waiter
from sdml_kafka.transport.interfaces.producer import Message

MAX_RESENDS = 5
"""How often a record that never went out is sent again; after that its call fails."""


class PendingCall(Call):
    """A call whose caller waits for the outcome; settled exactly once.

    A plain class with its defaults on the class, since one is made for each call: attrs would set
    all of these attributes each time, which takes twice as long.
    """

    trouble: Exception | None = None
    """The last trouble on the way, which may still turn out well."""
    resends: int = 0
    parses: set[anyio.CancelScope] | None = None
    """The scopes of the tasks that parse replies for it: an async parser, or one that needs
    something first. They end with the call."""
    waits_for: Callable[[], str] | None = None
    """Returns what the reply waits for that was the last to need a task of its own."""
    takes_several: bool = False
    """True if it takes further replies while the first one is being parsed."""
    began: float
    """The time at which it was made."""
    arrived: int = 0
    """The number of replies that came without numbers of their own, and are not the only one."""
    settled: bool = False
    value: Any = None
    error: BaseException | None = None

    def __init__(
        self,
        id_: bytes,
        due: float,
        key: bytes | None,
        message: Message,
        waiter: Waiter,
        calls: "PendingCalls",
        expectation: Expectation | None,
        timeout_s: float,
        waits_for_ack: bool = False,
    ) -> None:
        """Make a call that does not wait yet.

        Args:
            id_: The correlation id.
            due: The deadline.
            key: The caller's message key, None if there is none or the id is the key.
            message: The record of the request.
            waiter: Wakes the caller.
            calls: The calls that wait, which this one joins.
            expectation: What the reply has to be; None for a call that asks for no reply.
            timeout_s: The seconds that the caller waits.
            waits_for_ack: Whether the call asks for no reply, and is settled when the broker has
                the record.
        """
        self.id = id_
        self.due = due
        self.key = key
        self.tick: int | None = None
        self.message: Message = message
        self.waiter: Waiter = waiter
        self.calls: PendingCalls = calls
        self.expectation: Expectation | None = expectation
        self.timeout_s: float = timeout_s
        self.waits_for_ack: bool = waits_for_ack

    async def result(self) -> Any:
        """Wait for the outcome. Cancelled or not, nothing of the call is left afterwards."""
        try:
            await self.waiter
        finally:
            if not self.settled:
                self.forget()
        if self.error is not None:
            raise self.error
        return self.value

    def take_reply(self, reply: Reply, parsed: Any, error: Exception | None) -> None:
        """Take a reply with its parsed value, or with the error that it means for the call."""
        self.calls.counts.replies += 1
        if (reply.sequence is not None or reply.more_follow) and error is None:
            error = ReplyInvalid("The server answers with a stream: use stream(...)")
            self.calls.send_cancel(self, reply.cancel_partition)
        elif reply.is_end and error is None:
            error = ReplyInvalid("The server has ended its answer, of which no value has come")
        self.settle(parsed, error)

    def numbered(self, reply: Reply, *, has_value: bool) -> Reply:
        """Return the reply with its number in the order of arrival; streams alone need it."""
        return reply

    def parse_scope(self, reply: Reply, why: Callable[[], str]) -> anyio.CancelScope | None:
        """Return the scope for a reply to be parsed in a task of its own, for this reason.

        None stands for one reply too many, with which a stream has failed.
        """
        self.waits_for = why
        scope = anyio.CancelScope()
        if self.parses is None:
            self.parses = set()
        self.parses.add(scope)
        return scope

    def parsed(self, scope: anyio.CancelScope) -> bool:
        """Note that such a task has ended; return whether the call still wants what it has got."""
        if self.parses is not None:
            self.parses.discard(scope)
        return not self.settled

    def settle(self, value: Any, error: BaseException | None = None) -> None:
        """Give the call its outcome and wake its caller; do nothing if it has one."""
        if not self.settled:
            self.settled = True
            self.value, self.error = value, error
            self.calls.table.remove(self)
            if self.parses:
                self._end_parses()
            waiter = self.waiter
            if not waiter.done():  # as `wake` does
                waiter.set_result(None)

    def forget(self) -> None:
        """End the call without an outcome, since its caller waits no more."""
        self.settled = True
        self.calls.forget(self)
        self._end_parses()

    def _end_parses(self) -> None:
        for scope in self.parses or ():
            scope.cancel()

    def send_cancel(self) -> None:
        """Let a server that asked for it know that nobody reads any more; streams alone do."""

    def timeout_text(self) -> tuple[str, str]:
        """Return what did not come in time, and a hint for when the connection is fine."""
        within = f"within {in_seconds(self.timeout_s)}"
        where = f"from {self.message.topic!r} {within}"
        if self.parses and self.waits_for is not None:
            text = f"The reply from {self.message.topic!r} came, and was not parsed {within}"
            return f"{text}: {self.waits_for()}", ""
        if self.waits_for_ack:
            return f"No acknowledgement {where}", ""
        return (
            f"No reply {where}",
            ". Is a server running that serves this topic, and fast enough?",
        )

    def __call__(self, error: Exception | Literal[False] | None = False) -> Any:
        """Take the record's outcome, as an `OnSent`: an error, or None if it is acknowledged.

        Called with nothing, return whether the call has no outcome yet, so that its record is worth
        sending. A method for that would be one more object that waits for each call.
        """
        if error is False:
            return not self.settled
        if error is None:
            if self.waits_for_ack:
                self.settle(None)
        elif not self.settled:
            self._not_sent(error)
        return None

    @staticmethod
    def all_acknowledged(calls: Sequence["PendingCall"]) -> None:
        """Take the outcome of several records that the broker has acknowledged together."""
        for call in calls:
            if call.waits_for_ack:
                call.settle(None)

    def _not_sent(self, error: Exception) -> None:
        if type(error) is not SendFailed:  # trying again cannot mend it
            self.settle(None, error)
        elif not error.in_doubt and self.resends < MAX_RESENDS:
            self.resends += 1
            self.trouble = error
            self.calls.send(self)
        elif self.waits_for_ack or not error.in_doubt:
            self.settle(None, error)
        else:
            self.trouble = error  # the record may have arrived: the deadline decides


class PendingCalls:
    """All calls of a client that wait."""

    def __init__(
        self,
        outbox: Outgoing,
        trouble_now: Callable[[], Exception | None],
        on_timeouts: Callable[[], object],
        table: CallTable[PendingCall] | None = None,
    ) -> None:
        """Begin without calls.

        Args:
            outbox: Sends the records.
            trouble_now: Returns what is wrong with the connection at this moment, for the error of
                a call that times out.
            on_timeouts: Called when calls have timed out.
            table: A table of another kind than usual.
        """
        self._outbox = outbox
        self._trouble_now = trouble_now
        self._on_timeouts = on_timeouts
        self.table: CallTable[PendingCall] = CallTable() if table is None else table
        self.counts: Counts = Counts()
        self.held: HeldReplies = HeldReplies()
        self.closed: bool = False
        self._wakes_at = inf
        """When `wait_due` ends by itself."""
        self._earlier = anyio.Event()
        """Ends `wait_due` before that, since a call was added that is due earlier."""

    def begin(self, call: PendingCall) -> None:
        """Let the call wait from now on, and send its record.

        Raises:
            ClientClosed: The client was left.
            CallIdInUse: A call with this id is waiting.
        """
        if self.closed:
            self._refuse(call, ClientClosed("The client was left"))
        if not self.table.add(call):
            text = "A call with this correlation id is still waiting: each call needs its own"
            self._refuse(call, CallIdInUse(text))
        if call.due < self._wakes_at:
            self._earlier.set()
        self.counts.calls += 1
        self._outbox.send(call.message, call, call)

    def _refuse(self, call: PendingCall, error: Exception) -> NoReturn:
        """Raise the error of a call that cannot begin."""
        raise error

    def oldest(self, now: float) -> list[CallInFlight]:
        """Return the calls that have waited longest. Any thread may ask."""
        return [_in_flight(call, now) for call in self.table.oldest(MAX_SHOWN)]

    def forget(self, call: PendingCall) -> None:
        """Remove a call whose caller waits no more."""
        self.table.remove(call)

    def send(self, call: PendingCall) -> None:
        """Send the call's record again."""
        self._outbox.send(call.message, call, call)

    def send_cancel(self, call: PendingCall, partition: int | None) -> None:
        """Let the server that reads cancel records in this partition know that nobody waits."""
        if partition is not None and not self.closed:
            request = call.message
            carriers = (name for name, value in request.headers if value == call.id)
            headers = cancel_headers(call.id, next(carriers, ID_NAMES[0]))
            message = Message(request.topic, b"", request.key, headers, partition)
            self._outbox.send(message, lambda error: None)

    def close(self, failure: BaseException | None = None) -> None:
        """Settle all calls that wait, and take no more. Closing again does nothing."""
        if not self.closed:
            for call in self.table:
                call.send_cancel()
            self.closed = True
            for call in self.table:
                error = ClientClosed("The client was left while the call waited for its reply")
                error.__cause__ = failure
                call.settle(None, error)

    def forsake(self, error: Exception) -> None:
        """Give every call this error and wake nobody: the tasks that wait are another process's."""
        self.closed = True
        for call in self.table:
            call.settled, call.error = True, error

    def expire(self, now: float) -> None:
        """Settle the calls whose deadlines have passed."""
        due = self.table.take_due(now)
        for call in due:
            self.counts.timeouts += 1
            call.settle(None, self._timeout(call))
        if due:
            self._on_timeouts()

    def _timeout(self, call: PendingCall) -> CallTimeout:
        trouble = call.trouble or self._trouble_now()
        text, hint = call.timeout_text()
        error = CallTimeout(text + hint if trouble is None else text)
        error.__cause__ = trouble
        return error

    async def wait_due(self, now: float) -> None:
        """Wait until a deadline may have passed."""
        due = self.table.next_due()
        self._wakes_at = inf if due is None else due
        self._earlier = anyio.Event()
        with anyio.move_on_after(None if due is None else max(0.0, due - now)):
            await self._earlier.wait()


def _in_flight(call: PendingCall, now: float) -> CallInFlight:
    left_s = None if call.due == inf else max(0.0, call.due - now)
    age_s = max(0.0, now - call.began)
    return CallInFlight(call.message.topic, shown_id(call.id), age_s, left_s)


class CallRegistry(Actor):
    """Ends calls at their deadlines."""

    def __init__(self, calls: PendingCalls) -> None:
        self._calls = calls

    async def run(self, life: Life) -> None:
        life.started()
        with life.cancel_on_stop():
            while True:
                await self._calls.wait_due(anyio.current_time())
                self._calls.expire(anyio.current_time())
