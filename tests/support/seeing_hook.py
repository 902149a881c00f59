"""A hook that remembers all that it is called with."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sdml_kafka import Handling, Hook, Outgoing
from sdml_kafka.hooks.calls import EVENTS
from sdml_kafka.hooks.participation import OnOutcome

CURRENT: ContextVar[str] = ContextVar("current", default="nothing")
"""The name of what runs, as the hook has set it around a handler."""


class SeeingHook(Hook):
    """Remembers each event by its method, each handling with its end, each message with its end."""

    wants_record_in_hand = True

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.handlings: list[tuple[Handling, BaseException | None]] = []
        self.begun: list[Handling] = []
        self.sent: list[tuple[Outgoing, str]] = []
        """The messages, each with what ran when it was sent."""
        self.outcomes: list[tuple[Outgoing, Exception | None]] = []

    @contextmanager
    def handling(self, handling: Handling) -> Generator[None]:
        self.begun.append(handling)
        token = CURRENT.set(f"{handling.handler} {handling.attempt}")
        failure: BaseException | None = None
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            self.handlings.append((handling, failure))
            CURRENT.reset(token)

    def sending(self, message: Outgoing) -> OnOutcome:
        self.sent.append((message, CURRENT.get()))
        message.set_header("seen", str(len(self.sent)).encode())
        return lambda error: self.outcomes.append((message, error))

    def of(self, name: str) -> list[Any]:
        """Return the events of a method."""
        return [event for each, event in self.events if each == name]


def _note(name: str) -> Any:
    def note(self: SeeingHook, event: object) -> None:
        self.events.append((name, event))

    return note


for _name in EVENTS:
    setattr(SeeingHook, _name, _note(_name))
