"""The variables in which a program finds a call, whatever the caller put into it."""

from urllib.parse import parse_qsl, unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.cli.serve.call_env import HEADERS, ID, KEY, MAX_CHARS, TIMEOUT_MS, call_env

RAW = st.binary(max_size=100)


@given(RAW | st.none(), RAW | st.none(), st.lists(st.tuples(st.text(), RAW | st.none())))
def test_nothing_is_lost_and_nothing_raw_comes_through(
    id: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    env = call_env({}, id, key, 1.5, headers)
    for value in env.values():
        assert all(" " <= char <= "~" for char in value)
    assert (unquote_to_bytes(env[ID]) if ID in env else None) == id
    assert (unquote_to_bytes(env[KEY]) if KEY in env else None) == key
    assert env[TIMEOUT_MS] == "1500"
    found = parse_qsl(env[HEADERS], keep_blank_values=True, encoding="latin-1")
    assert found == [
        (name.encode("utf-8", "replace").decode("latin-1"), (value or b"").decode("latin-1"))
        for name, value in headers
    ]


def test_readable_values_stay_readable() -> None:
    env = call_env({}, b"id-7 (a=b)", b"50%\n\0", 0.0, [("lang", b"en"), ("a&b", b"c d")])
    assert env == {
        ID: "id-7 (a=b)",
        KEY: "50%25%0A%00",
        TIMEOUT_MS: "0",
        HEADERS: "lang=en&a%26b=c%20d",
    }


def test_a_variable_without_a_value_is_missing_even_when_it_was_inherited() -> None:
    inherited = {"PATH": "/bin", ID: "old", KEY: "old", TIMEOUT_MS: "1", HEADERS: "old=1"}
    assert call_env(inherited, None, None, None, []) == {"PATH": "/bin", HEADERS: ""}


def test_a_variable_that_is_too_long_is_missing() -> None:
    long = b"x" * (MAX_CHARS + 1)
    env = call_env({}, long, b"\xff" * MAX_CHARS, 1.0, [("h", long)])
    assert env == {TIMEOUT_MS: "1000"}
    assert len(call_env({}, long[1:], None, None, [])[ID]) == MAX_CHARS
