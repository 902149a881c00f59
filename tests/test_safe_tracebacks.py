"""Tracebacks in the log hold nothing that acts on a terminal, and are bounded."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sdml_kafka import Delivery, Hook, Skip
from sdml_kafka.log_fields import fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.safe_tracebacks import MAX_TRACEBACK
from tests.support.listener_on_twin import broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

HOSTILE = "no \x1b[2J\x9b31m\rstock \u202e"


@pytest.fixture
def handler() -> Iterator["logging.StreamHandler[io.StringIO]"]:
    """Return the handler of the package's lines, with the default formatter."""
    handler, log = logging.StreamHandler(io.StringIO()), logging.getLogger("sdml_kafka")
    log.addHandler(handler)
    yield handler
    log.removeHandler(handler)


@pytest.fixture
def written(handler: "logging.StreamHandler[io.StringIO]") -> io.StringIO:
    """Return the lines that were written."""
    return handler.stream


def raised(text: str) -> Exception:
    try:
        try:
            raise KeyError(text)
        except KeyError as cause:
            raise ValueError(text) from cause
    except ValueError as error:
        return error


def write(name: str, error: Exception) -> None:
    log = RateLimitedLog(logging.getLogger(f"sdml_kafka.{name}"))
    log.log(logging.ERROR, "kind", "it failed", error=error, extra=fields(error=error))


def is_harmless(text: str) -> bool:
    return all(c.isprintable() for c in text if c not in "\n\t")


def test_control_characters_of_an_error_are_escaped(written: io.StringIO) -> None:
    write("escaped", raised(f"{HOSTILE}\ud800"))
    text = written.getvalue()
    assert r"ValueError: no \x1b[2J\x9b31m\x0dstock \u202e\ud800" in text
    assert is_harmless(text)
    assert "direct cause" in text
    assert "raise ValueError(text) from cause\n" in text


def test_a_traceback_without_any_is_left_to_the_formatter(
    handler: "logging.StreamHandler[io.StringIO]",
) -> None:
    class Formatter(logging.Formatter):
        def formatException(self, ei: Any) -> str:
            return f"<{ei[1]}>"

    handler.setFormatter(Formatter())
    write("plain", raised("no stock\nat all"))
    assert handler.stream.getvalue() == "it failed\n<no stock\nat all>\n"


def test_a_long_traceback_is_cut_in_its_middle(written: io.StringIO) -> None:
    write("long", raised("x" * 1_000_000))
    text = written.getvalue()
    assert len(text) < MAX_TRACEBACK + 200
    assert text.startswith("it failed\nTraceback")
    assert text.endswith("xxx\n")


@pytest.mark.anyio
@in_virtual_time
async def test_errors_of_handlers_and_hooks(written: io.StringIO) -> None:
    class Failing(Hook):
        def finished(self, event: object) -> None:
            raise ValueError(HOSTILE)

    async def handle(value: str, delivery: Delivery[str]) -> None:
        raise ValueError(HOSTILE)

    async with (
        processing_on(broker_with("a"), hooks=[Failing()]) as listener,
        processing(listener, handle, on_failure=Skip()),
    ):
        await until(lambda: "the hook" in written.getvalue() and "failed at" in written.getvalue())
    text = written.getvalue()
    assert text.count("Traceback") >= 2
    assert is_harmless(text)
