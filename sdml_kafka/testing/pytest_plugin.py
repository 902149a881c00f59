"""The fixtures that a program's own tests get with this package."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sdml_kafka.testing.embedded.kafka import EmbeddedKafka


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the configuration of pytest name the version of the fixture's Kafka."""
    parser.addini("embedded_kafka_version", "the version of the Kafka of `embedded_kafka`")


@pytest.fixture(scope="session")
def embedded_kafka(pytestconfig: pytest.Config) -> Iterator["EmbeddedKafka"]:
    """A real Apache Kafka, one node, started once for a run, or a worker of pytest-xdist."""
    from sdml_kafka.testing.embedded.errors import EmbeddedKafkaError
    from sdml_kafka.testing.embedded.kafka import EmbeddedKafka

    version = pytestconfig.getini("embedded_kafka_version") or None
    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(EmbeddedKafka(version=version))
        except EmbeddedKafkaError as error:
            pytest.fail(f"the embedded Kafka did not come up: {error}", pytrace=False)
        yield kafka
