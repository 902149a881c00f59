"""The fixtures that a program's own tests get with this package."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sdml_kafka.testing.embedded.kafka import EmbeddedKafka


@pytest.fixture(scope="session")
def embedded_kafka() -> Iterator["EmbeddedKafka"]:
    """A real Apache Kafka, one node, started once for a run, or a worker of pytest-xdist."""
    from sdml_kafka.testing.embedded.errors import EmbeddedKafkaError
    from sdml_kafka.testing.embedded.kafka import EmbeddedKafka

    with ExitStack() as stack:
        try:
            kafka = stack.enter_context(EmbeddedKafka())
        except EmbeddedKafkaError as error:
            pytest.fail(f"the embedded Kafka did not come up: {error}", pytrace=False)
        yield kafka
