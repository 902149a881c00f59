"""A client whose entering failed may be entered again; one that was left may not."""

import anyio
import pytest

from sdml_kafka import BrokerUnreachable, ClientClosed
from tests.support.server_by_hand import callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_entering_that_failed_or_was_cut_off_is_tried_again() -> None:
    broker = new_broker()
    broker.down()
    rpc = client_on(broker, start_timeout=2.0)
    with pytest.raises(BrokerUnreachable):
        async with rpc:
            pytest.fail("entered")
    with anyio.move_on_after(1.0) as scope:
        async with rpc:
            pytest.fail("entered")
    assert scope.cancelled_caught
    broker.up()
    async with hand(broker) as server, rpc, callers(rpc) as tasks:
        call = tasks.call()
        server.reply(await server.request())
        assert await call.get() == b"reply"
    with pytest.raises(ClientClosed):
        async with rpc:
            pytest.fail("entered")
