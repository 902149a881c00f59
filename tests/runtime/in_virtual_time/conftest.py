"""The tests of what takes time, in virtual time: on trio, with a clock that begins at 0."""

import pytest
from trio.testing import MockClock


@pytest.fixture
def anyio_backend() -> object:
    return "trio", {"clock": MockClock(autojump_threshold=0)}
