"""The serializer of CloudEvents, in Kafka's binary or structured mode."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Literal

from sdml_kafka.cloudevents.event import OPTIONAL, SPEC_VERSION, CloudEvent, write_time
from sdml_kafka.cloudevents.reading import CONTENT_TYPE, PREFIX
from sdml_kafka.errors import ConfigurationError
from sdml_kafka.factories import called_as
from sdml_kafka.parsing.models import to_json
from sdml_kafka.producing.serializers import Encoded

__all__ = ["to_cloudevent"]

JSON = "application/json"
STRUCTURED = b"application/cloudevents+json; charset=UTF-8"


def to_cloudevent(
    mode: Literal["binary", "structured"] = "binary",
) -> Callable[[CloudEvent], Encoded]:
    """Make a serializer of CloudEvents, for `serializers` of a producer or a listener.

    Args:
        mode: "binary" writes each attribute into a header of its own, and the data as the record's
            value; "structured" writes the whole event as JSON.

    Returns:
        A serializer. It raises `TypeError` for data that cannot be written: without a content type,
        or with one of JSON, data is whatever JSON can be; with another one it is bytes or a text.

    Raises:
        ConfigurationError: There is no such mode.
    """
    if mode not in ("binary", "structured"):
        raise ConfigurationError(f"mode is 'binary' or 'structured', not {mode!r:.300}")
    return _binary if mode == "binary" else _structured


called_as("to_cloudevent()", to_cloudevent)


def _binary(event: CloudEvent) -> Encoded:
    headers = [
        (f"{PREFIX}{name}", text.encode())
        for name, text in _texts(event).items()
        if name != "datacontenttype"
    ]
    content_type = event.datacontenttype
    if content_type is None and event.data is not None and not isinstance(event.data, bytes):
        content_type = JSON
    if content_type is not None:
        headers.append((CONTENT_TYPE, content_type.encode()))
    return Encoded(_data(event), tuple(headers))


def _structured(event: CloudEvent) -> Encoded:
    document: dict[str, Any] = {**_texts(event), **event.extensions}
    data = event.data
    if isinstance(data, bytes):
        document["data_base64"] = b64encode(data).decode()
    elif data is not None:
        if not event.has_json and not isinstance(data, str):
            raise TypeError("data is bytes or a text, since its content type is not JSON")
        document["data"] = data
    return Encoded(to_json(document), ((CONTENT_TYPE, STRUCTURED),))


def _texts(event: CloudEvent) -> dict[str, str]:
    """Return the attributes as texts, those that the event lacks aside."""
    texts = {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "source": event.source,
        "type": event.type,
    }
    for name in OPTIONAL:
        value = getattr(event, name)
        if value is not None:
            texts[name] = write_time(value) if name == "time" else value
    for name, value in event.extensions.items():
        texts[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return texts


def _data(event: CloudEvent) -> bytes:
    data = event.data
    if data is None or isinstance(data, bytes):
        return data or b""
    if event.has_json:
        return to_json(data)
    if isinstance(data, str):
        return data.encode()
    raise TypeError("data is bytes or a text, since its content type is not JSON")
