"""The services, each started once for all tests of a process that use it."""

import asyncio
from collections.abc import Generator, Iterable

import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.interop.harness.service import Running, nest, running, spring
from tests.support.kafka_from_outside import create_topic, unique

PARTITIONS = 3


def prepared(kafka: EmbeddedKafka, names: Iterable[str]) -> str:
    """Create topics with a common prefix, and return it."""
    prefix = unique("interop")

    async def create() -> None:
        for name in names:
            await create_topic(kafka.bootstrap_servers, f"{prefix}-{name}", PARTITIONS)

    asyncio.run(create())
    return prefix


@pytest.fixture(scope="session")
def spring_retries(embedded_kafka: EmbeddedKafka) -> Generator[Running]:
    """Listeners with a `@RetryableTopic`, and one with a recoverer; see `Retries.java`."""
    names = ("retried", "single", "indexed", "recovered", "recovered-dlt", "parsed")
    prefix = prepared(embedded_kafka, names)
    yield from running(spring(embedded_kafka.bootstrap_servers, prefix, "retries"), prefix)


@pytest.fixture(scope="session")
def spring_responder(embedded_kafka: EmbeddedKafka) -> Generator[Running]:
    """Listeners that answer; see `Responder.java`."""
    prefix = prepared(embedded_kafka, ("plain", "errors"))
    yield from running(spring(embedded_kafka.bootstrap_servers, prefix, "responder"), prefix)


@pytest.fixture(scope="session")
def spring_requester(embedded_kafka: EmbeddedKafka) -> Generator[Running]:
    """Templates that ask; see `Requester.java`."""
    prefix = prepared(embedded_kafka, ("replies", "replies-json"))
    yield from running(spring(embedded_kafka.bootstrap_servers, prefix, "requester"), prefix)


@pytest.fixture(scope="session")
def nest_responder(embedded_kafka: EmbeddedKafka) -> Generator[Running]:
    """A controller that answers; see `responder.ts`."""
    prefix = prepared(embedded_kafka, ("one", "stream"))
    yield from running(nest(embedded_kafka.bootstrap_servers, prefix, "responder"), prefix)


@pytest.fixture(scope="session")
def nest_requester(embedded_kafka: EmbeddedKafka) -> Generator[Running]:
    """Two clients of one group that ask; see `requester.ts`."""
    prefix = prepared(embedded_kafka, ("one", "one.reply", "stream", "stream.reply"))
    yield from running(nest(embedded_kafka.bootstrap_servers, prefix, "requester"), prefix)
