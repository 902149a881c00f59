"""A group that a client shares with others by mistake."""

import anyio
import pytest

from sdml_kafka import CallTimeout, GroupShared, JoinTimeout
from tests.support.server_by_hand import REPLY, REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_a_group_that_others_share_is_an_error_that_says_so() -> None:
    broker = new_broker()
    async with client_on(broker, group="mine-by-mistake"):
        with pytest.raises(GroupShared, match=r"'mine-by-mistake'.*'reply'.*group_id of its own"):
            async with client_on(broker, group="mine-by-mistake"):
                await anyio.sleep(60)


async def test_a_newcomer_by_mistake_costs_the_client_that_was_there_no_reply() -> None:
    broker = new_broker()
    async with (
        client_on(broker, group="shared") as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        calls = [tasks.call(b"%d" % number) for number in range(10)]
        requests = await server.requests(10)
        with pytest.raises(GroupShared):
            async with client_on(broker, group="shared"):
                await anyio.sleep(60)
        for request in requests:
            server.reply(request, request.value or b"")
        assert [await call.get() for call in calls] == [b"%d" % n for n in range(10)]


async def test_somebody_who_joins_the_group_and_stays_is_an_error() -> None:
    broker = new_broker()
    with pytest.raises(GroupShared, match="group 'shared'"):
        async with client_on(broker, group="shared"), broker.connect("shared")() as intruder:
            await intruder.start([REPLY], 5.0)
            await anyio.sleep(60)


async def test_a_group_shared_with_a_server_of_another_topic_is_harmless() -> None:
    broker = new_broker()
    async with broker.connect("client", auto_offset_reset="earliest")() as other:
        await other.start([REQUEST], 5.0)
        async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
            call = tasks.call()
            server.reply(await server.request())
            assert await call.get() == b"reply"


async def test_the_log_and_a_call_that_timed_out_meanwhile_name_the_group(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = new_broker()
    with pytest.raises(GroupShared):
        async with (
            client_on(broker, group="shared") as rpc,
            broker.connect("shared")() as intruder,
            callers(rpc) as tasks,
        ):
            await intruder.start([REPLY], 5.0)
            await anyio.sleep(1)
            with pytest.raises(CallTimeout) as caught:
                await tasks.call(res_timeout=1.0).get()
            assert "group 'shared'" in str(caught.value.__cause__)
            await anyio.sleep(60)
    assert "group 'shared'" in caplog.text


async def test_a_rebalance_that_does_not_end_names_the_group() -> None:
    broker = new_broker()
    async with broker.connect("busy")() as other:
        await other.start([REPLY], 5.0)
        await other.poll([], 500, 1.0)  # takes the partitions, and does not release them
        with pytest.raises(JoinTimeout, match="group 'busy'"):
            async with client_on(broker, group="busy", start_timeout=1.0):
                pytest.fail("entered")
