"""A listener whose broker is not there."""

import anyio
import pytest

from sdml_kafka import BrokerUnreachable, KafkaListener
from tests.support.listener_on_broker import texts
from tests.support.waiting import BUSY_S

pytestmark = [pytest.mark.anyio, pytest.mark.uvloop_too]


async def test_a_broker_that_is_not_there_is_a_clear_error_in_time(free_tcp_port: int) -> None:
    began = anyio.current_time()
    with pytest.raises(BrokerUnreachable, match="Check the address"):
        async with KafkaListener(
            texts("topic"),
            bootstrap_servers=f"127.0.0.1:{free_tcp_port}",
            group_id="group",
            start_timeout=1.0,
        ):
            pytest.fail("entered")
    assert anyio.current_time() - began < 1.0 + BUSY_S
