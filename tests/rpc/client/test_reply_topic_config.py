"""Settings of the reply topic that a client creates for itself."""

from typing import Any

import pytest

from sdml_kafka import Call, ConfigurationError, KafkaRPC, RemoteError
from tests.support.client_by_hand import serving
from tests.support.server_by_hand import RAW, REQUEST, client_on, new_broker
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


async def test_the_topic_is_created_with_the_settings() -> None:
    broker = new_broker()

    async def twice(value: bytes, call: Call) -> bytes:
        return 2 * value

    async with (
        serving(broker, twice),
        client_on(broker, parsers=(), reply_topic_config={"max.message.bytes": 1000}) as rpc,
    ):
        assert await rpc.request(REQUEST, b"x" * 400) == b"x" * 800
        with pytest.raises(RemoteError, match="larger"):
            await rpc.request(REQUEST, b"x" * 600)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"max.messages.bytes": 1}, "'max.message.bytes'"),
        ({"max_message_bytes": 1}, "'max.message.bytes'"),
        ({"max.message.bytes": "much"}, "'max.message.bytes' is a whole number"),
        ({"max.message.bytes": 1.5}, "'max.message.bytes' is a whole number"),
        ({"max.message.bytes": None}, "'max.message.bytes'.*NoneType"),
        ({"": 1}, "name"),
        ({7: 1}, "name"),
        ([("max.message.bytes", 1)], "mapping"),
        ("max.message.bytes=1", "mapping"),
    ],
)
async def test_what_cannot_be_a_setting_is_refused_when_the_client_is_made(
    config: Any, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"reply_topic_config.*{text}"):
        KafkaRPC(bootstrap_servers="127.0.0.1:1", reply_topic_config=config)


@pytest.mark.parametrize("options", [{"reply_topic": "shared"}, {"parsers": [RAW]}])
async def test_topics_that_others_know_get_their_settings_from_whoever_creates_them(
    options: dict[str, Any],
) -> None:
    with pytest.raises(ConfigurationError, match="reply_topic_config is for"):
        KafkaRPC(
            **options, bootstrap_servers="127.0.0.1:1", reply_topic_config={"max.message.bytes": 1}
        )
    KafkaRPC(**options, bootstrap_servers="127.0.0.1:1", reply_topic_config={})


async def test_what_the_broker_refuses_is_raised_on_entering_and_names_the_option() -> None:
    rpc = client_on(new_broker(), parsers=(), reply_topic_config={"colour": "green"})
    with pytest.raises(ConfigurationError, match=r"reply_topic_config \(colour\).*colour"):
        async with rpc:
            pass
