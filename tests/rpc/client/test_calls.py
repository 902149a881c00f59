"""Every call settles, with its own reply and no other."""

import json
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    CallIdInUse,
    CallTimeout,
    ClientClosed,
    ConfigurationError,
    KafkaRPC,
    ParserSpec,
    RemoteError,
    ReplyInvalid,
    UnknownType,
    parse_json,
)
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.server_by_hand import (
    RAW,
    REPLY,
    REQUEST,
    Callers,
    callers,
    client_on,
    hand,
    header,
    new_broker,
)
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

JSON: ParserSpec[Any] = {"topics": [REPLY], "type": dict, "parser": parse_json}


# -- replies find their callers ----------------------------------------------------------


async def test_a_call_returns_its_reply() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(b"hello", res_expect_type=bytes)
        request = await server.request()

        assert request.value == b"hello"
        assert header(request, "x-reply-topic") == REPLY.encode()
        assert header(request, "x-timeout-ms") == b"30000"
        assert request.key == header(request, "request_id")
        server.reply(request, b"world")
        assert await call.get() == b"world"
        assert rpc.status().in_flight == 0


async def test_a_hundred_calls_with_one_key_get_their_own_replies() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        calls = [tasks.call(b"%d" % number, req_key=b"key") for number in range(100)]
        requests = await server.requests(100)
        assert {request.key for request in requests} == {b"key"}
        for request in reversed(requests):
            server.reply(request, b"re " + (request.value or b""), key=request.key)

        assert [await call.get() for call in calls] == [b"re %d" % n for n in range(100)]


async def test_a_server_that_echoes_only_the_key_is_understood() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        by_id, by_own_key = tasks.call(b"id"), tasks.call(b"own", req_key="own")
        for request in await server.requests(2):
            server.reply(request, request.value or b"", headers=[], key=request.key)

        assert await by_id.get() == b"id"
        assert await by_own_key.get() == b"own"


async def test_a_key_that_several_calls_share_says_nothing() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        calls = [tasks.call(b"%d" % n, req_key="shared", res_timeout=5.0) for n in range(2)]
        for request in await server.requests(2):
            server.reply(request, b"?", headers=[], key=request.key)

        for call in calls:
            with pytest.raises(CallTimeout):
                await call.get()
        assert rpc.status().counters.ambiguous_replies == 2


async def test_unknown_late_and_second_replies_are_counted_and_dropped() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        server.reply(request, b"foreign", headers=[("request_id", b"nobody")])
        server.reply(request, b"not utf-8", headers=[("request_id", b"\xff\xfe")])
        server.reply(request, b"no id at all", headers=[])
        server.reply(request, b"first", partition=0)
        server.reply(request, b"second", partition=0)
        assert await call.get() == b"first"
        again = tasks.call()
        server.reply(await server.request(), b"last", partition=0)
        assert await again.get() == b"last"

        counters = rpc.status().counters
        assert (counters.foreign_replies, counters.late_replies, counters.replies) == (3, 1, 2)


async def test_a_foreign_id_beside_our_key_is_not_ours() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(res_timeout=5.0)
        request = await server.request()
        server.reply(request, headers=[("request_id", b"other")], key=request.key)

        with pytest.raises(CallTimeout):
            await call.get()


@pytest.mark.parametrize("name", ["request_id", "correlation_id", "X-Correlation-ID"])
async def test_the_id_is_read_from_any_of_the_usual_headers(name: str) -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        server.reply(request, headers=[(name, header(request, "request_id") or b"")])

        assert await call.get() == b"reply"


async def test_a_header_of_the_callers_choice_carries_the_id_both_ways() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(
            correlation_header_key="x-own-id", correlation_id="order-7", propagate_corr_to="header"
        )
        request = await server.request()

        assert request.key is None
        assert header(request, "x-own-id") == b"order-7"
        assert header(request, "request_id") is None
        server.reply(request)
        assert await call.get() == b"reply"


async def test_the_id_may_travel_as_the_key_alone() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(propagate_corr_to="key", correlation_id=b"\xff7")
        request = await server.request()

        assert request.key == b"\xff7"
        assert header(request, "request_id") is None
        server.reply(request, headers=[], key=request.key)
        assert await call.get() == b"reply"


