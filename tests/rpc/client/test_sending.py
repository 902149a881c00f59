"""Requests that cannot be sent, sends in doubt, and notifications."""

import anyio
import pytest

from sdml_kafka import (
    CallTimeout,
    PayloadTooLarge,
    RecordRefused,
    RemoteError,
    SendFailed,
    TopicMissing,
)
from tests.support.headers import header
from tests.support.server_by_hand import REQUEST, callers, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_a_missing_request_topic_fails_at_once() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        began = anyio.current_time()
        with pytest.raises(TopicMissing, match="nowhere"):
            await rpc.request("nowhere", b"")
        assert anyio.current_time() - began < 3.0
        assert rpc.status().in_flight == 0


async def test_a_payload_over_the_limit_fails_at_once() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        broker.fail_sends(PayloadTooLarge("too large"))
        with pytest.raises(PayloadTooLarge):
            await rpc.request(REQUEST, b"")


async def test_a_send_in_doubt_waits_for_the_deadline_and_is_its_cause() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        broker.fail_sends(SendFailed("no answer", in_doubt=True))
        with pytest.raises(CallTimeout) as caught:
            await rpc.request(REQUEST, b"", res_timeout=2.0)
        assert isinstance(caught.value.__cause__, SendFailed)


async def test_a_send_that_never_went_out_is_made_again() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        broker.fail_sends(SendFailed("not sent"), times=2)
        call = tasks.call()
        server.reply(await server.request())
        assert await call.get() == b"reply"


async def test_a_refusal_is_reported_at_once_also_without_a_deadline() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        began = anyio.current_time()
        for refused in range(3):
            broker.fail_sends(RecordRefused("its timestamp"))
            with pytest.raises(RecordRefused, match="its timestamp"):
                match refused:
                    case 0:
                        await rpc.request(REQUEST, b"", res_timeout=None)
                    case 1:
                        await rpc.notify(REQUEST, b"", res_timeout=None)
                    case _:
                        async for _ in rpc.stream(REQUEST, b"", res_timeout=None):
                            pass
        assert anyio.current_time() - began < 1.0
        assert rpc.status().in_flight == 0


async def test_refused_requests_cost_no_other_call_and_no_restart() -> None:
    """Each refusal has the producer replaced here, as after an attempt without an answer."""
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        await server.join()
        for _ in range(20):  # far more often than a crash may happen
            broker.hold_sends()
            broker.fail_sends(RecordRefused("ordered"), spoils=True)
            refused = tasks.call(res_timeout=None)
            await until(lambda: rpc.status().in_flight == 1)
            calls = [tasks.call(res_timeout=None) for _ in range(5)]
            await until(lambda: rpc.status().in_flight == 6)
            broker.release_sends()
            for request in await server.requests(5):
                server.reply(request)
            with pytest.raises(RecordRefused):
                await refused.get()
            assert [await call.get() for call in calls] == [b"reply"] * 5
        assert rpc.status().counters.restarts == 0


async def test_what_never_goes_out_is_reported_also_without_a_deadline() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        broker.fail_sends(SendFailed("not sent"), times=1000)
        with anyio.fail_after(5), pytest.raises(SendFailed, match="not sent"):
            await rpc.request(REQUEST, b"", res_timeout=None)
        assert rpc.status().in_flight == 0


async def test_a_server_group_without_members_is_unavailable_at_once() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(RemoteError, match="unavailable"):
            await rpc.request(REQUEST, b"", server_group="hand")
        await anyio.sleep(2.0)
        async with hand(broker) as server, callers(rpc) as tasks:
            await server.join()
            call = tasks.call(server_group="hand")
            server.reply(await server.request())
            assert await call.get() == b"reply"


async def test_a_notification_returns_when_the_broker_has_it() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server:
        await rpc.notify(REQUEST, b"note", req_key="k", req_headers={"a": b"b"})
        record = await server.request()
        assert (record.value, record.key) == (b"note", b"k")
        assert header(record, "x-reply-topic") is None
        broker.fail_sends(SendFailed("no answer", in_doubt=True))
        with pytest.raises(SendFailed):
            await rpc.notify(REQUEST, b"note")
        broker.down()
        with pytest.raises(CallTimeout, match="acknowledgement"):
            await rpc.notify(REQUEST, b"note", res_timeout=1.0)
        assert rpc.status().in_flight == 0
