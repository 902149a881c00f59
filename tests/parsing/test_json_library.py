"""`parse_json` accepts the same documents, whichever decoder it uses."""

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.parsing import json_library

CASES = [
    b"NaN", b"[1e400]", b'"\\ud800"', b"\xef\xbb\xbf1", '"é"'.encode("utf-16"), b'{"a":1,"a":2}',
    b"1" + b"0" * 40, b"-0.0", b"[1,]", b"", b"\xff", b'"\x01"', b"nul", b" 1 ", b"1 2",
]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.fixture(params=["msgspec", "pydantic_core", "json"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    for faster in {"json": ["msgspec", "pydantic_core"], "pydantic_core": ["msgspec"]}.get(
        name, []
    ):
        monkeypatch.setitem(sys.modules, faster, None)
    monkeypatch.setattr(json_library, "_decode", None)
    monkeypatch.setattr(json_library, "_name", "")
    return name


def outcome(decode: Any, document: bytes) -> object:
    try:
        return shown(decode(document))
    except ValueError:
        return "invalid"


def shown(value: object) -> object:
    """Return what tells apart -0.0 from 0, 1 from 1.0, and compares NaN as equal."""
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    return repr(value)


def test_the_fastest_that_is_installed_is_used_and_named(library: str) -> None:
    assert json_library.json_library() == library
    assert json_library.decode_json(b'{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize("document", CASES)
def test_odd_documents_are_read_alike(library: str, document: bytes) -> None:
    for _ in range(2):  # before and after the library was chosen
        assert outcome(json_library.decode_json, document) == outcome(json.loads, document)


@given(json_values)
def test_any_document_is_read_alike(value: object) -> None:
    for ascii_ in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")
        assert outcome(json_library.decode_json, text) == outcome(json.loads, text)


def test_nothing_is_imported_before_the_first_document() -> None:
    code = (
        "import sys, sdml_kafka; sdml_kafka.parse_json; "
        "assert not {'msgspec', 'pydantic_core'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
