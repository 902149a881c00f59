"""Dead letters as this package writes them."""

from sdml_kafka.listener.processing.spring_headers import Headers, dead_letter_headers
from tests.support.records import make_record


class Broken(Exception):
    """The error that a record failed with."""


def failure_headers(
    topic: str,
    *,
    partition: int = 0,
    offset: int = 0,
    timestamp_ms: int = 0,
    error: Exception | None = None,
) -> Headers:
    """Return the headers of the dead letter of a record of that place."""
    record = make_record(topic, partition, offset=offset, timestamp_ms=timestamp_ms)
    return dead_letter_headers(record, error or Broken("no stock"), "billing")
