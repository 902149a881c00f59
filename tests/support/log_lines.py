"""The lines that this package has logged, as an operator reads them."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

Lines = Callable[[], list[str]]


def lines_of(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return a function that returns each line so far with its level, from INFO on."""
    caplog.set_level(logging.INFO)

    def lines() -> list[str]:
        return [
            f"{record.levelname} {record.getMessage()}"
            for record in caplog.records
            if record.name.startswith("sdml_kafka") and record.levelno >= logging.INFO
        ]

    return lines


@contextmanager
def logs_as_before() -> Generator[None]:
    """Undo at the end what the command line, run in the process of the tests, does to the logs."""
    loggers = [logging.getLogger(name) for name in ("sdml_kafka", "aiokafka")]
    before = [(each.handlers, each.level, each.propagate) for each in loggers]
    try:
        yield
    finally:
        for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
            each.handlers, each.propagate = handlers, propagate
            each.setLevel(level)
