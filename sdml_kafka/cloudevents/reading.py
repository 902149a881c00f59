"""The parser of CloudEvents. Their source is the Kafka protocol binding of CloudEvents 1.0.

In binary mode each attribute is a header, `ce_` and its name, but for the data's content type: that
is the header `content-type`. In structured mode that header begins with `application/cloudevents`,
and the value has the whole event, here as JSON.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, cast

from sdml_kafka.cloudevents.event import OPTIONAL, SPEC_VERSION, CloudEvent, is_json, read_time
from sdml_kafka.parsing.json_library import decode_json
from sdml_kafka.transport.interfaces.records import Record

__all__ = ["parse_cloudevent"]

PREFIX = "ce_"
CONTENT_TYPE = "content-type"
_NEEDED = ("specversion", "id", "source", "type")


def parse_cloudevent(record: Record) -> CloudEvent:
    """Parse a record that is a CloudEvent in binary or structured mode.

    Args:
        record: The record as it came.

    Returns:
        The event. Its data is what JSON stands for if its content type is JSON or, in structured
        mode, none; otherwise bytes, or a text in structured mode.

    Raises:
        ValueError: The record is no CloudEvent 1.0; the text says what is missing or wrong.
    """
    # The last one counts, where somebody has added to the headers of another record.
    headers = {name.lower(): bytes(value or b"") for name, value in record.headers}
    content_type = headers.get(CONTENT_TYPE)
    media = b"" if content_type is None else content_type.partition(b";")[0].strip().lower()
    if not media.startswith(b"application/cloudevents"):
        return _binary(record.value, headers)
    if media != b"application/cloudevents+json":
        raise ValueError(f"a CloudEvent in the format {media!r:.100}, and JSON alone is read")
    return _structured(record.value)


def _binary(value: bytes | None, headers: Mapping[str, bytes]) -> CloudEvent:
    attributes: dict[str, Any] = {
        name.removeprefix(PREFIX): _text(name, raw)
        for name, raw in headers.items()
        if name.startswith(PREFIX)
    }
    if not attributes:
        raise ValueError("no CloudEvent: it has no header that begins with 'ce_'")
    attributes.pop("datacontenttype", None)  # which is never written so
    if CONTENT_TYPE in headers:
        attributes["datacontenttype"] = _text(CONTENT_TYPE, headers[CONTENT_TYPE])
    data: Any = value
    if "datacontenttype" in attributes and is_json(attributes["datacontenttype"]):
        data = decode_json(value) if value else None  # an event without data has no JSON
    return _event(attributes, data)


def _structured(value: bytes | None) -> CloudEvent:
    if value is None:
        raise ValueError("no CloudEvent: a structured one has a value")
    document: object = decode_json(value)
    if not isinstance(document, dict):
        raise ValueError("no CloudEvent: a structured one is a JSON object")
    attributes = {k: v for k, v in cast("dict[str, Any]", document).items() if v is not None}
    data = attributes.pop("data", None)
    encoded = attributes.pop("data_base64", None)
    if encoded is not None:
        if data is not None or not isinstance(encoded, str):
            raise ValueError("a CloudEvent has data or data_base64, a text, and not both")
        data = b64decode(encoded, validate=True)
        if is_json(attributes.get("datacontenttype")) and "datacontenttype" in attributes:
            data = decode_json(data)
    return _event(attributes, data)


def _event(attributes: dict[str, Any], data: Any) -> CloudEvent:
    missing = [name for name in _NEEDED if name not in attributes]
    if missing:
        raise ValueError(f"no CloudEvent: it lacks {', '.join(missing)}")
    version = attributes.pop("specversion")
    if version != SPEC_VERSION:
        raise ValueError(f"a CloudEvent of version {version!r:.20}, and {SPEC_VERSION} is read")
    known = {name: attributes.pop(name) for name in ("id", "source", "type")}
    optional = {name: attributes.pop(name) for name in OPTIONAL if name in attributes}
    if (time := optional.get("time")) is not None:
        if not isinstance(time, str):
            raise ValueError("its time is a text")
        optional["time"] = read_time(time)
    make: Callable[..., CloudEvent] = CloudEvent
    return make(data=data, extensions=attributes, **known, **optional)


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the header {name!r:.100} is not UTF-8") from None
