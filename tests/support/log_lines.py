"""The lines that this package has logged, as an operator reads them."""

import logging
from collections.abc import Callable

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
