"""Addresses at which there is no Kafka: the error of each start names the address and why."""

import re
import socket
import ssl
from functools import partial
from typing import Any

import pytest

from sdml_kafka import BrokerUnreachable
from tests.support.entering import client, each, error_of_entering, error_that_says
from tests.support.other_servers import answering

pytestmark = pytest.mark.anyio


@each
async def test_a_name_that_does_not_resolve(make: Any) -> None:
    reason = "no-such-host.invalid:9092: its name does not resolve"
    error = await error_that_says(reason, partial(make, "no-such-host.invalid:9092"), 0.5)
    assert type(error) is BrokerUnreachable
    assert isinstance(error.__cause__, socket.gaierror)


@each
async def test_a_port_at_which_nothing_listens(make: Any, free_tcp_port: int) -> None:
    address = f"127.0.0.1:{free_tcp_port}"
    error = await error_that_says(f"{address}: it refuses connections", partial(make, address), 0.5)
    assert type(error) is BrokerUnreachable
    assert isinstance(error.__cause__, ConnectionRefusedError)


@each
async def test_a_port_that_does_not_answer(make: Any) -> None:
    with answering(None) as address:
        error = await error_of_entering(make(address, start_timeout=0.5))
    assert type(error) is BrokerUnreachable
    assert re.search(rf"within 0\.\d+ s \({address}: it does not answer\)", str(error))
    assert isinstance(error.__cause__, TimeoutError)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server answers there, not Kafka"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "it speaks TLS, and security_protocol is 'PLAINTEXT'"),
        (b"SSH-2.0-OpenSSH\r\n", "not Kafka ('SSH-' ...)"),
        (b"\xff\xff\xff\xff", "something answers there that is not Kafka"),
        (b"", "it may ask for TLS or a login (SASL)"),
    ],
)
async def test_a_port_at_which_something_else_answers(answer: bytes, why: str) -> None:
    with answering(answer) as address:
        error = await error_that_says(why, partial(client, address), 0.5)
    assert type(error) is BrokerUnreachable
    assert address in str(error)
    assert error.__cause__ is not None


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_client_of_tls_at_a_port_without_it(answer: bytes) -> None:
    options = {"security_protocol": "SSL", "ssl_context": ssl.create_default_context()}
    reason = "does not speak TLS as security_protocol 'SSL' needs it"
    with answering(answer) as address:
        error = await error_that_says(reason, partial(client, address, **options), 0.5)
    assert type(error) is BrokerUnreachable
