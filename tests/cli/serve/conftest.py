"""The guard that ends the programs of these tests."""

from collections.abc import Iterator

import pytest

from sdml_kafka.cli.serve.programs import Guard


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard
