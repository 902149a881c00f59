"""Readers of a stream that break off, are cancelled or fall behind, and clients that are left."""

from functools import partial
from threading import Thread, get_ident

import anyio
import pytest

from sdml_kafka import ClientClosed, ConfigurationError, KafkaRPC, StreamBroken, StreamBusy
from sdml_kafka.rpc.client.pending_calls import PendingCall, PendingCalls
from sdml_kafka.transport.interfaces.records import Record
from tests.support.headers import header
from tests.support.server_by_hand import REQUEST, answer_with_stream, client_on, hand, new_broker
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


@pytest.mark.parametrize("asks", [True, False])
async def test_breaking_off_sends_a_cancel_record_to_a_server_that_asked_for_it(asks: bool) -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:
        requests: list[Record] = []

        async def serve() -> None:
            request = await server.request()
            requests.append(request)
            extra = [("x-cancel-partition", b"%d" % request.partition)] if asks else []
            server.reply(request, b"a", ("x-sequence", b"0"), *extra)

        tasks.start_soon(serve)
        async with rpc.stream(REQUEST, b"") as stream:
            async for value in stream:
                assert value == b"a"
                break
        assert rpc.status().in_flight == 0
        assert [value async for value in stream] == []
        await rpc.notify(REQUEST, b"afterwards")
        cancel = await server.request()
        if asks:
            assert header(cancel, "x-cancel") == b"1"
            assert header(cancel, "request_id") == header(requests[0], "request_id")
            assert cancel.partition == requests[0].partition
        else:
            assert cancel.value == b"afterwards"


async def test_leaving_sends_cancel_records_for_all_streams() -> None:
    broker = new_broker()

    async def read(rpc: KafkaRPC) -> None:
        with pytest.raises(ClientClosed):
            async for _ in rpc.stream(REQUEST, b"", res_timeout=None):
                pass

    async with hand(broker) as server, anyio.create_task_group() as tasks:
        async with client_on(broker) as rpc:
            for _ in range(3):
                tasks.start_soon(read, rpc)
            requests = await server.requests(3)
            for request in requests:
                partition = b"%d" % request.partition
                server.reply(request, b"a", ("x-sequence", b"0"), ("x-cancel-partition", partition))
            await until(lambda: rpc.status().counters.replies == 3)
        cancels = await server.requests(3)
    assert [header(each, "x-cancel") for each in cancels] == [b"1"] * 3
    ids = [{header(each, "request_id") for each in group} for group in (requests, cancels)]
    assert ids[0] == ids[1]


async def test_a_reader_that_is_far_behind_breaks_its_stream_and_no_other() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            answer_with_stream(server, await server.request(), [b"%d" % n for n in range(20)])
            server.reply(await server.request(), b"fine")

        tasks.start_soon(serve)
        stream = rpc.stream(REQUEST, b"", max_waiting=10)
        assert await anext(stream) == b"0"
        assert await rpc.request(REQUEST, b"") == b"fine"
        with pytest.raises(StreamBroken, match="max_waiting"):
            async for _ in stream:
                pass


def have_come(rpc: KafkaRPC, count: int) -> bool:
    return rpc.status().counters.replies == count


async def test_a_reader_that_is_a_little_behind_all_along_reads_it_all() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server:
        stream = rpc.stream(REQUEST, b"", max_waiting=10)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, stream)
            request = await server.request()
            answer_with_stream(server, request, [b"x"] * 5, end=False)
        for number in range(5, 100):
            answer_with_stream(server, request, [b"%d" % number], first=number, end=False)
            await until(partial(have_come, rpc, number + 1))
            assert await anext(stream) == (b"x" if number < 9 else b"%d" % (number - 4))
        await stream.aclose()


async def test_leaving_ends_a_stream() -> None:
    broker = new_broker()
    error: list[BaseException] = []

    async def read(rpc: KafkaRPC) -> None:
        try:
            async for _ in rpc.stream(REQUEST, b""):
                pass
        except ClientClosed as closed:
            error.append(closed)

    async with (
        anyio.create_task_group() as tasks,
        client_on(broker) as rpc,
        hand(broker) as server,
    ):
        tasks.start_soon(read, rpc)
        await server.request()
    assert len(error) == 1


async def test_a_cancelled_reader_leaves_nothing_behind() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server:
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                async for _ in rpc.stream(REQUEST, b""):
                    pass

            tasks.start_soon(read)
            await server.request()
            assert rpc.status().in_flight == 1
            tasks.cancel_scope.cancel()
        assert rpc.status().in_flight == 0


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_stream_that_is_dropped_is_broken_off_by_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, in_thread: bool
) -> None:
    """The garbage collector comes in any thread, and at any call of a function."""
    broker, threads = new_broker(), list[int]()
    forget = PendingCalls.forget

    def noted(calls: PendingCalls, call: PendingCall) -> None:
        threads.append(get_ident())
        forget(calls, call)

    monkeypatch.setattr(PendingCalls, "forget", noted)
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:

        async def serve() -> None:
            request = await server.request()
            place = ("x-cancel-partition", b"%d" % request.partition)
            server.reply(request, b"a", ("x-sequence", b"0"), place)

        tasks.start_soon(serve)
        stream = rpc.stream(REQUEST, b"", res_timeout=None)
        assert await anext(stream) == b"a"
        if in_thread:
            thread = Thread(target=stream.__del__)
            thread.start()
            thread.join()
        else:
            stream.__del__()
        assert rpc.status().in_flight == 1
        await until(lambda: rpc.status().in_flight == 0)
        assert threads == [get_ident()]
        assert header(await server.request(), "x-cancel") == b"1"


async def test_closing_a_stream_ends_the_loop_of_another_task_over_it() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server:
        stream = rpc.stream(REQUEST, b"")
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                async for _ in stream:
                    pass

            tasks.start_soon(read)
            await server.request()
            await stream.aclose()
        assert rpc.status().in_flight == 0


async def test_a_stream_is_for_one_task() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, anyio.create_task_group() as tasks:
        values: list[bytes] = []
        stream = rpc.stream(REQUEST, b"", res_expect_type=bytes)

        async def read() -> None:
            values.extend([value async for value in stream])

        tasks.start_soon(read)
        request = await server.request()
        with pytest.raises(StreamBusy, match="one task"):
            await anext(stream)
        answer_with_stream(server, request, [b"a", b"b"])
        await until(lambda: values == [b"a", b"b"])


@pytest.mark.parametrize("most", [0, -1])
async def test_max_waiting_is_positive(most: int) -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(ConfigurationError, match="max_waiting"):
            rpc.stream(REQUEST, b"", max_waiting=most)
