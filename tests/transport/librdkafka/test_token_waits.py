"""Logins by tokens: whoever waits for one holds up nobody else."""

import threading
import time
from queue import SimpleQueue
from typing import Any

import anyio
import pytest
from confluent_kafka import KafkaError

from sdml_kafka import AuthenticationFailed, BrokerUnreachable, KafkaListener, KafkaProducer
from sdml_kafka.errors import SdmlKafkaError
from sdml_kafka.transport.librdkafka.consumer.adapter import connect
from sdml_kafka.transport.librdkafka.consumer.obstacles import Obstacles
from sdml_kafka.transport.librdkafka.options import consumer_settings, producer_settings
from sdml_kafka.transport.librdkafka.producer.adapter import connect_producer
from tests.support.entering import error_of_entering
from tests.support.listener_on_broker import texts

pytestmark = pytest.mark.anyio

NOWHERE = "127.0.0.1:1"
LOGIN = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "OAUTHBEARER"}
HEARD_WITHIN_S = 8.0
"""Seconds within which a program whose event loop goes on has heard that a token is asked for; a
client waits for 10 s."""


def listener(options: dict[str, Any]) -> KafkaListener:
    where: Any = {"bootstrap_servers": NOWHERE, "group_id": "g", "start_timeout": 1.0}
    return KafkaListener(texts("t"), client="librdkafka", client_options=options, **where)


def producer(options: dict[str, Any]) -> KafkaProducer:
    where: Any = {"bootstrap_servers": NOWHERE, "start_timeout": 1.0}
    return KafkaProducer(client="librdkafka", client_options=options, **where)


async def read(options: dict[str, Any]) -> None:
    async with connect(consumer_settings(NOWHERE, "g", None, options))() as consumer:
        await consumer.start(["t"], 0.5)


async def send(options: dict[str, Any]) -> None:
    async with connect_producer(producer_settings(NOWHERE, options))() as producer:
        await producer.start(0.5)


@pytest.mark.one_loop
@pytest.mark.parametrize("work", [read, send])
async def test_the_program_goes_on_while_clients_wait_for_their_tokens(work: Any) -> None:
    asked, answered = SimpleQueue[threading.Event](), list[bool]()

    def token_of(_: str) -> tuple[str, float]:
        is_heard = threading.Event()
        asked.put(is_heard)
        answered.append(is_heard.wait(HEARD_WITHIN_S))
        return "token", time.time() + 3600

    async def hear() -> None:
        while True:
            await anyio.sleep(0.01)
            while not asked.empty():
                asked.get().set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hear)
        with pytest.raises(BrokerUnreachable):
            await work({**LOGIN, "oauth_cb": token_of})
        tasks.cancel_scope.cancel()
    assert len(answered) >= 2
    assert all(answered)


@pytest.mark.parametrize("make", [listener, producer])
async def test_a_server_of_tokens_that_is_away(make: Any) -> None:
    options = {
        **LOGIN,
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": f"http://{NOWHERE}/",
        "sasl.oauthbearer.client.id": "id",
        "sasl.oauthbearer.client.secret": "hunter2",
    }
    error = await error_of_entering(make(options))
    assert type(error) is AuthenticationFailed
    assert "no token for the login" in str(error)
    assert "hunter2" not in str(error)


def test_a_token_that_is_not_renewed_at_once_ends_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = "Failed to acquire SASL OAUTHBEARER token: OAuth callback raised exception"
    failure = KafkaError(KafkaError._AUTHENTICATION, text)
    failures: list[SdmlKafkaError] = []
    settings = {"group.id": "g", "bootstrap.servers": NOWHERE}
    obstacles = Obstacles(settings, failures.append)
    obstacles.note_connection()
    obstacles.note(failure)
    assert failures == []
    (line,) = caplog.messages
    assert "asks again" in line
    assert "OAuth callback raised exception" in line
    Obstacles(settings, failures.append).note(failure)
    assert [type(each) for each in failures] == [AuthenticationFailed]
