"""What a line of JSON may say, and what is said about wrong ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.listen.json_lines import as_line
from sdml_kafka.cli.send.json_lines import Outgoing, read_line
from tests.support.records import make_record

DATA = st.none() | st.binary(max_size=20) | st.text(max_size=10).map(str.encode)
HEADERS = st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3)


def read(line: str, key: bytes | None = None) -> Outgoing:
    return read_line(line.encode(), key, ())


@given(DATA, st.binary(), HEADERS, st.integers(0, 9))
def test_what_listen_writes_is_sent_as_it_was(
    value: bytes | None, key: bytes, headers: list[tuple[str, bytes]], partition: int
) -> None:
    record = make_record(partition=partition, offset=7, value=value, key=key, headers=headers)
    sent = read_line(as_line(record), None, ())
    assert sent == Outgoing(value, key, tuple(headers), partition)


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_whatever_a_line_holds_is_a_record_or_an_error(line: bytes | str) -> None:
    data = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(ValueError, match=r"\w"):
        read_line(data, None, ())


def test_what_is_for_all_lines() -> None:
    headers = (("a", b"1"),)
    line = b'{"value": "v", "headers": {"b": "2"}}'
    assert read_line(line, b"k", headers) == Outgoing(b"v", b"k", (("a", b"1"), ("b", b"2")))
    own = b'{"value": null, "key": "own", "headers": [["a", "2"]], "partition": null}'
    assert read_line(own, b"k", headers) == Outgoing(None, b"own", (("a", b"1"), ("a", b"2")))
    assert read_line(b'{"value": "", "key": null}', b"k", ()) == Outgoing(b"", None, ())
    assert read_line(b'{"value": null}', None, ()) == Outgoing(None, None, ())


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "not JSON"),
        ("hello", "not JSON: Expecting value at character 1"),
        ('"hello"', "not an object"),
        ("[" * 100_000, "nested too deeply|not JSON"),
        ('{"valve": "v"}', "no field is named 'valve'"),
        ('{"key": "k"}', "the value is missing"),
        ('{"value": {"id": 1}}', "value is a string"),
        ('{"value": 5}', "value is a string"),
        ('{"value": {"base64": "?"}}', "not base64"),
        ('{"value": {"base64": 5}}', "not base64"),
        ('{"value": "\\ud800"}', "half of a character"),
        ('{"value": "v", "key": []}', "key is a string"),
        ('{"value": "v", "partition": true}', "partition is a whole number"),
        ('{"value": "v", "partition": -1}', "partition is a whole number"),
        ('{"value": "v", "headers": 5}', "headers are"),
        ('{"value": "v", "headers": ["abc"]}', "headers are"),
        ('{"value": "v", "headers": [["a"]]}', "headers are"),
        ('{"value": "v", "headers": [[5, "a"]]}', "header's name"),
        ('{"value": "v", "headers": {"a": null}}', "header's value"),
    ],
)
def test_wrong_lines(line: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(line)
