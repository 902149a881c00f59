"""Call back with what became of records."""

from collections.abc import Sequence
from logging import getLogger
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from sdml_kafka.log_fields import fields
from sdml_kafka.transport.librdkafka.producer.delivery_reports import Entry
from sdml_kafka.transport.rules.outcome_callbacks import report_together

_log = getLogger("sdml_kafka.transport")


def report_error(entry: Entry, error: Exception) -> None:
    try:
        entry[1](error)
    except Exception as failure:
        _log_failure(entry, failure)


def report_acknowledged(acknowledged: Sequence[tuple[Entry, Message]]) -> None:
    """Report records that the broker has, those of one kind that ask for no place together."""
    together: list[Any] = []
    for entry, message in acknowledged:
        receipt, on_sent = entry[0].receipt, entry[1]
        if receipt is None and hasattr(on_sent, "all_acknowledged"):
            if together and type(together[0]) is not type(on_sent):
                report_together(together)
                together = []
            together.append(on_sent)
            continue
        try:
            if receipt is not None:
                partition, offset = message.partition(), message.offset()
                kind, timestamp_ms = message.timestamp()
                receipt.acknowledged(
                    partition or 0,
                    offset if offset is not None and offset >= 0 else -1,
                    timestamp_ms if kind == TIMESTAMP_LOG_APPEND_TIME else None,
                )
            on_sent(None)
        except Exception as failure:
            _log_failure(entry, failure)
    if together:
        report_together(together)


def _log_failure(entry: Entry, failure: Exception) -> None:
    text = "a callback for the outcome of a record must not raise"
    _log.exception(text, extra=fields(topic=entry[0].topic, error=failure))
