"""A record as one line of JSON. Pure."""

import base64
import json

from sdml_kafka.transport.interfaces import Record


def as_line(record: Record) -> bytes:
    """Printable ASCII and one line end, whatever the record holds."""
    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": _readable(record.key),
        "value": _readable(record.value),
        "headers": [[name, _readable(value)] for name, value in record.headers],
    }
    # DEL is the one control character that json leaves as it is.
    return json.dumps(fields).replace("\x7f", "\\u007f").encode() + b"\n"


def _readable(data: bytes | None) -> str | dict[str, str] | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