async def test_the_id_may_come_from_the_whole_record() -> None:
    broker = new_broker()

    def from_value(record: Any) -> str:
        return str(json.loads(record.value)["call"])

    async with (
        client_on(broker, parsers=[JSON], correlation_from_record=from_value) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        call = tasks.call(correlation_id="seven")
        request = await server.request()
        server.reply(request, b"not json at all", headers=[])
        server.reply(request, b'{"call": "seven"}', headers=[])

        assert await call.get() == {"call": "seven"}


# -- what does not parse, or is of another type ------------------------------------------


async def test_a_reply_that_does_not_parse_fails_its_call_at_once() -> None:
    broker = new_broker()
    async with (
        client_on(broker, parsers=[JSON]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        bad, good = tasks.call(b"bad"), tasks.call(b"good")
        for request in await server.requests(2):
            server.reply(request, b"{" if request.value == b"bad" else b"{}")

        with pytest.raises(ReplyInvalid, match="does not parse") as caught:
            await bad.get()
        assert isinstance(caught.value.__cause__, ValueError)
        assert await good.get() == {}
        assert rpc.status().counters.invalid_replies == 1


async def test_a_reply_of_another_type_fails_its_call_at_once() -> None:
    broker = new_broker()
    async with (
        client_on(broker, parsers=[JSON]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        plain = tasks.call(b"[]", res_expect_type=dict)
        deep = tasks.call(b'{"a": "b"}', res_expect_type=dict[str, int])
        good = tasks.call(b'{"a": 1}', res_expect_type=dict[str, int])
        union = tasks.call(b"{}", res_expect_type=dict | None)
        for request in await server.requests(4):
            server.reply(request, request.value or b"")

        with pytest.raises(ReplyInvalid, match="list, and the call expects dict"):
            await plain.get()
        with pytest.raises(ReplyInvalid, match="dict, and the call expects"):
            await deep.get()
        assert await good.get() == {"a": 1}
        assert await union.get() == {}


async def test_a_reply_on_a_topic_of_another_type_is_not_this_calls() -> None:
    broker = MemoryBroker({REQUEST: 1, REPLY: 1, "numbers": 1})
    numbers: ParserSpec[int] = {
        "topics": ["numbers"],
        "type": int,
        "parser": lambda record: int(record.value),
    }
    async with (
        client_on(broker, parsers=[RAW, numbers]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        call = tasks.call(res_expect_type=int)
        request = await server.request()
        assert header(request, "x-reply-topic") == b"numbers"
        server.reply(request, b"5", topic=REPLY)
        await until(lambda: rpc.status().counters.foreign_replies == 1)
        server.reply(request, b"6", topic="numbers")

        assert await call.get() == 6


async def test_an_async_parser_holds_up_its_own_call_alone() -> None:
    broker = new_broker()
    go = anyio.Event()

    async def slow(record: Any) -> bytes:
        if record.value == b"slow":
            await go.wait()
        return bytes(record.value)

    spec: ParserSpec[bytes] = {"topics": [REPLY], "type": bytes, "parser": slow}
    async with (
        client_on(broker, parsers=[spec]) as rpc,
        hand(broker) as server,
        callers(rpc) as tasks,
    ):
        first, second = tasks.call(b"slow"), tasks.call(b"quick")
        for request in await server.requests(2):
            server.reply(request, request.value or b"", partition=0)

        assert await second.get() == b"quick"
        assert not first.ended.is_set()
        go.set()
        assert await first.get() == b"slow"


# -- errors, deadlines, cancellation, leaving --------------------------------------------


async def test_an_error_reply_is_raised_with_its_status() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call, odd = tasks.call(b"a"), tasks.call(b"b")
        for request in await server.requests(2):
            status = b"not_found" if request.value == b"a" else b"\xff \n"
            server.reply(request, b"", ("x-status", status), ("x-error", b"no order 7\xff\x1b\n"))

        with pytest.raises(RemoteError) as caught:
            await call.get()
        assert (caught.value.status, caught.value.text) == (
            "not_found",
            "no order 7\ufffd\x1b\n",
        )
        assert str(caught.value) == "not_found: no order 7\ufffd\\x1b\\n"
        with pytest.raises(RemoteError, match="unknown"):
            await odd.get()


async def test_a_deadline_that_the_server_noticed_first_is_a_time_out_too() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        server.reply(await server.request(), b"", ("x-status", b"deadline_exceeded"))

        with pytest.raises(TimeoutError, match="deadline_exceeded") as caught:
            await call.get()
        assert isinstance(caught.value, RemoteError)
        assert caught.value.status == "deadline_exceeded"


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "5"])
async def test_a_time_out_that_is_none_is_refused(seconds: Any) -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(ValueError, match="res_timeout"):
            await rpc.request(REQUEST, b"", res_timeout=seconds)


async def test_a_call_ends_at_its_deadline() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        began = anyio.current_time()
        calls = [tasks.call(res_timeout=seconds) for seconds in (3.0, 1.0, 2.0)]
        for call in calls:
            with pytest.raises(TimeoutError, match="server running") as caught:
                await call.get()
            assert caught.value.__cause__ is None
        assert 3.0 <= anyio.current_time() - began < 3.1
        server.reply(await server.request(), b"too late")
        await anyio.sleep(1.0)
        status = rpc.status()
        assert status.counters.timeouts == 3
        assert (status.in_flight, status.counters.late_replies) == (0, 1)


async def test_a_call_without_a_deadline_waits() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(res_timeout=None)
        request = await server.request()
        assert header(request, "x-timeout-ms") is None
        await anyio.sleep(3_600)
        server.reply(request)
        assert await call.get() == b"reply"


async def test_a_time_out_in_an_outage_names_it() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, callers(rpc) as tasks:
        broker.down()
        await anyio.sleep(2.0)
        call = tasks.call(res_timeout=5.0)
        with pytest.raises(CallTimeout) as caught:
            await call.get()
        assert isinstance(caught.value.__cause__, ConnectionError)


async def test_a_call_in_an_outage_goes_through_when_it_is_over() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        await server.join()
        broker.down()
        call = tasks.call(res_timeout=30.0)
        await anyio.sleep(5.0)
        broker.up()
        server.reply(await server.request())
        assert await call.get() == b"reply"


async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call()
        request = await server.request()
        call.scope.cancel()
        await call.ended.wait()
        assert rpc.status().in_flight == 0
        server.reply(request)
        other = tasks.call()
        server.reply(await server.request(), b"other")
        assert await other.get() == b"other"


async def test_an_id_in_use_is_refused_and_free_again_afterwards() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(correlation_id="one")
        request = await server.request()
        with pytest.raises(CallIdInUse):
            await rpc.request(REQUEST, b"", correlation_id="one")
        server.reply(request)
        assert await call.get() == b"reply"
        again = tasks.call(correlation_id="one")
        server.reply(await server.request(), b"again")
        assert await again.get() == b"again"


async def test_leaving_settles_a_thousand_waiting_calls() -> None:
    broker = new_broker()
    async with anyio.create_task_group() as outer, hand(broker) as server:
        async with client_on(broker) as rpc:
            tasks = Callers(rpc, outer)
            outcomes = [tasks.call() for _ in range(1000)]
            await server.requests(1000)
        for outcome in outcomes:
            with pytest.raises(ClientClosed, match="was left"):
                await outcome.get()
        assert rpc.status().in_flight == 0
        with pytest.raises(ClientClosed):
            await rpc.request(REQUEST, b"")


# -- what cannot be asked ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"propagate_corr_to": "key", "req_key": b"k"}, "leave req_key out"),
        ({"propagate_corr_to": "headers"}, "'both', 'header' or 'key'"),
        ({"correlation_header_key": ""}, "correlation_header_key"),
        ({"correlation_id": ""}, "correlation_id"),
        ({"correlation_id": b"x" * 2000}, "correlation_id"),
        ({"correlation_header_key": "x-status"}, "x-status"),
        ({"req_headers_reply_to": ["elsewhere"]}, "none of these"),
        ({"req_headers": {"X-Reply-Topic": "elsewhere"}}, "none of these"),
        ({"req_headers": {"Request_ID": "5"}}, "pass it as correlation_id"),
        ({"req_headers": {"x-cancel": "1"}}, "protocol"),
        ({"req_headers": [("a", 1)]}, "bytes or a text"),
        ({"req_headers": 7}, "mapping"),
        ({"req_key": 7}, "req_key"),
        ({"req_key": "\udcff"}, "req_key cannot be encoded"),
        ({"correlation_id": "\ud800"}, "correlation_id cannot be encoded"),
        ({"req_headers": {"a": "\ud800"}}, "header 'a' cannot be encoded"),
    ],
)
async def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    options: Any, text: str
) -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(ConfigurationError, match=text):
            await rpc.request(REQUEST, b"", **options)
        with pytest.raises(ConfigurationError, match="encode it"):
            await rpc.request(REQUEST, "text")  # type: ignore[call-overload]
        assert rpc.status().counters.calls == 0


async def test_a_request_to_a_reply_topic_of_the_client_is_refused() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(ConfigurationError, match="its own request"):
            await rpc.request(REPLY, b"")


async def test_a_type_that_no_parser_yields_is_refused_before_anything_is_sent() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc:
        with pytest.raises(UnknownType, match=r"int.*yield: bytes"):
            await rpc.request(REQUEST, b"", res_expect_type=int)
        assert rpc.status().counters.calls == 0


async def test_the_callers_headers_travel_and_may_name_the_reply_topic() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(req_headers={"a": "b", "x-reply-topic": REPLY})
        request = await server.request()
        assert header(request, "a") == b"b"
        assert [name for name, _ in request.headers].count("x-reply-topic") == 1
        server.reply(request)
        assert await call.get() == b"reply"


async def test_several_reply_topics_may_be_asked_for() -> None:
    broker = new_broker()
    async with client_on(broker) as rpc, hand(broker) as server, callers(rpc) as tasks:
        call = tasks.call(req_headers_reply_to=[REPLY, "audit"])
        request = await server.request()
        topics = [value for name, value in request.headers if name == "x-reply-topic"]
        assert topics == [REPLY.encode(), b"audit"]
        server.reply(request)
        assert await call.get() == b"reply"


async def test_a_client_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="reply_topic"):
        KafkaRPC([RAW], reply_topic="own", bootstrap_servers="127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="bootstrap_servers"):
        KafkaRPC([RAW])
    for topic in ("__internal", "no topic", ".."):
        with pytest.raises(ConfigurationError, match="reply_topic"):
            KafkaRPC(reply_topic=topic, bootstrap_servers="127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="corr_header_keys"):
        KafkaRPC([RAW], corr_header_keys=[], bootstrap_servers="127.0.0.1:1")
