"""Tracebacks in the log, with the texts of errors escaped and bounded: they may be of others.

A formatter writes the traceback of a line as it is. So a filter of the logger writes it before, and
hands that on, unless nothing in it can harm: such a traceback is the formatter's own to write.
"""

from logging import Filter, Logger, LogRecord
from traceback import format_exception

from sdml_kafka.printable import several_lines

MAX_TRACEBACK = 20_000
"""The characters of a traceback that are written; of a longer one its beginning and its end are."""


class _SafeTracebacks(Filter):
    def filter(self, record: LogRecord) -> bool:
        """Escape and bound the traceback of a line, if it needs that; no line is left out."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not record.exc_text:
            text = "".join(format_exception(error)).rstrip("\n")
            safe = several_lines(_bounded(text))
            if safe != text:
                record.exc_text = safe
        return True


def _bounded(text: str) -> str:
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters ...\n{text[-half:]}"


_FILTER = _SafeTracebacks()


def with_safe_tracebacks(log: Logger) -> Logger:
    """Have the tracebacks of a logger's lines escaped and bounded, and return the logger."""
    log.addFilter(_FILTER)  # once, however often it is called
    return log
