"""Records out of nowhere."""

from sdml_kafka.transport.fetched.record import FetchedRecord


def make_record(
    topic: str = "topic",
    partition: int = 0,
    *,
    offset: int = 0,
    value: bytes | None = b"",
    key: bytes | None = None,
    headers: list[tuple[str, bytes]] | None = None,
    timestamp_ms: int = 0,
) -> FetchedRecord:
    """Return a record as if it had been fetched."""
    flat = tuple(part for header in headers or () for part in header)
    return FetchedRecord(topic, partition, offset, timestamp_ms, 0, key, value, None, flat)
