"""Failures that end a server, and those of a handler that do not."""

from collections.abc import AsyncGenerator

import anyio
import pytest

from sdml_kafka import (
    AuthenticationFailed,
    Call,
    ConsumerFailed,
    ProducerFailed,
    Restarts,
    RestartsExhausted,
)
from tests.support.client_by_hand import (
    GROUP,
    P0,
    REQUEST,
    ask,
    echoing,
    new_broker,
    outcomes,
    server_on,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time]


async def test_what_a_restart_cannot_mend_comes_out() -> None:
    broker = new_broker()
    broker.fail_starts(AuthenticationFailed("who are you?"))
    with pytest.raises(AuthenticationFailed, match="who are you"):
        async with echoing(broker):
            pytest.fail("entered")


async def test_a_consumer_that_keeps_failing_comes_out_as_one_error() -> None:
    broker = new_broker()
    with pytest.raises(RestartsExhausted) as caught:
        async with echoing(broker, restarts=Restarts(max_restarts=1, backoff_s=0.01)) as server:
            broker.fail_next_poll(ConsumerFailed("first"))
            await until(lambda: server.status().counters.restarts)
            broker.fail_next_poll(ConsumerFailed("second"))
            await anyio.sleep_forever()
    assert isinstance(caught.value.__cause__, ConsumerFailed)


async def test_a_producer_that_keeps_failing_comes_out_as_one_error() -> None:
    broker = new_broker()
    with pytest.raises(RestartsExhausted) as caught:
        async with echoing(broker, restarts=Restarts(max_restarts=1, backoff_s=0.01)) as server:
            broker.fail_producer()
            await until(lambda: server.status().counters.restarts)
            await until(lambda: server.status().connected)
            broker.fail_producer()
            await anyio.sleep_forever()
    assert isinstance(caught.value.__cause__, ProducerFailed)


async def test_a_handler_that_is_interrupted_ends_the_program() -> None:
    broker = new_broker()
    server = server_on(broker)

    @server.handler(REQUEST)
    async def stop(value: bytes, call: Call) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with server:
            ask(broker)
            await anyio.sleep_forever()
    assert broker.committed(GROUP, P0) in (0, None)


@pytest.mark.parametrize("where", ["parser", "async", "stream", "thread"])
async def test_a_request_that_exits_is_answered_and_ends_no_server(where: str) -> None:
    def leave(_: object) -> bytes:
        raise SystemExit(3)

    broker = new_broker()
    server = server_on(broker)

    if where == "parser":

        @server.handler(REQUEST, parser=leave)
        async def never(value: bytes, call: Call) -> bytes:
            return value
    elif where == "async":

        @server.handler(REQUEST)
        async def exits(value: bytes, call: Call) -> bytes:
            return leave(value)
    elif where == "stream":

        @server.handler(REQUEST)
        async def streams(value: bytes, call: Call) -> AsyncGenerator[bytes]:
            yield leave(value)
    else:

        @server.handler(REQUEST)
        def in_a_thread(value: bytes, call: Call) -> bytes:
            return leave(value)

    async with server:
        ask(broker, id_=b"1")
        ask(broker, id_=b"2")
        expected = b"invalid_argument" if where == "parser" else b"internal"
        assert await outcomes(broker, 2) == [expected] * 2
