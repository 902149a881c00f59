"""A CloudEvent: its attributes, checked by the specification of CloudEvents 1.0, and its data."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from attrs import field, frozen

__all__ = ["CloudEvent"]

SPEC_VERSION = "1.0"
OPTIONAL = ("datacontenttype", "dataschema", "subject", "time")
_OWN = frozenset({"id", "source", "type", "specversion", *OPTIONAL, "data", "data_base64"})
_EXTENSION = re.compile(r"[a-z0-9]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
MAX_INTEGER = 2**31
"""The bound of an extension's integer: it has 32 bits."""

Extension = str | bool | int


def _new_id() -> str:
    return str(uuid4())


@frozen(kw_only=True)
class CloudEvent:
    """An event by CloudEvents 1.0.

    Raises:
        ValueError: An attribute is not as the specification has it; the text names it.
    """

    type: str
    """The kind of what has happened, such as "com.example.order.placed"."""
    source: str
    """The place where it has happened, as a URI reference; with `id` it names the event."""
    data: Any = None
    """The event's data. With a content type of JSON it is what the JSON stands for, with another
    one bytes; None if there is none."""
    id: str = field(factory=_new_id)
    """The event's own name within its source; by default a fresh UUID."""
    time: datetime | None = None
    """The time at which it has happened, with a time zone."""
    subject: str | None = None
    """The thing that it has happened to, within the source."""
    datacontenttype: str | None = None
    """The content type of the data; None stands for JSON."""
    dataschema: str | None = None
    """The URI of the data's schema."""
    extensions: Mapping[str, Extension] = field(factory=dict[str, Extension])
    """Further attributes: names of lower-case letters and digits, values of text, `bool` or `int`.
    In binary mode all of them arrive as texts."""

    def __attrs_post_init__(self) -> None:
        for name in ("id", "source", "type", *OPTIONAL):
            value: object = getattr(self, name)
            is_needed = name in ("id", "source", "type")
            if name == "time":
                if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
                    raise ValueError("time is a datetime with a time zone")
            elif value is not None or is_needed:
                _check_text(name, value)
        for name, value in self.extensions.items():
            if not isinstance(name, str) or not _EXTENSION.fullmatch(name) or name in _OWN:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(
                    f"{name!r:.100} cannot be an extension: its name has lower-case letters and "
                    "digits, and is no attribute of its own"
                )
            if isinstance(value, str):
                _check_text(name, value, may_be_empty=True)
            elif not isinstance(value, int) or not -MAX_INTEGER <= value < MAX_INTEGER:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(f"the extension {name} is a text, True, False or a 32-bit integer")

    @property
    def has_json(self) -> bool:
        """True if the content type of the data is JSON."""
        return is_json(self.datacontenttype)


def is_json(content_type: str | None) -> bool:
    """Return whether a content type is JSON, as no content type is."""
    if content_type is None:
        return True
    media = content_type.partition(";")[0].strip().lower()
    return media.endswith(("/json", "+json"))


def write_time(time: datetime) -> str:
    """Return a time as RFC 3339 has it."""
    text = time.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def read_time(text: str) -> datetime:
    """Return a time out of RFC 3339.

    Raises:
        ValueError: It is none, or has no time zone.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"its time is not as RFC 3339 has it: {text!r:.60}") from None
    if time.tzinfo is None:
        raise ValueError(f"its time has no time zone: {text!r:.60}")
    return time.astimezone(UTC) if time.utcoffset() is None else time


def _check_text(name: str, value: object, *, may_be_empty: bool = False) -> None:
    if not isinstance(value, str) or not (value or may_be_empty):
        given = "''" if value == "" else type(value).__name__
        raise ValueError(f"{name} is a text that is not empty, not {given}")
    if _CONTROL.search(value):
        raise ValueError(f"{name} has a control character or half of a surrogate pair")
