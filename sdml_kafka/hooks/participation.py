"""The parts that a hook may take: in a handler that runs, and in a message that leaves."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Literal, cast

from attrs import define, field, frozen

from sdml_kafka.hooks.events import Origin
from sdml_kafka.transport.interfaces.records import Record

Purpose = Literal["send", "retry", "dead letter", "request", "notification", "reply"]
"""The purpose of a message: a program's own ("send"), a record on its way to a retry topic
("retry") or a dead letter's ("dead letter"), or part of a call."""


@frozen(eq=False)
class Handling:
    """One attempt of a handler at a record, or at several; it can be a key of a weak dictionary.

    A `Delivery` of a stream that is entered with `async with` counts as one as well.
    """

    origin: Origin
    handler: str
    """The name of the processor, or of the server's handler; of a stream the name of its type."""
    records: Sequence[Record]
    """The record, or those of a batch, made when somebody asks for them."""
    attempt: int
    """The number of the attempt: 1, 2, ..."""
    is_batch: bool = False
    """True if the handler takes batches."""
    call_id: bytes | None = None
    """The correlation id of a request, None if it has none."""
    is_notification: bool = False
    """True for a request that asks for no reply."""
    _kept: dict[object, object] = field(init=False, repr=False)


def keep(handling: Handling, owner: object, what: object) -> None:
    """Keep something beside an attempt; a weak dictionary would take four times as long."""
    kept: dict[object, object] | None = getattr(handling, "_kept", None)
    if kept is None:
        object.__setattr__(handling, "_kept", {owner: what})
    else:
        kept[owner] = what


def kept_of(handling: Handling, owner: object) -> Any:
    """Return what an owner has kept beside an attempt, None if it has kept nothing."""
    return getattr(handling, "_kept", {}).get(owner)


@define(eq=False)
class Outgoing:
    """A message that is about to leave."""

    origin: Origin
    purpose: Purpose
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    """The headers as they will be sent, those included that hooks have set."""
    partition: int | None = None
    """The partition if the sender has chosen it; once acknowledged the one that it is in, as far
    as that is known: records of a `KafkaProducer` have it."""
    handling: Handling | None = None
    """The latest attempt of the handler that the message comes from: it has returned the message,
    or failed, or the message is its reply. None for what a program sends by itself, and if no
    hook overrides `handling`."""
    record: Record | None = None
    """The record that is sent on to a retry topic or as a dead letter, or whose handler has
    returned the message; the first one of a batch. None for all else."""
    call_id: bytes | None = None
    """The correlation id of a request or a reply, None if it has none."""
    offset: int | None = None
    """Once acknowledged the offset, as far as that is known."""

    def set_header(self, name: str, value: bytes) -> None:
        """Set a header in place of any others of that name.

        What cannot be sent, such as a value that is no bytes, is logged when the hook returns, and
        the message goes without what the hook has set.
        """
        kept = [header for header in self.headers if header[0] != name]
        self.headers = (*kept, (name, value))

    def add_header(self, name: str, value: bytes) -> None:
        """Add a header behind the others, which may have the same name."""
        self.headers = (*self.headers, (name, value))


def not_headers(headers: object) -> str | None:
    """Return why a record cannot have these headers, None if it can."""
    if not isinstance(headers, Sequence):
        return "headers are a sequence of pairs"
    for pair in cast("Sequence[object]", headers):
        match pair:
            case (str(name), bytes() | bytearray() | memoryview() | None) if name.isascii():
                continue
            case (str(name), bytes() | bytearray() | memoryview() | None):
                try:
                    name.encode()
                except UnicodeEncodeError:
                    return "a name has a surrogate, which is no character"
            case _:
                return "each is a pair of a str and bytes, such as ('tenant', b'blue')"
    return None


OnOutcome = Callable[[Exception | None], None]
"""Called once in the program's thread: with None when the broker has acknowledged the message, or
with the error if it is not sent."""


IN_HAND: ContextVar[Callable[[], Record | None] | None] = ContextVar(
    "sdml_kafka_in_hand", default=None
)
"""Returns the record that a loop has in hand, None once it has finished or was given back."""


def record_in_hand() -> Record | None:
    """Return the record of the `async for` over a stream in whose body this is called.

    Returns:
        The record; None if it has finished or was given back, outside of a loop, and if no hook of
        the listener has `wants_record_in_hand`.
    """
    in_hand = IN_HAND.get()
    return None if in_hand is None else in_hand()
