"""The in-memory broker that these tests act on, on trio in virtual time."""

import pytest

from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.contracts.consumer_world import backend_in_virtual_time


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    return backend_in_virtual_time(request.param)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker({"orders": 2})
