"""Every behaviour test runs on asyncio and trio; those marked `uvloop_too` on uvloop as well."""

from collections.abc import Iterator

import pytest

from sdml_kafka.testing import EmbeddedKafka

ASYNCIO = pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")
UVLOOP = pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop")
TRIO = pytest.param(("trio", {}), id="trio")


@pytest.fixture(params=[ASYNCIO, TRIO, UVLOOP])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture(scope="session")
def strict_kafka() -> Iterator[EmbeddedKafka]:
    """A Kafka that creates no topics by itself.

    A test may kill or freeze it, and has to leave it running.
    """
    with EmbeddedKafka(properties={"auto.create.topics.enable": "false"}) as kafka:
        yield kafka


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [
        item
        for item in items
        if "uvloop" not in item.name or item.get_closest_marker("uvloop_too") is not None
    ]
