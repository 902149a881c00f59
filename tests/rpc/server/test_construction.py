"""Servers and handlers whose options cannot work are refused when they are made."""

from collections.abc import Callable
from typing import Any

import pytest

from sdml_kafka import Call, ConfigurationError, Dedupe, KafkaRPCServer, parse_msgspec, to_msgspec
from tests.support.client_by_hand import REQUEST, echo, new_broker, server_on, serving
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"max_bytes_in_flight": 0}, "max_bytes_in_flight is a number of bytes"),
        ({"max_bytes_in_flight": "64"}, "max_bytes_in_flight is a number of bytes"),
        ({"drain_timeout": -1}, "drain_timeout"),
        ({"drain_timeout": float("nan")}, "drain_timeout"),
        ({"start_timeout": 0}, "start_timeout"),
        ({"stop_timeout": float("inf")}, "stop_timeout"),
        ({"most_reply_topics": 0}, "from 1 to 16"),
        ({"most_reply_topics": 17}, "from 1 to 16"),
        ({"reply_topics": "reply"}, "list of names"),
        ({"max_age_s": 0}, "max_age_s"),
        ({"max_age_s": float("nan")}, "max_age_s"),
        ({"max_age_s": "60"}, "max_age_s"),
        ({"corr_header_keys": ()}, "at least one"),
        ({"corr_header_keys": [""]}, "corr_header_keys"),
        ({"corr_header_keys": ["x-reply-topic"]}, "corr_header_keys"),
        ({"corr_header_keys": [3]}, "corr_header_keys"),
    ],
)
async def test_options_that_cannot_work(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        server_on(new_broker(), **options)


@pytest.mark.parametrize(
    "options",
    [{"most": 0}, {"keep_s": 0}, {"keep_s": float("inf")}, {"most_bytes": 0}],
)
async def test_a_dedupe_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="dedupe"):
        Dedupe(**options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "group_id"),
        ({"group_id": "g"}, "bootstrap_servers"),
        ({"bootstrap_servers": "localhost:9092"}, "group_id"),
        ({"group_id": "g", "consumer_factory": object}, "set it on the consumer"),
        ({"group_id": "g", "bootstrap_servers": "x", "no_such_option": "secret"}, "no_such_option"),
    ],
)
async def test_how_to_connect(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text) as caught:
        KafkaRPCServer(**options)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("topics", "text"),
    [
        ((), "needs a topic"),
        (("",), "cannot be the topic"),
        (("a b",), "cannot be the topic"),
        (("__x",), "cannot be the topic"),
        ((".",), "cannot be the topic"),
        (("..",), "cannot be the topic"),
        ((["a"],), "cannot be the topic"),
        ((echo,), "cannot be the topic"),
        (("taken",), "has a handler already"),
    ],
)
async def test_topics_that_cannot_have_a_handler(topics: tuple[Any, ...], text: str) -> None:
    server = server_on(new_broker())
    server.handler("taken")(echo)
    with pytest.raises(ConfigurationError, match=text):
        server.handler(*topics)


def generator(value: bytes, call: Call) -> Any:
    yield value


def takes_one(value: bytes) -> bytes:
    return value


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (None, "cannot be called"),
        ("text", "cannot be called"),
        (generator, "async generator"),
        (takes_one, r"takes_one\(value, call\)"),
    ],
)
async def test_what_cannot_be_a_handler(function: Callable[..., Any] | Any, text: str) -> None:
    server = server_on(new_broker())
    with pytest.raises(ConfigurationError, match=text):
        server.handler("topic")(function)


@pytest.mark.parametrize("options", [{"parser": 3}, {"serializer": 3}, {"concurrency": 0}])
async def test_what_a_handler_cannot_have(options: dict[str, Any]) -> None:
    server = server_on(new_broker())
    with pytest.raises(ConfigurationError):
        server.handler("topic", **options)(echo)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"parser": parse_msgspec}, r"parser is .* call it: parse_msgspec\(Order\)"),
        ({"serializer": to_msgspec}, r"serializer is .* call it: to_msgspec\(\)"),
    ],
)
async def test_what_makes_a_parser_or_serializer_has_to_be_called(
    options: dict[str, Any], text: str
) -> None:
    server = server_on(new_broker())
    with pytest.raises(ConfigurationError, match=text):
        server.handler("topic", **options)(echo)


async def test_a_handler_after_entering() -> None:
    async with serving(new_broker(), echo) as server:
        with pytest.raises(ConfigurationError, match="before the server is entered"):
            server.handler("topic")


async def test_a_decorator_that_was_kept_until_after_entering() -> None:
    server = server_on(new_broker())
    server.handler(REQUEST)(echo)
    decorate = server.handler("topic")
    async with server:
        with pytest.raises(ConfigurationError, match="before the server is entered"):
            decorate(echo)


async def test_a_server_without_handlers() -> None:
    with pytest.raises(ConfigurationError, match="no handler"):
        async with server_on(new_broker()):
            pytest.fail("entered")
