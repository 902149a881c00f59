"""Producers that cannot start: no Kafka at the address, or none that trusts them."""

import gc
import re
import threading
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from sdml_kafka.errors import AuthenticationFailed, BrokerUnreachable, SdmlKafkaError, SendFailed
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.librdkafka.options import producer_settings
from sdml_kafka.transport.librdkafka.producer.adapter import connect_producer
from tests.support.contracts.producer_world import Outcomes
from tests.support.other_servers import answering, ending_at_login, untrusted_server
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LIMIT_S = 10.0


async def error_of_starting(servers: str, timeout_s: float, **options: Any) -> SdmlKafkaError:
    named = {name.replace("_", "."): value for name, value in options.items()}
    connect = connect_producer(producer_settings(servers, named))
    with anyio.fail_after(LIMIT_S):
        async with connect() as producer:
            with pytest.raises(SdmlKafkaError) as caught:
                await producer.start(timeout_s)
            assert not producer.connected
    return caught.value


async def test_a_port_at_which_nothing_listens(free_tcp_port: int) -> None:
    error = await error_of_starting(f"127.0.0.1:{free_tcp_port}", LIMIT_S)
    assert type(error) is BrokerUnreachable
    assert f"127.0.0.1:{free_tcp_port}: it refuses connections" in str(error)
    assert "Check the address" in str(error)


async def test_a_name_that_does_not_resolve() -> None:
    error = await error_of_starting("no-such-host.invalid:9092", LIMIT_S)
    assert type(error) is BrokerUnreachable
    assert "no-such-host.invalid:9092: its name does not resolve" in str(error)


async def test_a_port_that_does_not_answer() -> None:
    with answering(None) as address:
        error = await error_of_starting(address, 0.5)
    assert type(error) is BrokerUnreachable
    assert re.search(rf"within 0\.5 s \({address}: it does not answer\)", str(error))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_port_at_which_something_else_answers(answer: bytes) -> None:
    with answering(answer) as address:
        error = await error_of_starting(address, 3.0)
    assert type(error) is BrokerUnreachable
    assert address in str(error)
    assert "it may ask for TLS or a login (SASL)" in str(error) or answer


async def test_a_client_of_tls_at_a_port_without_it() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        error = await error_of_starting(address, 3.0, security_protocol="ssl")
    assert type(error) is BrokerUnreachable
    # The end of the connection may be seen before the bytes that came ahead of it.
    assert "not speak TLS" in str(error)


async def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    with untrusted_server(tmp_path) as address:
        error = await error_of_starting(address, LIMIT_S, security_protocol="ssl")
    assert type(error) is AuthenticationFailed
    assert "certificate was not accepted" in str(error)


async def test_a_client_without_the_certificate_that_is_wanted(tmp_path: Path) -> None:
    with untrusted_server(tmp_path, wants_certificate=True) as address:
        trusted = {"security_protocol": "ssl", "ssl_ca_location": str(tmp_path / "untrusted.pem")}
        error = await error_of_starting(address, LIMIT_S, **trusted)
    # The end of the connection may be seen before its reason.
    assert type(error) in (AuthenticationFailed, BrokerUnreachable)
    assert "a client's certificate" in str(error)


async def test_a_broker_that_ends_within_a_login_has_refused_nobody() -> None:
    login = {"sasl_mechanism": "PLAIN", "sasl_username": "user", "sasl_password": "password"}
    with ending_at_login() as address:
        error = await error_of_starting(
            address, LIMIT_S, security_protocol="sasl_plaintext", **login
        )
    assert type(error) is BrokerUnreachable
    assert f"{address}: it ends the connection" in str(error)


async def test_a_start_that_is_cut_off_leaves_no_thread(free_tcp_port: int) -> None:
    def ours() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name.startswith("sdml-kafka")]

    with answering(None) as address:
        connect = connect_producer(producer_settings(f"{address},127.0.0.1:{free_tcp_port}", {}))
        for turn in range(5):
            with anyio.move_on_after(0.05 * turn) as scope:
                async with connect() as producer:
                    await producer.start(LIMIT_S)
            assert scope.cancelled_caught
        await until(lambda: not ours(), LIMIT_S)


async def test_no_client_is_left_to_the_garbage_collector() -> None:
    """Each one is closed, in the program's thread."""

    def threads() -> set[int]:
        return {each.id for each in psutil.Process().threads()}

    gc.collect()
    before = threads()
    gc.disable()
    try:
        with answering(None) as address:
            connect = connect_producer(producer_settings(address, {}))
            with anyio.move_on_after(0.1):
                async with connect() as producer:
                    await producer.start(LIMIT_S)
            error = await error_of_starting(address, 0.1)
        assert type(error) is BrokerUnreachable
        await until(lambda: threads() <= before, LIMIT_S)
    finally:
        gc.enable()


async def test_what_is_sent_before_the_start_is_reported() -> None:
    outcomes = Outcomes()
    async with connect_producer(producer_settings("127.0.0.1:1", {}))() as producer:
        producer.send(Message("topic", b""), outcomes.of(0))
        assert type(await outcomes.one(0)) is SendFailed
        assert await producer.flush(1.0)
