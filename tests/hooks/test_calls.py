"""What is called of hooks, and what becomes of an error of theirs."""

import logging
from asyncio import CancelledError
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import pytest

from sdml_kafka import (
    Committed,
    ConfigurationError,
    Handling,
    Hook,
    KafkaListener,
    KafkaProducer,
    KafkaRPC,
    KafkaRPCServer,
    Origin,
    Outgoing,
    ParserSpec,
    parse_bytes,
)
from sdml_kafka.hooks.calls import EVENTS, Hooks
from sdml_kafka.hooks.participation import OnOutcome
from sdml_kafka.testing import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport

ORIGIN = Origin("listener", "group")
SPEC: ParserSpec[bytes] = {"topics": ["orders"], "type": bytes, "parser": parse_bytes}
COMMITTED = Committed(ORIGIN, {}, 0.1)
HANDLING = Handling(ORIGIN, "handler", (), 1)


def outgoing() -> Outgoing:
    return Outgoing(ORIGIN, "send", "topic", None, b"", (("a", b"1"), ("b", b"2")))


class Counting(Hook):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def committed(self, event: Committed) -> None:
        self.seen.append(event)


class Raising(Hook):
    def committed(self, event: Committed) -> None:
        raise ValueError("first")

    @contextmanager
    def handling(self, handling: Handling) -> Generator[None]:
        try:
            yield
        finally:
            raise ValueError("left")

    def sending(self, message: Outgoing) -> OnOutcome:
        def ended(error: Exception | None) -> None:
            raise ValueError("ended")

        return ended


def test_what_is_not_overridden_is_none() -> None:
    hooks = Hooks([Counting()], ORIGIN)
    assert hooks.committed is not None
    assert [name for name in EVENTS if getattr(hooks, name) is not None] == ["committed"]
    assert hooks.enter is None
    assert hooks.sending is None


def test_every_event_is_a_method_of_hook() -> None:
    methods = {name for name in vars(Hook) if not name.startswith("_")}
    assert methods - {*EVENTS, "handling", "sending", "wants_record_in_hand"} == set()
    assert set(EVENTS) < methods


def test_a_hook_that_raises_harms_nothing_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counting = Counting()
    hooks = Hooks([Raising(), counting], ORIGIN)
    assert hooks.committed is not None
    with caplog.at_level(logging.ERROR):
        hooks.committed(COMMITTED)
        hooks.committed(COMMITTED)
    assert counting.seen == [COMMITTED, COMMITTED]
    (line,) = caplog.messages
    assert "Raising.committed" in line


def test_what_ends_a_program_comes_out() -> None:
    class Interrupted(Hook):
        def committed(self, event: Committed) -> None:
            raise KeyboardInterrupt

    hooks = Hooks([Interrupted()], ORIGIN)
    assert hooks.committed is not None
    with pytest.raises(KeyboardInterrupt):
        hooks.committed(COMMITTED)


