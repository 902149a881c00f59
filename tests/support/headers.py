"""Reading a header of a record."""

from sdml_kafka.testing import MemoryRecord
from sdml_kafka.transport.interfaces.records import Record


def header(record: Record | MemoryRecord, name: str) -> bytes | None:
    """Return the first value that a header of this name has, None if there is no such header."""
    return next((value for key, value in record.headers if key == name), None)
