"""Call back with the outcomes of records that were sent."""

from collections.abc import Sequence
from logging import getLogger
from typing import Any

from sdml_kafka.log_fields import fields
from sdml_kafka.safe_tracebacks import with_safe_tracebacks

_log = with_safe_tracebacks(getLogger("sdml_kafka.transport"))


def report_together(callbacks: Sequence[Any]) -> None:
    """Report that records were acknowledged whose callbacks are all of one kind; see `OnSent`."""
    try:
        callbacks[0].all_acknowledged(callbacks)
    except Exception as error:
        text = "a callback for the outcome of records must not raise"
        _log.exception(text, extra=fields(error=error))
