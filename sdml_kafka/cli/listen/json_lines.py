"""Turns a record into one line of JSON."""

import base64
import json

from sdml_kafka import Record


def as_line(record: Record) -> bytes:
    """Return the record as printable ASCII and one line end, whatever bytes it holds."""
    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": _readable(record.key),
        "value": _readable(record.value),
        "headers": [[name, _readable(value)] for name, value in record.headers],
    }
    # DEL is the only control character that json does not escape.
    return json.dumps(fields).replace("\x7f", "\\u007f").encode() + b"\n"


def _readable(data: bytes | None) -> str | dict[str, str] | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
