import pytest

from .stage import Stage


@pytest.fixture
def stage(anyio_backend: object) -> Stage:
    return Stage()
