"""Clients and servers whose connections a load balancer forgets without a word."""

import time

import anyio
import pytest

from sdml_kafka.testing import EmbeddedKafka
from tests.support.proxy import proxied
from tests.support.rpc_on_broker import pair_on
from tests.support.waiting import BUSY_S, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.trio_asyncio_too,
]

SETTLES_WITHIN_S = 10.0


async def test_a_call_over_forgotten_connections_is_answered_in_good_time(
    embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the client and of the server are forgotten at once."""
    with proxied(monkeypatch) as proxy, anyio.fail_after(90):
        async with pair_on(embedded_kafka) as (rpc, topic):
            assert await rpc.request(topic, b"abc") == b"cba"
            accepted = proxy.accepted
            proxy.forget()
            began = time.monotonic()
            assert await rpc.request(topic, b"abc", res_timeout=40.0) == b"cba"
            assert time.monotonic() - began < SETTLES_WITHIN_S + BUSY_S
            assert await rpc.request(topic, b"abc", res_timeout=30.0) == b"cba"
            assert proxy.accepted > accepted
            await until(lambda: rpc.status().connected)
            assert rpc.status().counters.restarts == 0
