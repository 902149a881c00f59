"""What is called of hooks, and what becomes of an error of theirs."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

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
