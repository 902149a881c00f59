"""The bytes of ids and paths are those of confluent-kafka."""

import io
from uuid import uuid4

import pytest
from confluent_kafka.schema_registry.common.serde import SchemaId
from hypothesis import given
from hypothesis import strategies as st

from sdml_kafka.schemas.wire import (
    MAX_INDEXES,
    guid_prefix,
    number_prefix,
    read_id,
    read_indexes,
    write_indexes,
)

paths = st.lists(st.integers(0, 2**20), min_size=1, max_size=MAX_INDEXES).map(tuple)


@given(st.integers(0, 2**32 - 1), paths)
def test_numbers_and_paths_as_the_other_side(number: int, path: tuple[int, ...]) -> None:
    theirs = SchemaId("PROTOBUF", number, None, list(path)).id_to_bytes()
    assert number_prefix(number) + write_indexes(path) == theirs
    assert read_id(theirs) == (number, 5)
    assert read_indexes(theirs, 5) == (path, len(theirs))


@given(paths)
def test_guids_as_the_other_side(path: tuple[int, ...]) -> None:
    guid = uuid4()
    theirs = SchemaId("PROTOBUF", None, str(guid), list(path)).guid_to_bytes()
    assert guid_prefix(guid) + write_indexes(path) == theirs
    assert read_id(theirs) == (guid, 17)
    assert read_indexes(theirs, 17) == (path, len(theirs))
    read = SchemaId("PROTOBUF")
    read.from_bytes(io.BytesIO(guid_prefix(guid) + write_indexes(path)))
    assert (read.guid, read.message_indexes) == (guid, list(path))


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (read_id, lambda data: read_indexes(data, 0)):
        try:
            _, at = read(data)
        except ValueError:
            continue
        assert 0 < at <= len(data)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\1", b"\2aaaaaaaaaaaaaaaaaaaaa", b"\1short"])
def test_what_has_no_id(data: bytes) -> None:
    with pytest.raises(ValueError, match="without a registry"):
        read_id(data)


def test_a_path_is_bounded() -> None:
    with pytest.raises(ValueError, match="impossible length"):
        read_indexes(write_indexes((1,) * (MAX_INDEXES + 1)), 0)
