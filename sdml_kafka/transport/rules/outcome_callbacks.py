"""Call back with the outcomes of records that were sent."""

from collections.abc import Sequence
from logging import getLogger
from typing import Any

_log = getLogger("sdml_kafka.transport")


def report_together(callbacks: Sequence[Any]) -> None:
    """Report that records were acknowledged whose callbacks are all of one kind; see `OnSent`."""
    try:
        callbacks[0].all_acknowledged(callbacks)
    except Exception:
        _log.exception("a callback for the outcome of records must not raise")
