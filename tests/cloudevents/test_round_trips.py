"""CloudEvents in both modes, with the `cloudevents` package as the other side."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs import evolve
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as TheirEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from sdml_kafka import CloudEvent, parse_cloudevent, to_cloudevent
from tests.support.schemas import FakeRecord

NEEDED = {"ce_specversion": b"1.0", "ce_id": b"1", "ce_source": b"/shop", "ce_type": b"placed"}

texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=20)
plain = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
times = st.datetimes(
    datetime(1970, 1, 2),
    datetime(2100, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))]),
)
attributes: dict[str, Any] = {
    "id": texts,
    "source": texts,
    "type": texts,
    "time": st.none() | times,
    "subject": st.none() | texts,
    "dataschema": st.none() | texts,
    "extensions": st.dictionaries(
        st.from_regex(r"x[a-z0-9]{0,9}", fullmatch=True), texts, max_size=3
    ),
}
with_json = st.builds(
    CloudEvent, **attributes, datacontenttype=st.just("application/json"), data=plain
)
with_bytes = st.builds(
    CloudEvent, **attributes, datacontenttype=st.just("image/png"), data=st.binary(min_size=1)
)
events = with_json | with_bytes
with_object = st.builds(
    CloudEvent,
    **attributes,
    datacontenttype=st.just("application/json"),
    data=st.dictionaries(texts, plain, max_size=3),
)
as_they_write = with_object | with_bytes
"""In binary mode they write other data than objects as Python shows it."""
MODES = pytest.mark.parametrize("mode", ["binary", "structured"])


def record_of(event: CloudEvent, mode: Any) -> Any:
    encoded = to_cloudevent(mode)(event)
    return FakeRecord(encoded.value, encoded.headers)


@MODES
@given(event=events)
@settings(max_examples=25, deadline=None)
def test_our_own_round_trip(mode: str, event: CloudEvent) -> None:
    assert parse_cloudevent(record_of(event, mode)) == event


@MODES
@given(event=events)
@settings(max_examples=25, deadline=None)
def test_the_other_side_reads_ours(mode: str, event: CloudEvent) -> None:
    record = record_of(event, mode)
    theirs = from_kafka(KafkaMessage(dict(record.headers), None, record.value), JSONFormat())
    data = theirs.get_data()
    # They make a text of bytes that happen to be UTF-8.
    assert event.data == (
        data.encode() if isinstance(event.data, bytes) and isinstance(data, str) else data
    )
    for name in ("id", "source", "type", "time", "subject", "dataschema", "datacontenttype"):
        if name != "time" or event.time is not None:  # else theirs sets the present
            assert theirs.get_attributes().get(name) == getattr(event, name)
    for name, value in event.extensions.items():
        assert theirs.get_extension(name) == value


@MODES
@given(event=as_they_write)
@settings(max_examples=25, deadline=None)
def test_ours_reads_the_other_side(mode: str, event: CloudEvent) -> None:
    known = {"id", "source", "type", "time", "subject", "dataschema", "datacontenttype"}
    given_: dict[str, Any] = {name: getattr(event, name) for name in known}
    theirs = TheirEvent(
        {k: v for k, v in {**given_, **event.extensions}.items() if v is not None}, event.data
    )
    message = (to_binary if mode == "binary" else to_structured)(theirs, JSONFormat())
    record: Any = FakeRecord(message.value, tuple(message.headers.items()))
    read = parse_cloudevent(record)
    assert (read if event.time is not None else evolve(read, time=None)) == event


def test_extensions_that_are_no_texts() -> None:
    event = CloudEvent(type="t", source="s", extensions={"retry": 3, "urgent": True})
    assert parse_cloudevent(record_of(event, "structured")).extensions == event.extensions
    read = parse_cloudevent(record_of(event, "binary"))
    assert read.extensions == {"retry": "3", "urgent": "true"}


def test_data_without_a_content_type() -> None:
    event = CloudEvent(type="t", source="s", data={"a": 1})
    assert parse_cloudevent(record_of(event, "binary")).data == {"a": 1}
    assert parse_cloudevent(record_of(event, "structured")).data == {"a": 1}
    raw = CloudEvent(type="t", source="s", data=b"\xff")
    assert parse_cloudevent(record_of(raw, "binary")).data == b"\xff"
    assert parse_cloudevent(record_of(raw, "structured")).data == b"\xff"


@MODES
@pytest.mark.parametrize("content_type", [None, "application/json"])
def test_an_event_without_data(mode: str, content_type: str | None) -> None:
    event = CloudEvent(type="t", source="s", datacontenttype=content_type)
    assert parse_cloudevent(record_of(event, mode)) in (event, evolve(event, data=b""))


def with_headers(**changed: bytes | None) -> Any:
    headers = {**NEEDED, **changed}
    return FakeRecord(b"{}", tuple((k, v) for k, v in headers.items() if v is not None))


def structured(value: bytes | None) -> Any:
    return FakeRecord(value, (("content-type", b"application/cloudevents+json; charset=UTF-8"),))


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (FakeRecord(b"{}"), "it has no header that begins with 'ce_'"),
        (with_headers(ce_id=None, ce_type=None), "lacks id, type"),
        (with_headers(ce_specversion=b"0.3"), "version '0.3', and 1.0 is read"),
        (with_headers(ce_source=b""), "source is a text that is not empty"),
        (with_headers(ce_source=b"a\nb"), "source has a control character"),
        (with_headers(ce_subject=b"\xff"), "'ce_subject' is not UTF-8"),
        (with_headers(ce_time=b"yesterday"), "not as RFC 3339 has it: 'yesterday'"),
        (with_headers(ce_time=b"2026-01-01T00:00:00"), "has no time zone"),
        (with_headers(**{"ce_no-name": b"x"}), "'no-name' cannot be an extension"),
        (structured(None), "a structured one has a value"),
        (structured(b"[]"), "a structured one is a JSON object"),
        (structured(b'{"id": "1"}'), "lacks specversion, source, type"),
        (
            structured(b'{"specversion": "1.0", "id": 7, "source": "s", "type": "t"}'),
            "id is a text that is not empty, not int",
        ),
        (
            structured(
                b'{"specversion": "1.0", "id": "7", "source": "s", "type": "t",'
                b' "data": 1, "data_base64": "AAAA"}'
            ),
            "and not both",
        ),
        (
            FakeRecord(b"", (("content-type", b"application/cloudevents+avro"),)),
            "JSON alone is read",
        ),
    ],
)
def test_what_is_no_event(record: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        parse_cloudevent(record)


@given(st.binary(max_size=60))
def test_any_value_is_read_or_refused(value: bytes) -> None:
    with suppress(ValueError):
        parse_cloudevent(structured(value))


@MODES
def test_data_that_cannot_be_written(mode: Any) -> None:
    event = CloudEvent(type="t", source="s", datacontenttype="text/plain", data={"a": 1})
    with pytest.raises(TypeError, match="bytes or a text"):
        to_cloudevent(mode)(event)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"time": datetime(2026, 1, 1)}, "time is a datetime with a time zone"),
        ({"extensions": {"Big": "x"}}, "'Big' cannot be an extension"),
        ({"extensions": {"id": "x"}}, "'id' cannot be an extension"),
        ({"extensions": {"big": 2**31}}, "extension big"),
        ({"extensions": {"half": 0.5}}, "extension half"),
        ({"subject": ""}, "subject is a text that is not empty, not ''"),
        ({"source": 7}, "source is a text that is not empty"),
    ],
)
def test_what_cannot_be_an_event(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        CloudEvent(**{"type": "t", "source": "s", **wrong})
