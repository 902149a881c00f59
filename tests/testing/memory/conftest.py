"""The in-memory broker that these tests act on, in virtual time."""

import pytest

from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.virtual_time import ASYNCIO, TRIO


@pytest.fixture(params=[ASYNCIO, TRIO])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"orders": 2})
