"""Records as lines of JSON."""

import base64
import json

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.listen.json_lines import as_line


@frozen
class Wire:
    topic: str = "orders"
    partition: int = 3
    offset: int = 7
    timestamp: int = 1_700_000_000_000
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_type: int = 0
    serialized_key_size: int = -1
    serialized_value_size: int = -1


def test_every_field() -> None:
    record = Wire(key=b"k", value=b'{"a": 1}', headers=(("h", b"1"), ("h", b"\xff")))
    assert json.loads(as_line(record)) == {
        "topic": "orders",
        "partition": 3,
        "offset": 7,
        "timestamp": 1_700_000_000_000,
        "key": "k",
        "value": '{"a": 1}',
        "headers": [["h", "1"], ["h", {"base64": "/w=="}]],
    }


def test_a_tombstone() -> None:
    assert json.loads(as_line(Wire()))["value"] is None


def original(shown: object) -> bytes | None:
    if isinstance(shown, dict):
        return base64.b64decode(shown["base64"])
    assert shown is None or isinstance(shown, str)
    return None if shown is None else shown.encode()


RAW = st.none() | st.binary() | st.text().map(str.encode)


@given(key=RAW, value=RAW, header=st.text(), data=st.binary())
def test_nothing_is_lost_and_nothing_raw_comes_through(
    key: bytes | None, value: bytes | None, header: str, data: bytes
) -> None:
    line = as_line(Wire(key=key, value=value, headers=((header, data),)))
    assert line.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    shown = json.loads(line)
    assert original(shown["key"]) == key
    assert original(shown["value"]) == value
    assert [[name, original(item)] for name, item in shown["headers"]] == [[header, data]]
