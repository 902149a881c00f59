"""The clients that are built from options instead of a factory."""

from typing import Any

import pytest

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.aiokafka.factory import (
    default_consumer_factory,
    default_producer_factory,
    split_options,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Return asyncio: a client of aiokafka is built where an asyncio loop runs."""
    return "asyncio"


def test_options_go_to_the_client_that_takes_them() -> None:
    consumer, producer = split_options(
        {"fetch_max_wait_ms": 1, "linger_ms": 2, "client_id": "id", "ssl_context": None}
    )
    assert consumer == {"fetch_max_wait_ms": 1, "client_id": "id", "ssl_context": None}
    assert producer == {"linger_ms": 2, "client_id": "id", "ssl_context": None}


@pytest.mark.parametrize("name", ["sasl_plain_passwrod", "self", "loop", "topics"])
def test_an_option_that_neither_takes_is_named_without_its_value(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        split_options({name: "secret", "client_id": "id"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("max_bytes", "in_all", "of_a_partition"),
    [
        (None, 50 << 20, 1 << 20),
        (64 << 20, 50 << 20, 1 << 20),
        (4 << 20, 4 << 20, 256 << 10),
        (1, 1 << 16, 1 << 16),
    ],
)
async def test_a_fetch_suits_the_bytes_that_may_be_held(
    max_bytes: int | None, in_all: int, of_a_partition: int
) -> None:
    consumer: Any = default_consumer_factory("127.0.0.1:9", "group", {}, max_bytes)()
    assert consumer._fetch_max_bytes == in_all
    assert consumer._max_partition_fetch_bytes == of_a_partition
    options = {"fetch_max_bytes": 3, "max_partition_fetch_bytes": 2}
    own: Any = default_consumer_factory("127.0.0.1:9", "group", options, max_bytes)()
    assert (own._fetch_max_bytes, own._max_partition_fetch_bytes) == (3, 2)
    for each in (consumer, own):
        await each.stop()


async def build(**options: Any) -> Any:
    producer: Any = default_producer_factory("127.0.0.1:9", options)()
    await producer.stop()
    return producer


async def test_retries_make_no_duplicates_unless_the_program_wants_fewer_acknowledgements() -> None:
    assert (await build())._txn_manager is not None
    assert (await build(acks=1))._txn_manager is None
    assert (await build(enable_idempotence=False))._txn_manager is None
    with pytest.raises(ConfigurationError, match="acks=1"):
        await build(acks=1, enable_idempotence=True)


@pytest.mark.parametrize("options", [{}, {"connections_max_idle_ms": 600_000}])
async def test_idle_connections_are_closed_before_a_load_balancer_forgets_them(
    options: dict[str, Any],
) -> None:
    consumer: Any = default_consumer_factory("127.0.0.1:9", "group", options)()
    await consumer.stop()
    for client in (consumer._client, (await build(**options)).client):
        idle_ms = client._connections_max_idle_ms
        assert idle_ms == 600_000 if options else idle_ms < 240_000
