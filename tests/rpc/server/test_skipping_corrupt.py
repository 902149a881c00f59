"""A server skips batches that do not decode, if it is meant to."""

import anyio
import pytest

from sdml_kafka.errors import ConfigurationError
from tests.support.client_by_hand import P0, ask, echo, new_broker, server_on, serving
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def test_requests_behind_a_batch_that_does_not_decode_are_served() -> None:
    broker = new_broker()
    ask(broker, b"bad", b"1")
    ask(broker, b"good", b"2")
    broker.spoil(P0, "CRC")
    async with serving(broker, echo, on_corrupt="skip") as server:
        await until(lambda: server.status().counters.replies == 1)
        assert server.status().counters.corrupt == 1


async def test_without_it_they_wait() -> None:
    broker = new_broker()
    ask(broker, b"bad", b"1")
    broker.spoil(P0, "CRC")
    async with serving(broker, echo) as server:
        await anyio.sleep(10.0)
        assert server.status().counters.requests == server.status().counters.corrupt == 0


async def test_other_values_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="on_corrupt"):
        server_on(new_broker(), on_corrupt="drop")