def test_a_cancelled_error_out_of_a_hook_cancels_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A future that was cancelled raises it when a hook asks for its result."""

    class Asking(Hook):
        def committed(self, event: Committed) -> None:
            raise CancelledError

        def sending(self, message: Outgoing) -> OnOutcome:
            return partial(Cancelled.__exit__, Cancelled(when_entered=False))

        def handling(self, handling: Handling) -> AbstractContextManager[None]:
            if handling.attempt == 2:
                raise CancelledError
            return Cancelled(when_entered=handling.attempt == 3)

    class Cancelled(AbstractContextManager[None]):
        def __init__(self, *, when_entered: bool) -> None:
            self._when_entered = when_entered

        def __enter__(self) -> None:
            if self._when_entered:
                raise CancelledError

        def __exit__(self, *error: object) -> None:
            raise CancelledError

    counting = Counting()
    hooks = Hooks([Asking(), counting], ORIGIN)
    assert hooks.committed
    assert hooks.enter
    assert hooks.sending
    hooks.committed(COMMITTED)
    for attempt in (1, 2, 3):
        hooks.enter(Handling(ORIGIN, "handler", (), attempt))(ValueError())
    ended = hooks.sending(outgoing())
    assert ended
    ended(None)
    assert (counting.seen, len(caplog.messages)) == ([COMMITTED], 3)


def test_each_hook_is_left_though_one_raises_the_cancellation_of_the_handler() -> None:
    left: list[object] = []

    class Around(Hook):
        @contextmanager
        def handling(self, handling: Handling) -> Generator[None]:
            try:
                yield
            finally:
                left.append(self)

    class Reraising(Hook, AbstractContextManager[None]):
        def handling(self, handling: Handling) -> AbstractContextManager[None]:
            return self

        def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
            assert error is not None
            raise error

    around = Around()
    hooks = Hooks([around, Reraising()], ORIGIN)
    assert hooks.enter is not None
    hooks.enter(HANDLING)(CancelledError())
    assert left == [around]


def test_what_is_entered_around_a_handler_gets_its_error_and_cannot_suppress_it() -> None:
    seen: list[object] = []

    class Around(Hook):
        @contextmanager
        def handling(self, handling: Handling) -> Generator[None]:
            seen.append("entered")
            try:
                yield
            except ValueError as error:
                seen.append(error)

    hooks = Hooks([Around(), Counting(), Around()], ORIGIN)
    assert hooks.enter is not None
    error = ValueError()
    hooks.enter(HANDLING)(error)
    assert seen == ["entered", "entered", error, error]


def test_an_error_at_the_end_of_a_handler_or_a_message_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = Hooks([Raising()], ORIGIN)
    assert hooks.enter is not None
    assert hooks.sending is not None
    with caplog.at_level(logging.ERROR):
        hooks.enter(HANDLING)(None)
        ended = hooks.sending(outgoing())
        assert ended is not None
        ended(None)
        ended(ValueError())
    assert len(caplog.messages) == 2


def test_headers_are_set_or_added() -> None:
    message = outgoing()
    message.set_header("a", b"3")
    message.add_header("b", b"4")
    assert message.headers == (("b", b"2"), ("a", b"3"), ("b", b"4"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("tenant", "blue"), (b"tenant", b"blue"), ("\ud800", b"blue"), ("tenant", 7)],
)
def test_headers_that_cannot_be_sent_hold_up_no_message(
    name: Any, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Wrong(Hook):
        def sending(self, message: Outgoing) -> None:
            message.set_header(name, value)

    class Right(Hook):
        def sending(self, message: Outgoing) -> None:
            message.set_header("c", b"3")

    hooks = Hooks([Right(), Wrong()], ORIGIN)
    assert hooks.sending is not None
    message = outgoing()
    hooks.sending(message)
    hooks.sending(message)
    assert message.headers == (("a", b"1"), ("b", b"2"), ("c", b"3"))
    (line,) = caplog.messages
    assert "Wrong.sending" in line


def test_headers_that_are_none_are_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    class Forgetting(Hook):
        def sending(self, message: Outgoing) -> None:
            message.headers = None  # type: ignore[assignment]  # wrong on purpose

    hooks = Hooks([Forgetting()], ORIGIN)
    assert hooks.sending is not None
    message = outgoing()
    hooks.sending(message)
    assert len(message.headers) == 2
    assert "Forgetting.sending" in caplog.text


@pytest.mark.parametrize("wrong", [[object()], Counting(), [Counting], "hooks", None])
def test_hooks_are_a_list_of_hooks(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match="hooks is a list"):
        Hooks(wrong, ORIGIN)  # type: ignore[arg-type]  # wrong on purpose


def test_a_hook_is_not_awaited() -> None:
    class Async(Hook):
        async def committed(self, event: Committed) -> None:  # type: ignore[override]  # wrong on purpose
            pass

    with pytest.raises(ConfigurationError, match=r"Async.committed is async"):
        Hooks([Async()], ORIGIN)


def test_everybody_takes_hooks_and_checks_them() -> None:
    broker = MemoryBroker()
    transport = Transport(broker.connect("group"), broker.connect_producer())
    wrong: list[Hook] = [object()]  # type: ignore[list-item]  # wrong on purpose
    for make in (
        lambda: KafkaListener([SPEC], transport=broker.connect("group"), hooks=wrong),
        lambda: KafkaRPC(transport=transport, hooks=wrong),
        lambda: KafkaRPCServer(transport=transport, hooks=wrong),
        lambda: KafkaProducer(transport=broker.connect_producer(), hooks=wrong),
    ):
        with pytest.raises(ConfigurationError, match="hooks is a list"):
            make()
