"""Messages in which hooks take part: with their headers, and a receipt that has the outcome."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.participation import Handling, OnOutcome, Outgoing, Purpose
from sdml_kafka.transport.interfaces.producer import Message, Receipt
from sdml_kafka.transport.interfaces.records import Record

_new_message: Callable[[tuple[object, ...]], Message]
# Called as a class, a named tuple is made in twice the time.
_new_message = partial(tuple.__new__, Message)  # pyright: ignore[reportUnknownMemberType]


class HookReceipt:
    """Takes the place of a message in which hooks take part, and then its outcome, once."""

    __slots__ = ("_on_outcome", "_outgoing", "inner")

    def __init__(self, outgoing: Outgoing, on_outcome: OnOutcome, inner: Receipt | None) -> None:
        """Begin without an outcome; `inner` is the receipt that the sender has given."""
        self._outgoing = outgoing
        self._on_outcome: OnOutcome | None = on_outcome
        self.inner: Receipt | None = inner

    def acknowledged(self, partition: int, offset: int, timestamp_ms: int | None) -> None:
        """Take the place of the message."""
        self._outgoing.partition = partition
        self._outgoing.offset = offset if offset >= 0 else None
        if self.inner is not None:
            self.inner.acknowledged(partition, offset, timestamp_ms)

    def settle(self, error: Exception | None) -> None:
        """Call the hooks with the outcome, None if the broker has the message."""
        on_outcome, self._on_outcome = self._on_outcome, None
        if on_outcome is not None:
            on_outcome(error)


def take_part(
    hooks: Hooks,
    message: Message,
    purpose: Purpose,
    handling: Handling | None = None,
    record: Record | None = None,
    call_id: bytes | None = None,
) -> Message:
    """Return the message as it is to be sent, after hooks have taken part in it.

    Whoever sends it calls `settle` with the outcome. A message whose outcome nobody asks for has no
    receipt but its own.
    """
    assert hooks.sending is not None
    topic, value, key, headers, partition, *_ = message
    outgoing = Outgoing(
        hooks.origin,
        purpose,
        topic,
        key,
        value,
        headers,
        partition,
        handling,
        record,
        call_id,
    )
    on_outcome = hooks.sending(outgoing)
    receipt = message.receipt
    if on_outcome is not None:
        receipt = HookReceipt(outgoing, on_outcome, receipt)
    return _new_message((topic, value, key, outgoing.headers, *message[4:-1], receipt))


def without_receipt_of_hooks(message: Message) -> Message:
    """Return the message without what hooks wait with, so that they may take part in it anew."""
    receipt = message.receipt
    return message._replace(receipt=receipt.inner) if type(receipt) is HookReceipt else message


def settle(message: Message, error: Exception | None) -> None:
    """Call the hooks that take part in a message, if any, with its outcome."""
    if type(message.receipt) is HookReceipt:
        message.receipt.settle(error)


def settle_all(messages: Iterable[Message], error: Exception | None) -> None:
    """Call the hooks that take part in messages with their outcome."""
    for message in messages:
        settle(message, error)


class Unsettled:
    """The messages of transactions in which hooks take part, and whose outcome is not known yet."""

    def __init__(self) -> None:
        """Begin without messages."""
        self._messages: list[Message] = []

    def add(self, messages: Sequence[Message]) -> None:
        """Wait for the outcome of these."""
        self._messages += messages

    def committed(self, messages: Iterable[Message]) -> None:
        """Settle messages whose transaction is committed."""
        done = set(map(id, messages))
        settle_all((each for each in self._messages if id(each) in done), None)
        self._messages = [each for each in self._messages if id(each) not in done]

    def abort(self, reason: Exception) -> None:
        """Settle all that are left, which nobody will read."""
        messages, self._messages = self._messages, []
        settle_all(messages, reason)
