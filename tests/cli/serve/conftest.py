"""The guard of the programs that the tests of `serve` run."""

from collections.abc import Iterator

import pytest

from sdml_kafka.cli.serve.guard_process import GuardProcess


@pytest.fixture
def guard() -> Iterator[GuardProcess]:
    with GuardProcess() as guard:
        yield guard
