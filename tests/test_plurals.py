"""One record is no records."""

import pytest

from sdml_kafka.plurals import counted


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 records"), (1, "1 record"), (1500, "1,500 records")]
)
def test_counted(count: int, text: str) -> None:
    assert counted(count, "record") == text
