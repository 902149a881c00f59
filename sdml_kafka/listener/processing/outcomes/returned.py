"""Messages that a handler returned to be sent, and what waits until all have an outcome."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from attrs import define

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.listener.hooked.records import RecordHooks
from sdml_kafka.listener.processing.forwards import Forward, Forwards
from sdml_kafka.listener.processing.job import Item, Job
from sdml_kafka.listener.processing.outcomes.results import Failure
from sdml_kafka.listener.processing.policies import NO_PRODUCER, Send
from sdml_kafka.producing.serializers import Encoded, Serializers, headers_with
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.record_checks import check_timestamp_ms


class Messages:
    """Makes messages of what handlers return."""

    def __init__(self, serializers: Serializers, hooks: RecordHooks, *, can_send: bool) -> None:
        """Begin; `can_send` is whether there is a producer."""
        self._serializers, self._hooks = serializers, hooks
        self._can_send = can_send

    def of(self, item: Item, result: object) -> list[Message]:
        """Return the messages that a handler returned for records.

        Raises:
            ConfigurationError: It has returned something else, or there is no producer.
            Exception: A serializer has raised.
        """
        messages = [self._message(send) for send in _sends(result)]
        if messages and not self._can_send:
            raise ConfigurationError(NO_PRODUCER)
        if not self._hooks.takes_part:
            return messages
        return [self._hooks.take_part(message, "send", item.jobs[0]) for message in messages]

    def _message(self, send: Send) -> Message:
        value: Any = send.value
        headers = send.headers
        if value is not None and value.__class__ is not bytes:
            value = self._serializers.serialize(value)
            if isinstance(value, Encoded):
                value, headers = value.value, headers_with(headers, value)
        if send.timestamp_ms is not None:
            check_timestamp_ms(send.timestamp_ms)
        record = send.topic, value, send.key, headers, send.partition
        return Message(*record, timestamp_ms=send.timestamp_ms)


@define(eq=False)
class Bundle:
    """The messages that a handler returned; its records are settled once all have an outcome."""

    item: Item
    good: Sequence[Job]
    failures: Sequence[Failure]
    messages: list[Message]
    settle: Callable[[Item, Iterable[Job], Sequence[Failure]], None]
    """Called once with the records that have ended well, and those that have failed."""
    give_back: Callable[[Job], None]
    """Called for each record if a message is given up."""
    left: int = 0
    error: Exception | None = None

    def send(self, forwards: Forwards) -> None:
        """Send the messages."""
        self.left = len(self.messages)
        if not self.left:
            self._all_settled()
        job = self.good[0] if self.good else self.failures[0][0]
        for message in self.messages:
            forwards.send(Forward(job, message, "send", self._sent, self._lost, self._refused))

    def _sent(self) -> None:
        self.left -= 1
        if not self.left:
            self._all_settled()

    def _refused(self, error: Exception) -> None:
        self.error = error
        self._sent()

    def _lost(self) -> None:
        for job in (*self.good, *(job for job, _ in self.failures)):
            self.give_back(job)

    def _all_settled(self) -> None:
        good, failures = self.good, self.failures
        if self.error is not None:
            good, failures = (), with_refused(good, failures, self.error)
        self.settle(self.item, good, failures)


def with_refused(
    good: Sequence[Job], failures: Sequence[Failure], error: Exception
) -> Sequence[Failure]:
    """Return the failures and those of records of which a message was refused, in their order."""
    refused = [(job, error) for job in good]
    return sorted((*failures, *refused), key=lambda failure: failure[0].offset)


def _sends(result: object) -> list[Send]:
    if isinstance(result, Send):
        return [result]
    if isinstance(result, Iterable) and not isinstance(result, str | bytes):
        sends: list[Any] = list(cast(Any, result))
        if all(isinstance(each, Send) for each in sends):
            return sends
    raise ConfigurationError(
        f"A handler returns None, a Send or several of them, not {result!r:.300}"
    )
