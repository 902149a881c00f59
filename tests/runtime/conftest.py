import pytest

from tests.support.runtime_stage import Stage


@pytest.fixture
def stage(anyio_backend: object) -> Stage:
    return Stage()
