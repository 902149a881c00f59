"""A client whose broker is not there."""

import anyio
import pytest

from sdml_kafka import BrokerUnreachable, KafkaRPC
from tests.support.waiting import BUSY_S

pytestmark = [pytest.mark.anyio, pytest.mark.uvloop_too]


async def test_a_client_cannot_be_entered_without_a_broker(free_tcp_port: int) -> None:
    began = anyio.current_time()
    with pytest.raises(BrokerUnreachable):
        async with KafkaRPC(bootstrap_servers=f"127.0.0.1:{free_tcp_port}", start_timeout=1.0):
            pytest.fail("entered")
    assert anyio.current_time() - began < 1.0 + BUSY_S
