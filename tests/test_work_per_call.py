"""How much work a call costs, in counts that no other load on the machine changes."""

from functools import partial

import anyio
import pytest

from sdml_kafka import TopicPartition
from sdml_kafka.rpc.dialects.messages import DialectName
from tests.support import client_by_hand
from tests.support.counted_work import Work, counted
from tests.support.server_by_hand import REQUEST, client_on, hand, new_broker
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

CALLERS = 100
ROUNDS = 20
CALLS = CALLERS * ROUNDS


# -- the client --------------------------------------------------------------------------


async def make_calls(dialect: DialectName = "native") -> Work:
    """Let callers make calls to a server by hand, and count the client's work."""
    broker = new_broker()
    async with client_on(broker, dialect=dialect) as rpc, hand(broker) as server:

        async def call() -> None:
            for _ in range(ROUNDS):
                await rpc.request(REQUEST, b"x" * 100, res_expect_type=bytes)

        await server.join()
        with counted() as work:
            async with anyio.create_task_group() as tasks:
                for _ in range(CALLERS):
                    tasks.start_soon(call)
                for _ in range(ROUNDS):
                    for request in await server.requests(CALLERS):
                        end = [] if dialect == "native" else [("kafka_nest-is-disposed", b"\x00")]
                        server.reply(request, headers=[request.headers[0], *end])
    return work


@pytest.mark.parametrize("dialect", ["native", "spring", "nestjs"])
async def test_function_calls_of_the_client_for_each_call(
    anyio_backend_name: str, dialect: DialectName
) -> None:
    work = await make_calls(dialect)
    # On trio the waiters are this package's own.
    assert work.calls / CALLS < (14.0 if anyio_backend_name == "asyncio" else 19.0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_turns_of_the_client_for_each_call() -> None:
    work = await make_calls()
    # A caller's task is woken once, by its reply. The rest is shared by all that come together.
    assert work.callbacks / CALLS < 1.4


# -- the server --------------------------------------------------------------------------


async def answer_requests(id_name: str = "request_id", to: str = "x-reply-topic") -> Work:
    """Have a server answer requests that come a hundred at a time, and count its work."""
    broker = client_by_hand.new_broker()
    rest = [("x-timeout-ms", b"30000"), (to, client_by_hand.REPLY.encode())]
    reply_log = TopicPartition(client_by_hand.REPLY, 0)

    def has_replies(count: int) -> bool:
        return len(broker.records(reply_log)) == count

    async with client_by_hand.serving(broker, client_by_hand.echo):
        with counted() as work:
            for turn in range(ROUNDS):
                for caller in range(CALLERS):
                    headers = [(id_name, b"%d" % (turn * CALLERS + caller)), *rest]
                    broker.produce(client_by_hand.REQUEST, b"x" * 100, headers=headers)
                await until(partial(has_replies, CALLERS * (turn + 1)))
    return work


async def test_function_calls_of_the_server_for_each_call() -> None:
    work = await answer_requests()
    assert work.calls / CALLS < 25.0


async def test_function_calls_of_the_server_for_each_call_of_spring_and_nest() -> None:
    work = await answer_requests("kafka_correlationId", "kafka_replyTopic")
    assert work.calls / CALLS < 28.0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_turns_of_the_server_for_each_call() -> None:
    work = await answer_requests()
    # A handler that does not suspend costs neither a task nor a turn of its own.
    assert work.callbacks / CALLS < 0.9
